"""Write the pages of the chapter, its claims and exercises: docs/LANGUAGE/chapter, exercises.

python scripts/pages.py run [NAME...]   run pages (all: half an hour on two cores); save their text
                                        to results/pages.json and their figures to docs/
python scripts/pages.py                 write the Markdown files from results/pages.json
python scripts/pages.py --check         fail if a file or the record is out of date
"""

import io
import json
import re
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import translations
from PIL import Image
from rich.console import Console

from lenet import data, files, records, train
from lenet.chapter import CHAPTER, EXERCISES, SECTIONS, Page, heading
from lenet.chapter import NAMES as WORDS
from lenet.chapter.page import PAIRS
from lenet.errors import DataError
from lenet.language import LANGUAGES, NAMES, Listed, Message, listed, mark, message, translate

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "results" / "pages.json"
INDEX = "index"
GROUPS = {
    "1": mark("From fully connected layers to convolutions"),
    "2": mark("Convolutions for images"),
    "3": mark("Padding and stride"),
    "4": mark("Multiple input and output channels"),
    "5": mark("Pooling"),
    "6": mark("LeNet"),
    "7": mark("Beyond the book"),
}
"""Sections of the book's chapter, of which the exercises are."""

OF_THE_BOOK = {
    ("fully_connected", "channels"): ("6.1", "7.1", "why-conv"),
    ("cross_correlation", "edges", "receptive_field"): ("6.2", "7.2", "conv-layer"),
    ("padding", "stride"): ("6.3", "7.3", "padding-and-strides"),
    ("multiple_channels", "one_by_one"): ("6.4", "7.4", "channels"),
    ("pooling",): ("6.5", "7.5", "pooling"),
    ("lenet",): ("6.6", "7.6", "lenet"),
}
"""By section: the book's number of it, Chinese and English, and its page. Others go beyond."""
BOOKS = {"en": "https://d2l.ai", "zh": "https://zh.d2l.ai"}


def pages() -> dict[str, dict[str, tuple[str, Callable[[Page], None]]]]:
    """Return every page by kind and name: its heading, and the function that fills it."""
    return {
        "chapter": {name: (heading(fill), fill) for name, fill in CHAPTER.items()},
        "exercises": {number: (e.question, e.answer) for number, e in EXERCISES.items()},
    }


def run(chosen: list[str]) -> None:
    """Run pages in both languages; save text and figures page by page."""
    if unknown := set(chosen).difference(*pages().values()):
        sys.exit(f"error: unknown page {', '.join(sorted(unknown))}")
    kept = recorded()
    # Train once: the second language reports the same runs.
    data.load, train.run = cache(data.load), cache(train.run)
    for what, known in pages().items():
        for name in chosen or known:
            if name not in known:
                continue
            title, fill = known[name]
            page: dict[str, Any] = {"heading": title, "machine": machine()}
            jax.clear_caches()  # as for someone who runs this page alone
            for language in LANGUAGES:
                begin = time.monotonic()
                page[language] = one(what, fill, language)
                page.setdefault("seconds", round(time.monotonic() - begin, 1))
            done = kept[what] | {name: page}
            kept[what] = {each: done[each] for each in known if each in done}  # in order
            record = {"command": "python scripts/pages.py run", "pages": kept}
            text = json.dumps(record, ensure_ascii=False, indent=1)
            files.write(RECORD, (text + "\n").encode())
            print(f"{what} {name}: {page['seconds']} s", flush=True)


def recorded() -> dict[str, Any]:
    """Return the record: by kind and name, the heading, machine and events of each page."""
    pages: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))["pages"]
    return pages


def machine() -> str:
    """Return the hardware and the versions."""
    environment = records.environment()
    versions = ", ".join(f"{name} {environment['versions'][name]}" for name in ("jax", "flax"))
    return (
        f"{environment['processor']}, {environment['cores']} cores, "
        f"Python {environment['python']}, {versions}"
    )


def one(what: str, fill: Callable[[Page], None], language: str) -> list[Any]:
    """Run a page and return its events in a language."""
    directory = ROOT / "docs" / language / what
    page = Page(language, directory, Console(file=io.StringIO()))
    try:
        with jax.default_matmul_precision("highest"):
            fill(page)
    except DataError as error:
        return [("error", str(error).partition(". Tried: ")[0], "")]
    for event in page.events:
        if event.file:  # a palette takes a third of the space
            path = directory / event.file
            Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
    return [tuple(event) for event in page.events]


def rendered() -> dict[Path, str]:
    """Return the content of every Markdown file."""
    return {
        ROOT / "docs" / language / what / f"{name}.md": content
        for what, page in recorded().items()
        for language in LANGUAGES
        for name, content in files_of(what, language, page).items()
    }


def hardware(machine: str) -> Listed:
    """Return what `machine` recorded, for any language."""
    return listed(
        message("{count} cores", count=part.removesuffix(" cores"))
        if part.endswith(" cores")
        else part
        for part in machine.split(", ")
    )


def files_of(what: str, language: str, recorded: dict[str, Any]) -> dict[str, str]:
    """Return the Markdown files of the chapter or the exercises by name, the index among them."""
    t = partial(translate, language)
    known = pages()[what]
    groups: dict[str, list[str]] = {}
    for name in known:
        groups.setdefault(name.partition(".")[0] if what == "exercises" else name, []).append(name)
    made = {}
    for group, names in groups.items():
        if what == "exercises":
            title = t("Exercises {number}: {section}", number=group, section=Message(GROUPS[group]))
        else:
            title = titled(t(WORDS[group]))
        lines = [*top(title, what, group, language), "", *in_the_book(group, language)]
        for name in names:
            lines += [f"## {name}", ""] if what == "exercises" else []
            answer = body(recorded[name][language], language)
            lines += [f"**{t(known[name][0])}**", ""]
            lines += folded(t("Answer"), answer) if what == "exercises" else answer
        lines += [how(what, language, {name: recorded[name] for name in names})]
        if group in SECTIONS:
            link = f"[{title}](../notebooks/{group}.md)"
            lines += ["", t("As a notebook: {section}.", section=link)]
        made[group] = "\n".join(lines)
    titles = {
        "chapter": t("The chapter as code"),
        "exercises": t("Exercises of the chapter, with answers"),
    }
    book = t(
        "The book is [Dive into Deep Learning](https://d2l.ai); the course notes are two Chinese "
        "handouts on the same chapter."
    )
    lines = [*top(titles[what], what, INDEX, language), "", book, ""]
    lines += contents(language, recorded) if what == "exercises" else summary(language)
    lines += ["```{toctree}", ":hidden:", "", *groups, "```"]
    made[INDEX] = "\n".join(lines)
    return {name: content.rstrip() + "\n" for name, content in made.items()}


def folded(summary: str, lines: list[str]) -> list[str]:
    """Return what is shown when asked for: who reads the question may think first."""
    return [f"<details><summary>{summary}</summary>", "", *lines, "</details>", ""]


def in_the_book(section: str, language: str) -> list[str]:
    """Return a link to the book's section; nothing for what goes beyond the book."""
    for sections, (chinese, english, page) in OF_THE_BOOK.items():
        if section in sections:
            link = f"{BOOKS[language]}/chapter_convolutional-neural-networks/{page}.html"
            said = translate(
                language,
                "In the book: [section {english}]({link}), {chinese} in the Chinese edition.",
                english=english,
                chinese=chinese,
                link=link,
            )
            return [said, ""]
    return []


def titled(words: str) -> str:
    """Return a heading with its first letter large."""
    return "LeNet" if words == "lenet" else words[:1].upper() + words[1:]


def top(title: str, what: str, name: str, language: str) -> list[str]:
    """Return a heading, and the link to the page in the other language."""
    other = next(each for each in LANGUAGES if each != language)
    return [f"# {title}", "", f"[{NAMES[other]}](../../{other}/{what}/{name}.md)"]


def how(what: str, language: str, recorded: dict[str, Any]) -> str:
    """Return how a page was made, and the command that runs it."""
    return translate(
        language,
        "Generated by `{command}` from `results/pages.json` on {machine}. Run it yourself: "
        "`python -m experiments.{what} {example}`.",
        command="python scripts/pages.py run",
        machine=listed(
            map(hardware, sorted({page["machine"] for page in recorded.values()})), "; "
        ),
        what=what,
        example=next(iter(recorded)) + {"en": "", "zh": " --lang=zh"}[language],
    )


def summary(language: str) -> list[str]:
    """Return the sections, a line each."""
    t = partial(translate, language)
    return [
        *(
            "- "
            + t(
                "{section}: {text}", section=f"[{titled(t(WORDS[name]))}]({name}.md)", text=t(title)
            )
            for name, (title, _) in pages()["chapter"].items()
        ),
        "",
    ]


def contents(language: str, recorded: dict[str, Any]) -> list[str]:
    """Return the table of the exercises."""
    t = partial(translate, language)
    rows = []
    for number, e in EXERCISES.items():
        done = recorded[number]["en"][0][0] != "error"
        took = f"{recorded[number]['seconds']:.0f}" if done else t("no data")
        link = f"[{number}]({number.partition('.')[0]}.md#{number.replace('.', '')})"
        rows.append(f"| {link} | {e.kind} | {took} | {t(e.question)} |")
    seconds, question = t("seconds"), t("question")
    count = t(
        "{count} exercises, each answered with runnable code. R: experiment; P: proof with a "
        "numerical check. Seconds are from a cold start; section 6 was measured beside other work "
        "on the same cores. “No data” marks an exercise whose dataset could not be reached.",
        count=len(rows),
    )
    head = f"| | | {seconds} | {question} |"
    return [count, "", head, "|---|---|---|---|", *rows, ""]


def body(events: list[Any], language: str) -> list[str]:
    """Return the events of a page as Markdown; consecutive code shares a block."""
    form = {"say": "{}", "note": "- {}", "check": "- ✓ {}", "answer": "**→ {}**"}
    lines: list[str] = []
    for kind, text, file in events:
        if kind in ("show", "value"):
            if lines and lines[-2:] == ["```", ""]:
                del lines[-2:]
            else:
                lines.append("```text")
            lines += [*text.splitlines(), "```", ""]
        elif kind == "figure":
            lines += [f"![{text}]({file})", "", f"*{text}*", ""]
        elif kind == "error":
            lines += [translate(language, "Not run here: {error}", error=text), ""]
        else:
            lines += [form[kind].format(marked(text)), ""]
    return lines


def marked(text: str) -> str:
    """Return a text whose signs Markdown does not take for its own."""
    return text.replace("*", r"\*").replace("|", r"\|")


def stale() -> list[str]:
    """Return the pages whose heading or English text differs from the code."""
    said = [
        re.sub(r"\\{.*?\\}", ".*", re.escape(text))  # a name in braces stands for anything
        for text, places in translations.texts().items()
        if any(place.startswith("lenet/chapter") for place in places) and text not in PAIRS
    ]
    patterns = re.compile("|".join(said), re.DOTALL)
    record, wrong = recorded(), []
    for what, known in pages().items():
        for name, (title, _) in known.items():
            page = record[what].get(name, {"heading": "", "en": []})
            sentences = [
                text for kind, text, _ in page["en"] if kind not in ("show", "value", "error")
            ]
            if page["heading"] != title or not all(map(patterns.fullmatch, sentences)):
                wrong.append(name)
    return wrong


def main(arguments: list[str]) -> None:
    """Run, write or check."""
    if arguments[:1] == ["run"]:
        run(arguments[1:])
    elif arguments not in ([], ["--check"]):
        sys.exit(f"error: {' '.join(arguments)}: expected run [NAME...], --check or nothing")
    if wrong := stale():
        sys.exit(f"error: pages out of date; run scripts/pages.py run {' '.join(wrong)}")
    for path, content in rendered().items():
        if arguments != ["--check"]:
            files.write(path, content.encode())
        elif not path.exists() or path.read_text(encoding="utf-8") != content:
            sys.exit(f"error: {path.name} is out of date; run scripts/pages.py")


if __name__ == "__main__":
    main(sys.argv[1:])
