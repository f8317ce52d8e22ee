"""Choose pages by name and run them one after another: sections, claims or exercises."""

import difflib
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lenet import stopping
from lenet.errors import LenetError, UsageError
from lenet.language import translate


def choose(asked: Iterable[str], known: Iterable[str], what: str) -> list[str]:
    """Return those `known` names that match `asked`, in order; all, if `asked` is empty.

    Case and hyphens are ignored. A number selects all its parts: 2.2 selects 2.2a and 2.2b.

    Raises:
      UsageError: for an unknown name; the message suggests the nearest names.
    """
    known = list(known)
    chosen = set()
    for name in asked:
        plain = unicodedata.normalize("NFKC", name).lower().replace("-", "_")
        found = {k for k in known if k == plain or (k[:-1] == plain and plain[-1:].isdigit())}
        if not found:
            near = difflib.get_close_matches(plain, known, n=3, cutoff=0.5)
            if plain[:1].isdigit():  # suggest its section, not similar digits
                near = [k for k in known if k.split(".")[0] == plain.split(".")[0]]
            guess = f" Did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"unknown {what} {name!r}.{guess} Use --list to see all.")
        chosen |= found
    return [name for name in known if not asked or name in chosen]


def writable(name: str) -> Path:
    """Return the directory for the figures; create it if it does not exist.

    Raises:
      UsageError: if it cannot be created or written to, before any page runs.
    """
    directory = Path(name).expanduser()
    try:
        if not name:
            raise FileNotFoundError
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        reason = "not a directory" if directory.is_file() else error.strerror or "no name given"
        message = f"--out_dir={name}: cannot write there ({reason}). Choose another directory."
        raise UsageError(message) from None
    return directory


def walk(
    pages: Mapping[str, tuple[str, Callable[..., None]]], language: str, directory: Path
) -> None:
    """Run pages, each under its heading; continue after a failure, and fail at the end.

    Args:
      pages: by name, the translated heading and the function that fills the page.
      language: of the output, en or zh.
      directory: for the figures, from `writable`.

    Raises:
      LenetError: with exit status 1 if a check failed, else the first error of a page.
    """
    import jax

    from lenet.chapter.page import CheckError, Page, console

    out, begin = console(), time.monotonic()
    failed, errors, checks = [], [], 0
    for name, (heading, fill) in pages.items():
        page = Page(language, directory, out)
        out.print(f"\n{name}  {heading}", style="bold")
        # A GPU would otherwise round the factors of a product to 10 bits.
        with jax.default_matmul_precision("highest"), stopping.patience():
            try:
                fill(page)
            except CheckError:
                failed.append(name)
            except LenetError as error:
                errors.append(error)
                page.note("skipped: {error}", error=error)
        checks += sum(event.kind == "check" for event in page.events)
    if failed:
        raise LenetError(f"checks failed in {', '.join(failed)}")
    if errors:
        raise errors[0]
    text = "\n" + translate(
        language,
        "{checks} checks passed in {seconds:.0f} s; figures saved to {directory}/",
        checks=checks,
        seconds=time.monotonic() - begin,
        directory=directory,
    )
    out.print(text)
