"""Runs the pages that were asked for, one after another: what chapter and exercises share."""

import difflib
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lenet import stopping
from lenet.errors import LenetError, UsageError
from lenet.language import translation


def choose(asked: Iterable[str], known: Iterable[str], what: str) -> list[str]:
    """Return the names in `known` that were asked for, in its order; all, if none was.

    Upper case and hyphens do not matter. A number asks also for its parts: 2.2 for 2.2a and 2.2b.

    Raises:
      UsageError: for an unknown name, with the nearest.
    """
    known = list(known)
    chosen = set()
    for name in asked:
        plain = unicodedata.normalize("NFKC", name).lower().replace("-", "_")
        found = {k for k in known if k == plain or (k[:-1] == plain and plain[-1:].isdigit())}
        if not found:
            near = difflib.get_close_matches(plain, known, n=3, cutoff=0.5)
            if plain[:1].isdigit():  # its section's numbers say more than those that look alike
                near = [k for k in known if k.split(".")[0] == plain.split(".")[0]]
            guess = f", did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"no {what} {name!r}{guess} (--list names all)")
        chosen |= found
    return [name for name in known if not asked or name in chosen]


def writable(name: str) -> Path:
    """Return the directory for the figures, made if need be.

    Raises:
      UsageError: where that cannot be, before anything has run.
    """
    directory = Path(name).expanduser()
    try:
        if not name:
            raise FileNotFoundError
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        reason = "not a directory" if directory.is_file() else error.strerror or "no name"
        message = f"--out_dir={name}: cannot write there ({reason}): name a directory of yours"
        raise UsageError(message) from None
    return directory


def walk(
    pages: Mapping[str, tuple[str, Callable[..., None]]], language: str, directory: Path
) -> None:
    """Run pages, each under its heading; go on after one that fails, and fail at the end.

    Args:
      pages: by name, a heading and the function that fills the page.
      language: what they are printed in.
      directory: for the figures, from `writable`.

    Raises:
      LenetError: with exit status 1 if a check did not hold, else the first error of a page.
    """
    import jax

    from lenet.chapter.page import CheckError, Page, console

    out, begin = console(), time.monotonic()
    translated = translation(language)
    failed, errors, checks = [], [], 0
    for name, (heading, fill) in pages.items():
        page = Page(translated, directory, out)
        out.print(f"\n{name}  {heading}", style="bold")
        # A GPU would otherwise round the factors of a product to 10 bits.
        with jax.default_matmul_precision("highest"), stopping.patience():
            try:
                fill(page)
            except CheckError:
                failed.append(name)
            except LenetError as error:
                errors.append(error)
                page.note("not run: {error}", error=error)
        checks += sum(event.kind == "check" for event in page.events)
    if failed:
        raise LenetError(f"a check did not hold in {', '.join(failed)}")
    if errors:
        raise errors[0]
    text = translated("{checks} checks held, in {seconds} s; figures in {directory}/")
    seconds = f"{time.monotonic() - begin:.0f}"
    out.print("\n" + text.format(checks=checks, seconds=seconds, directory=directory))
