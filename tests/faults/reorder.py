"""What a crash may leave of writes that nobody has waited for: the states of a small file system.

A trace of disk.c is replayed in memory. Bytes of a file are on the disk for certain once the file
was flushed (fsync), and names in a directory once the directory was; until then each may be there
or not, in any order. A rename is there or not, as a whole. This is the model of ALICE (Pillai et
al., OSDI 2014), and the states are built as CrashMonkey does (Mohan et al., OSDI 2018).
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = -1
"""In the place of a number: the name means a directory."""
Tree = dict[str, bytes | None]
"""Files below a directory, and what they hold; None for a directory."""


class Step(NamedTuple):
    """A change that may be lost by itself."""

    names: dict[str, int | None]  # what they mean from now on: a file, by number, or nothing
    file: int | None  # whose bytes change
    data: bytes | None  # appended; None: the file is cut to nothing


class Flush(NamedTuple):
    """What the disk has from now on: a file, the names in a directory, or everything."""

    file: int | None = None
    folder: str | None = None


def steps(before: Tree, trace: str) -> Iterator[Step | Flush]:
    """Yield the changes that make a tree, then those of a trace."""
    names: dict[str, int] = {}
    for count, (name, content) in enumerate(before.items(), start=1):
        names[name] = FOLDER if content is None else count
        yield Step({name: names[name]}, count, content)
    yield Flush()
    count = len(before)
    for line in trace.splitlines():
        call, path, source, data = line.split(" ")
        if call in ("open", "mkdir") and path not in names:
            count += 1
            names[path] = FOLDER if call == "mkdir" else count
            yield Step({path: names[path]}, None, None)
        elif call == "write":
            yield Step({}, names[path], bytes.fromhex(data))
        elif call == "truncate":
            if path not in names:
                count += 1
                names[path] = count
                yield Step({path: count}, None, None)
            yield Step({}, names[path], None)
        elif call == "rename":
            names[path] = names.pop(source)
            yield Step({source: None, path: names[path]}, None, None)
        elif call in ("unlink", "rmdir"):
            del names[path]
            yield Step({path: None}, None, None)
        elif call == "fsync" and names.get(path, FOLDER) == FOLDER:
            yield Flush(folder=path)
        elif call == "fsync":
            yield Flush(file=names[path])


def tree(done: list[Step]) -> Tree:
    """Return the files after some changes; what lies in a directory that is lost is lost."""
    names: dict[str, int] = {"": FOLDER}
    content: dict[int, bytes] = {}
    for step in done:
        for name, file in step.names.items():
            names.pop(name, None)
            if file is not None:
                names[name] = file
        if step.file is not None:
            content[step.file] = content.get(step.file, b"") + step.data if step.data else b""
    return {
        name: None if file == FOLDER else content.get(file, b"")
        for name, file in sorted(names.items())
        if name and all(names.get(str(above).rstrip("/")) == FOLDER for above in Path(name).parents)
    }


def states(before: Tree, trace: str) -> list[Tree]:
    """Return the states that a crash at each step of a trace may leave, each once.

    Of what is not flushed all is there, none, all but one, one alone, or one in half or as zeros.
    """
    found: dict[frozenset, Tree] = {}
    done: list[Step] = []
    pending: list[int] = []
    for step in steps(before, trace):
        if isinstance(step, Step):
            pending.append(len(done))
            done.append(step)
        else:
            pending = [at for at in pending if not _has(step, done[at])]
        if isinstance(step, Step) and len(done) <= len(before):
            continue  # the tree is still being made
        for lost in _losses(done, pending):
            state = tree([lost.get(at, each) for at, each in enumerate(done)])
            found.setdefault(frozenset(state.items()), state)
    return [*found.values()]


NOTHING = Step({}, None, None)


def _has(flush: Flush, step: Step) -> bool:
    """Whether the disk has a change after a flush."""
    if flush.file is not None:
        return step.file == flush.file
    folders = {name.rpartition("/")[0] for name in step.names}
    return flush.folder is None or folders == {flush.folder}


def _losses(done: list[Step], pending: list[int]) -> Iterator[dict[int, Step]]:
    """Yield what may have become of the changes that are pending, by number."""
    every = dict.fromkeys(pending, NOTHING)
    yield {}
    yield every
    for at in pending:
        yield {at: NOTHING}
        yield {other: NOTHING for other in pending if other != at}
        if data := done[at].data:
            yield {at: done[at]._replace(data=data[: len(data) // 2])}
            yield {at: done[at]._replace(data=bytes(len(data)))}


def read(place: Path) -> Tree:
    """Return what is below a directory, and the directory."""
    return {
        f"/{path.relative_to(place.parent)}": None if path.is_dir() else path.read_bytes()
        for path in sorted([place, *place.rglob("*")])
        if place.exists()
    }


def build(state: Tree, place: Path) -> None:
    """Write a state, which has a directory and what is below it, in place of that."""
    shutil.rmtree(place, ignore_errors=True)
    for name, content in sorted(state.items()):
        path = place.parent / name.lstrip("/")
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
