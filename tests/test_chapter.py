"""The chapter's sections and claims run, in both languages, and a check that fails is heard."""

import json
import math
import signal
from operator import attrgetter
from pathlib import Path

import pytest
from commands import command, start
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lenet.chapter import CHAPTER, CLAIMS, EXERCISES, NAMES, SECTIONS, Page, claims, walk
from lenet.chapter.claims import VERDICTS
from lenet.chapter.page import CheckError, console
from lenet.errors import DataError, UsageError
from lenet.language import wrapped

ROOT = Path(__file__).parent.parent


@pytest.fixture
def page(tmp_path) -> Page:
    return Page("en", tmp_path, console())


FURTHER = {"dilation", "matrix_product", "grouped", "blur_pool", "backward", "dense_head", "budget"}
FURTHER |= {"effective_receptive_field", "receptive_field", "fully_connected", "one_by_one"}
FURTHER |= {"stride", "edges", "channels", "multiple_channels", "padding"}


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=pytest.mark.slow) if x in FURTHER else x for x in SECTIONS]
)
def test_every_section_holds_and_draws_its_figure(page, name):
    SECTIONS[name](page)
    assert [event.kind for event in page.events].count("check") >= 3
    assert (page.directory / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("claim", [c for c in CLAIMS if not c.seconds], ids=attrgetter("name"))
def test_the_verdict_of_each_claim_is_as_recorded(page, claim):
    assert claim.compute(page).verdict == claim.verdict


@pytest.mark.slow
@pytest.mark.usefixtures("fashion_mnist")
@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.seconds], ids=attrgetter("name"))
def test_the_verdict_of_each_trained_claim_is_as_recorded(page, claim):
    assert claim.compute(page).verdict == claim.verdict


def test_there_are_at_least_the_seventeen_claims():
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS) >= 17
    assert {claim.verdict for claim in CLAIMS} <= set(VERDICTS)


def test_training_decides_a_claim_as_rarely_by_chance_as_said(page):
    """Exact, of all signs of n gains: how many of them decide."""
    for n in (3, 14, 15, 16, 24):
        verdicts = {k: claims.decided(page, [0.1] * k + [-0.2] * (n - k))[0] for k in range(n + 1)}
        deciding = [math.comb(n, k) for k, verdict in verdicts.items() if verdict != "inconclusive"]
        assert sum(deciding) / 2**n < claims.ALPHA
        assert bool(deciding) == (n >= 15)
        assert verdicts[n] != "false"
        assert verdicts[0] != "true"
    assert claims.decided(page, [0.0] * 40)[0] == "inconclusive"
    assert claims.decided(page, [0.1] * 16) == ("true", {"above": 16, "n": 16, "p": 2 / 2**16})


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.seconds], ids=attrgetter("name"))
def test_the_recorded_gains_of_a_trained_claim_have_its_verdict(page, claim):
    """What the page of the claims was made of; the slow test trains anew."""
    record = json.loads((ROOT / "results" / "pages.json").read_text(encoding="utf-8"))
    texts = [text for _, text, _ in record["pages"]["chapter"]["claims"]["en"]]
    own = texts[texts.index(claim.text) :]
    shown = next(text for text in own if text.startswith("gain with each seed: "))
    gains = [float(gain) for gain in shown.partition(": ")[2].split()]
    assert len(gains) >= 16
    assert claims.decided(page, gains)[0] == claim.verdict
    assert f"verdict: {claim.verdict}" == next(t for t in own if t.startswith("verdict: "))


def test_a_verdict_that_changes_fails(page):
    first = CLAIMS[0]
    changed = first._replace(verdict="false")
    with pytest.raises(CheckError, match=f"changed: {first.name}"):
        claims.check(page, [changed])


def test_without_data_the_other_claims_are_still_checked(page):
    def without_data(page):
        raise DataError("no data")

    with pytest.raises(DataError):
        claims.check(page, [CLAIMS[0]._replace(compute=without_data), CLAIMS[0]])
    assert [event.text for event in page.events if event.kind == "answer"] == ["verdict: true"]


def test_in_chinese_it_says_and_draws_chinese(tmp_path):
    page = Page("zh", tmp_path, console())
    SECTIONS["padding"](page)
    spoken = [event for event in page.events if event.kind != "show"]
    assert all(any("一" <= c <= "鿿" for c in event.text) for event in spoken)


@given(st.text("abc 步幅，。（）Δ→", max_size=60), st.integers(8, 30))
def test_wrapping_loses_nothing_and_keeps_the_width(text, width):
    lines = wrapped(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cell_len(line) <= width or " " not in line for line in lines)
    solid = wrapped("".join(text.split()), width)
    assert not any(line.startswith(tuple("，。）")) for line in solid[1:])


def test_a_name_stands_for_itself_its_parts_and_its_spellings():
    known = ["one_by_one", "2.2a", "2.2b", "2.3"]
    assert walk.choose(["One-by-One"], known, "section") == ["one_by_one"]
    assert walk.choose(["2.3", "2.2"], known, "exercise") == ["2.2a", "2.2b", "2.3"]
    assert walk.choose([], known, "exercise") == known


def test_a_section_has_a_chinese_name():
    done = command("chapter", "--list", "--lang=zh", "填充")
    assert done.returncode == 0
    assert done.stdout.split()[:2] == ["padding", "填充"]
    assert list(NAMES) == list(CHAPTER) == [*SECTIONS, "claims"]


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="unknown section 'claim'"):  # not the minutes of claims
        walk.choose(["claim"], ["claims"], "section")
    with pytest.raises(UsageError, match=r"section 'pading'\. Did you mean padding or pooling\?"):
        walk.choose(["pading"], SECTIONS, "section")
    with pytest.raises(UsageError, match=r"^unknown exercise '2\.2e'\. Did you mean .*2\.2d"):
        walk.choose(["2.2e"], EXERCISES, "exercise")


@pytest.mark.parametrize("directory", ["", "/dev/null", "/proc/none"])
def test_figures_that_cannot_be_saved_are_an_error_before_anything_runs(directory):
    done = command("chapter", "padding", f"--out_dir={directory}")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: --out_dir={directory}: cannot write there")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_an_interrupt_is_one_line_and_130(tmp_path):
    with start("-m", "experiments.chapter", f"--out_dir={tmp_path}") as process:
        while "fully_connected" not in process.stdout.readline():  # so it has begun
            pass
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate()
    assert process.returncode == 130
    assert complaint == "error: interrupted\n"
