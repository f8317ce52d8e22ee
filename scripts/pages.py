"""Write docs/chapter*.md and docs/exercises*.md: what every section and exercise says and draws.

python scripts/pages.py run [NAME...]   run them (all: a quarter of an hour on two cores), keep what
                                        they said in results/pages.json and their figures in docs/
python scripts/pages.py                 write the pages from the record
python scripts/pages.py --check         fail if that would change them, or the record is out of date
"""

import io
import json
import re
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import translations
from PIL import Image
from rich.console import Console

from lenet import files, records, train
from lenet.chapter.claims.ledger import claims
from lenet.chapter.exercises import exercises
from lenet.chapter.page import Page
from lenet.chapter.sections import NAMES, sections, title
from lenet.config import Config
from lenet.data import Data
from lenet.errors import DataError
from lenet.language import LANGUAGES, translation

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "results" / "pages.json"
FILES = {"en": "{}.md", "zh": "{}.zh-CN.md"}
TEXT = {
    "en": {
        "chapter": "The chapter, run",
        "exercises": "The chapter's exercises, answered",
        "how": "Written by `{command}` from `results/pages.json`, on {machine}. Run any of it: "
        "`python -m experiments.{what} {example}`.",
        "count": "{count} exercises, each answered by what runs: R is an experiment, P a proof "
        'checked in numbers. {there} were run here; "data" marks one whose data set could not be '
        "reached, so that its answer is written but not seen. Seconds are from a cold start; those "
        "of section 6 were measured beside other work on the same cores.",
        "head": "| | | seconds | question |\n|---|---|---|---|",
        "data": "data",
        "not run": "Not run here: {error}",
        "other": "[中文]({})",
    },
    "zh": {
        "chapter": "让这一章运行起来",
        "exercises": "本章练习的解答",
        "how": "由 `{command}` 根据 `results/pages.json` 生成，环境：{machine}。"
        "任何一部分都可以自己运行："
        "`python -m experiments.{what} {example} --lang=zh`。",
        "count": "{count} 道练习，每道都由可运行的代码解答：R 为实验，P 为用数值检验的证明。"
        "其中 {there} 道在此运行过；“数据”表示无法取得所需的数据集，解答已写好，但未见结果。"
        "秒数为冷启动的用时；第 6 节的秒数是在同一处理器上还有其他工作时测得的。",
        "head": "| | | 秒 | 问题 |\n|---|---|---|---|",
        "data": "数据",
        "not run": "此处未运行：{error}",
        "other": "[English]({})",
    },
}


def pages() -> dict[str, dict[str, tuple[str, Callable[[Page], None]]]]:
    """Every page by kind and name: its heading, and what fills it."""
    headed = {name: (title(fill), fill) for name, fill in sections().items()}
    return {
        "chapter": headed | {"claims": (title(claims), claims)},
        "exercises": {e.number: (e.question, e.answer) for e in exercises().values()},
    }


def run(chosen: list[str]) -> None:
    """Run pages in both languages; keep what they say, and their figures, page by page."""
    known = {(what, name): page for what, of in pages().items() for name, page in of.items()}
    if unknown := set(chosen) - {name for _, name in known}:
        sys.exit(f"error: no page {', '.join(sorted(unknown))}")
    old = json.loads(RECORD.read_text(encoding="utf-8"))["pages"] if RECORD.exists() else {}
    kept = {(what, name): page for what, of in old.items() for name, page in of.items()}
    # What training gave for the first language is what the second tells of.
    train.run = once(train.run)  # type: ignore[assignment]
    for (what, name), (heading, fill) in known.items():
        if chosen and name not in chosen:
            continue
        page: dict[str, Any] = {"heading": heading, "machine": machine()}
        jax.clear_caches()  # as for someone who runs this page alone
        for language in LANGUAGES:
            begin = time.monotonic()
            page[language] = one(what, fill, language)
            page.setdefault("seconds", round(time.monotonic() - begin, 1))
        kept[what, name] = page
        record: dict[str, Any] = {"command": "python scripts/pages.py run", "pages": {}}
        for key in filter(kept.__contains__, known):  # in order, and nothing that is no more
            record["pages"].setdefault(key[0], {})[key[1]] = kept[key]
        text = json.dumps(record, ensure_ascii=False, indent=1)
        files.write(RECORD, (text + "\n").encode())
        print(f"{what} {name}: {page['seconds']} s", flush=True)


def machine() -> str:
    """Hardware and versions."""
    environment = records.environment()
    versions = ", ".join(f"{name} {environment['versions'][name]}" for name in ("jax", "flax"))
    return (
        f"{environment['processor']}, {environment['cores']} cores, "
        f"Python {environment['python']}, {versions}"
    )


def once(run: Callable[[Config, Data], Any]) -> Callable[[Config, Data], Any]:
    """Return `train.run` that remembers what it has trained."""
    known: dict[Any, Any] = {}

    def remembered(config: Config, data: Data) -> Any:
        key = (config, data.name, zlib.crc32(data.train.images.tobytes()), len(data.test.labels))
        if key not in known:
            known[key] = run(config, data)
        return known[key]

    return remembered


def one(what: str, fill: Callable[[Page], None], language: str) -> list[Any]:
    """What a page says in a language."""
    directory = ROOT / "docs" / what / language
    page = Page(translation(language), directory, Console(file=io.StringIO()))
    try:
        with jax.default_matmul_precision("highest"):
            fill(page)
    except DataError as error:
        return [("error", str(error).partition(" (")[0], "")]
    for event in page.events:
        if event.file:  # a palette takes a third of the room
            path = directory / event.file
            Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
    return [tuple(event) for event in page.events]


def rendered() -> dict[Path, str]:
    """Every page with its content."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    machines = sorted({p["machine"] for of in record["pages"].values() for p in of.values()})
    files = {}
    for what, known in pages().items():
        for language in LANGUAGES:
            text, t = TEXT[language], translation(language)
            other = FILES[next(lang for lang in LANGUAGES if lang != language)].format(what)
            how = text["how"].format(
                command=record["command"],
                machine="; ".join(machines),
                what=what,
                example=next(iter(known)),
            )
            lines = [f"# {text[what]}", "", text["other"].format(other), "", how, ""]
            if what == "exercises":
                there = [n for n in known if record["pages"][what][n][language][0][0] != "error"]
                count = text["count"].format(count=len(known), there=len(there))
                lines += [count, "", text["head"]]
                for number, e in exercises().items():
                    took = f"{record['pages'][what][number]['seconds']:.0f}"
                    seconds = took if number in there else text["data"]
                    anchor = number.replace(".", "")
                    lines.append(
                        f"| [{number}](#{anchor}) | {e.kind} | {seconds} | {t(e.question)} |"
                    )
                lines.append("")
            for name, (heading, _) in known.items():
                spoken = f"{t(NAMES[name])}: " if name in NAMES and language != "en" else ""
                lines += [f"## {name}", "", f"**{spoken}{t(heading)}**", ""]
                lines += body(record["pages"][what][name][language], what, language)
            files[ROOT / "docs" / FILES[language].format(what)] = "\n".join(lines).rstrip() + "\n"
    return files


def body(events: list[Any], what: str, language: str) -> list[str]:
    """A page's events as Markdown; code that stands together in one block."""
    lines: list[str] = []
    for kind, text, file in events:
        if kind in ("show", "value"):
            if lines and lines[-2:] == ["```", ""]:
                del lines[-2:]
            else:
                lines.append("```text")
            lines += [*text.splitlines(), "```", ""]
        elif kind == "figure":
            lines += [f"![{text}]({what}/{language}/{file})", "", f"*{text}*", ""]
        else:
            form = {"say": "{}", "note": "- {}", "check": "- ✓ {}", "answer": "**→ {}**"}.get(kind)
            shown = text.replace("*", r"\*").replace("|", r"\|")
            lines += [form.format(shown) if form else TEXT[language]["not run"].format(error=text)]
            lines.append("")
    return lines


def stale() -> list[str]:
    """What the record lacks, or says in words that the code has no more."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))["pages"] if RECORD.exists() else {}
    said = [re.escape(text) for text in translations.texts()]
    # a name in braces stands for anything
    patterns = re.compile("|".join(re.sub(r"\\{.*?\\}", ".*", text) for text in said), re.DOTALL)
    wrong = []
    for what, known in pages().items():
        for name, (heading, _) in known.items():
            page = record.get(what, {}).get(name, {"heading": "", "en": []})
            sentences = [
                text for kind, text, _ in page["en"] if kind not in ("show", "value", "error")
            ]
            if page["heading"] != heading or not all(map(patterns.fullmatch, sentences)):
                wrong.append(name)
    return wrong


def main(arguments: list[str]) -> None:
    """Run, write or check."""
    if arguments[:1] == ["run"]:
        run(arguments[1:])
    elif arguments not in ([], ["--check"]):
        sys.exit(f"error: {' '.join(arguments)}: expected run [NAME...], --check or nothing")
    if wrong := stale():
        sys.exit(f"error: not recorded as they are now: scripts/pages.py run {' '.join(wrong)}")
    for path, content in rendered().items():
        if arguments != ["--check"]:
            files.write(path, content.encode())
        elif not path.exists() or path.read_text(encoding="utf-8") != content:
            sys.exit(f"error: {path.name} is not what its record gives: run scripts/pages.py")


if __name__ == "__main__":
    main(sys.argv[1:])
