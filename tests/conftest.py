"""Strictness and fixtures for every test."""

import gc
import json
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # not a warning for each program that is found

import filelock
import hypothesis
import jax
import jaxtyping
import pytest
from commands import command
from jaxtyping import install_import_hook
from skipping import skip
from tabulate import tabulate

# Before anything imports lenet: every annotated function then checks shapes and types in each call.
install_import_hook(
    [
        "lenet.data.splits",
        "lenet.engine",
        "lenet.inspect",
        "lenet.model",
        "lenet.ops.blocks",
        "lenet.ops.convolution",
        "lenet.ops.general",
        "lenet.ops.compiled",
        "lenet.ops.native",
        "lenet.ops.pooling",
        "lenet.reference",
        "lenet.train",
    ],
    "annotations.check",
)

import idx_folder  # noqa: E402

from lenet import data, files, records  # noqa: E402
from lenet.data import synthetic  # noqa: E402
from lenet.engine import programs  # noqa: E402
from lenet.errors import DataError  # noqa: E402

os.environ["LC_ALL"] = "C.UTF-8"  # the messages that tests quote are English
jax.config.update("jax_numpy_rank_promotion", "raise")
# As the entry points do: what devices share, they share in tests.
jax.config.update("jax_num_cpu_devices", 2)
# Shapes are drawn at random and each compiles anew: few examples, no deadline.
hypothesis.settings.register_profile("quick", max_examples=5, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=50, deadline=None)
hypothesis.settings.load_profile("quick")


# What is imported stays; and what a trace leaves is many small objects, which were looked through
# again and again for garbage: a twelfth of the time of the tests.
gc.freeze()
gc.set_threshold(20_000, 20, 20)

FAULTS = ("injected", "detected", "recovered", "bit-equal")
BEGIN = pytest.StashKey[float]()
DAYS = 14
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(autouse=True, scope="module")
def _few_mappings():
    """Forget programs before there are too many: each maps memory, of which Linux allows 65,530."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()
        gc.collect()


def keep_programs(directory: Path, *, prune: bool) -> None:
    """Have this process keep what it compiles, and find what others and earlier runs compiled.

    Also what takes no time: an operation by itself is compiled in 0.03 s, and found in 0.005. The
    processes that tests start keep theirs where `programs.keep` says, as they do without tests.
    """
    path = directory / programs.target()
    path.mkdir(mode=0o700, exist_ok=True)
    if prune:
        old = time.time() - DAYS * 86400
        for program in path.glob("*-cache"):
            if program.stat().st_mtime < old:
                program.unlink(missing_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A function that returns a directory which one of the workers makes, and all of them read."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def made(name: str, make: Callable[[Path], object]) -> Path:
        path = root / "once" / name
        path.parent.mkdir(exist_ok=True)
        with filelock.FileLock(path.with_suffix(".lock")):
            if not path.exists():
                unfinished = path.with_suffix(".unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(path)
        return path

    return made


@pytest.fixture(scope="session")
def tiny(once) -> Path:
    """A folder of IDX files that trains in no time."""
    return once("tiny", lambda path: idx_folder.write(path, synthetic.make(300, 60)))


@pytest.fixture(scope="module")
def trained(once, tiny, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A finished run of three epochs: a directory of this module's own, and what it printed."""

    def make(path: Path) -> None:
        flags = ["--dataset=tiny", f"--data_dir={tiny}", "--batch_size=64", "--epochs=3"]
        flags += ["--valid=50", "--preset=modern", "--lr=0.05", "--run_dir=run", "--noreport"]
        done = command("train", *flags, cwd=path)
        assert done.returncode == 0, done.stderr
        (path / "done.json").write_text(json.dumps(vars(done)))

    path = once("trained", make)
    own = tmp_path_factory.mktemp("runs") / "run"
    shutil.copytree(path / "run", own)
    return own, subprocess.CompletedProcess(**json.loads((path / "done.json").read_text()))


@pytest.fixture(scope="session")
def fashion_mnist() -> data.Data:
    """The real data set, fetched where that is possible."""
    try:
        return data.load("fashion_mnist")
    except DataError as error:
        skip(f"no source of Fashion-MNIST can be reached: {error}")
        raise


@pytest.fixture
def unchecked():
    """Annotations are not checked, as for a user: the test is of an error of the project's own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium of this system, driven by Playwright."""
    given = os.environ.get("LENET_BROWSER")
    found = given or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        skip(f"no browser here ({', '.join(BROWSERS)}; LENET_BROWSER names another)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip("Playwright is not installed (scripts/setup dev)")
        raise
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        made = playwright.chromium.launch(executable_path=found, args=flags)
        yield made
        made.close()


@pytest.fixture(scope="session")
def torch():
    """PyTorch, an implementation of the same network that we did not write."""
    try:
        import torch
    except ImportError:
        skip("PyTorch is not installed (scripts/setup torch)")
        raise
    torch.set_num_threads(1)
    return torch


def pytest_addoption(parser):
    group = parser.getgroup("faults", "faults that are injected (tests/faults)")
    group.addoption("--injections", type=int, help="about how many; by default a few of each kind")
    group.addoption("--faults-seed", type=int, help="seed of what is random in them")
    group.addoption("--faults-record", type=Path, help="file for the table, such as results/...")


def pytest_configure(config):
    config.stash[BEGIN] = time.monotonic()
    if hasattr(config, "cache"):
        keep_programs(config.cache.mkdir("programs"), prune=not hasattr(config, "workerinput"))
    if config.option.faults_seed is None and not hasattr(config, "workerinput"):
        config.option.faults_seed = random.randrange(1 << 16)


def pytest_report_header(config):
    return f"faults: --faults-seed={config.option.faults_seed}"


def pytest_terminal_summary(terminalreporter):
    """Print what was injected and what came of it, if a number of injections was asked for."""
    options = terminalreporter.config.option
    if options.injections is None:
        return
    found: dict[str, Counter] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "fault" and report.when == "teardown":
                    found.setdefault(value["fault"], Counter()).update(value["counts"])
    seconds = time.monotonic() - terminalreporter.config.stash[BEGIN]
    terminalreporter.section(f"faults, --faults-seed={options.faults_seed}, {seconds:.0f} s")
    rows = {name: [counts[kind] for kind in FAULTS] for name, counts in sorted(found.items())}
    points = {name: [x["points"], x["of"]] for name, x in sorted(found.items()) if x["of"]}
    total = [sum(column) for column in zip(*rows.values(), strict=True)]
    shown = [
        [name, *(count or "" for count in row), " of ".join(map(str, points.get(name, ())))]
        for name, row in (*rows.items(), ("all", total))
    ]
    terminalreporter.write_line(tabulate(shown, ("fault", *FAULTS, "points")))
    failed = any(terminalreporter.stats.get(what) for what in ("failed", "error"))
    if options.faults_record and not failed:
        record = {
            "command": f"scripts/test --faults --injections={options.injections} "
            f"--faults-seed={options.faults_seed}",
            "seconds": round(seconds),
            "environment": records.environment(),
            "faults": rows,
            "points": points,
        }
        files.write_json(options.faults_record, record)
