"""Whatever is in a file, nothing but the project's errors comes out, in bounded memory and time.

Files that are read are damaged, mostly behind their checksums, in a process that may use only so
much more memory, and that ends where one case takes too long.
"""

import contextlib
import faulthandler
import functools
import json
import os
import resource
import struct
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from readers import READERS, Reader

from lenet.errors import LenetError

ROOM = 512 * 2**20
"""Bytes of address space that reading may take."""
SECONDS = 20
"""Deadline of a case; most take a millisecond."""
NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
TOKENS = (
    b"\0",
    b"\n",
    b'"',
    b"[" * 3000,
    b"{",
    b"9" * 5000,
    b"NaN",
    b"1e999",
    b"\xff",
    b"../",
    b"\x1b[2J",
)
PLACES = st.integers(0, 2**32 - 1)
EDITS = st.lists(st.tuples(st.integers(0, 6), PLACES, PLACES), min_size=1, max_size=4)


def edited(content: bytes, edits: list[tuple[int, int, int]]) -> bytes:
    """Flip, write, insert, cut and repeat parts of a file."""
    for kind, a, b in edits:
        size = len(content) + 1
        begin, end = sorted((a % size, b % size))
        match kind:
            case 0:
                flipped = bytes(byte ^ (1 << b % 8) for byte in content[begin : begin + 1])
                content = content[:begin] + flipped + content[begin + 1 :]
            case 1 | 2:
                number = struct.pack(">I" if kind == 1 else "<I", NUMBERS[b % len(NUMBERS)])
                begin = a % size
                content = content[:begin] + number + content[begin + 4 :]
            case 3:
                begin = a % size
                content = content[:begin] + TOKENS[b % len(TOKENS)] + content[begin:]
            case 4:
                content = content[:begin] + content[end:]
            case 5:
                content = content[:end] + content[begin:]
            case 6:
                content = content[: a % size]
    return content


def fuzz(name: str, cases: int, number: int, place: Path) -> None:
    """Read damaged files, in a process of its own; write what came of it to place/said."""
    out = os.open(place / "said", os.O_WRONLY | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(out, stream)
    warnings.simplefilter("ignore")
    reader: Reader = READERS[name]
    path = place / reader.file
    samples = reader.samples(place)
    for content in samples.values():
        path.write_bytes(content)
        reader.read(path)
    counts: Counter[str] = Counter()

    @seed(number)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[*HealthCheck],
        phases=[Phase.generate, Phase.shrink],
    )
    @given(st.sampled_from([*samples]), st.integers(0, 4), PLACES, EDITS)
    def case(name: str, check: int, part: int, edits: list[tuple[int, int, int]]) -> None:
        edit = functools.partial(edited, edits=edits)
        content = edit(samples[name]) if check == 0 else samples[name]
        with contextlib.suppress(Exception):  # no part is left to edit
            content = reader.inside(samples[name], part, edit) if check else content
        path.write_bytes(content)
        counts["injected"] += 1
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
        said = ""
        try:
            reader.read(path)
        except LenetError as error:
            said = str(error)
        finally:
            faulthandler.cancel_dump_traceback_later()
        counts["detected"] += bool(said)
        assert "\n" not in said

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    try:
        case()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    (place / "counts").write_text(json.dumps(counts))
    os._exit(0)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.fault("a damaged file or text, of every reader")
@pytest.mark.parametrize("name", READERS)
def test_whatever_a_reader_is_given_it_reads_it_or_says_why_not(fault, forked, tmp_path, name):
    if name == "PyTorch":
        pytest.importorskip("torch")
    cases = len(fault.times(40, READERS[name].share))
    number = fault.random.randrange(1 << 32)
    process = forked.Process(target=fuzz, args=(name, cases, number, tmp_path))
    process.start()
    process.join(1200)
    if process.exitcode != 0:
        process.kill()
        said = (tmp_path / "said").read_text(errors="replace")[-6000:]
        pytest.fail(f"{name}, seed {number}: {said}", pytrace=False)
    fault.counts.update(json.loads((tmp_path / "counts").read_text()))
