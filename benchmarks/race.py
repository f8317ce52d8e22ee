"""Seconds from the command to a validation accuracy: our search, and Optuna with PyTorch.

Both search the same five axes with the same sampler (TPE), on the same held-out images, for at
most EPOCHS epochs a setting, with successive halving (η = 2) that compares first after MIN_EPOCHS
epochs: ours, which pauses and promotes, and Optuna's own pruner, which stops for good. Which
settings come first is luck, so both begin with the same ten, those that TPE draws at random from
the seed. Optuna's processes have one thread on a core each and share a study; their data are
resident, as ours are. Nothing that is compiled is kept from one search to the next. Ours is seen
to get there when a setting is compared, after 3, 6 or 10 epochs, theirs after any epoch. The order
of the searches in a round is random.
"""

import contextlib
import importlib.metadata
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from benchmarks.rounds import Tell
from lenet import search
from lenet.engine import cores
from lenet.language import mark, translation
from lenet.search import proposals

if TYPE_CHECKING:
    import optuna

TARGET = 0.88
LIMIT = 900.0
"""Seconds after which a search is given up."""
EPOCHS = 10
MIN_EPOCHS = 3
"""Epochs before settings are compared; networks with sigmoids may stay at chance level before."""
TRIALS = 200
SEEDS = 1000
"""Between the seeds of two repeats."""
HELD_OUT = 10_000
SPACE: search.Space = {
    "activation": ("sigmoid", "relu"),
    "pool": ("avg", "max"),
    "lr": search.Range(0.001, 1.0, log=True, whole=False),
    "batch_size": (32, 64, 128, 256),
    "momentum": search.Range(0.0, 0.95, log=False, whole=False),
}
FIRST = 10
"""Settings that TPE draws at random before it looks at any."""
MODES: dict[str, dict[str, Any]] = {
    "torch_eager": {},
    "torch_last": {"channels_last": True},
    "torch_compile": {"compiled": True},
    "torch_compile_last": {"compiled": True, "channels_last": True},
}
"""Of PyTorch, by search: what `benchmarks.pytorch.Program` takes."""
SEARCHES = ("lenet", *MODES)
_EVERY = 0.05  # seconds between two looks


def measure(
    names: list[str], repeats: int, dataset: str, tell: Tell, keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Return for each search when it reached TARGET: None if it did not within LIMIT seconds.

    `keep` is given what is known after each search.

    Returns:
      `searches`: name, seed, seconds, trials begun, epochs trained, and the highest accuracy.
    """
    about: dict[str, Any] = {
        "target": TARGET,
        "limit": LIMIT,
        "epochs": EPOCHS,
        "min_epochs": MIN_EPOCHS,
        "cores": cores.cores(),
    }
    for package in ("torch", "optuna"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            about[package] = importlib.metadata.version(package)
    found: list[dict[str, Any]] = []
    order = random.Random(0)
    for seed in range(repeats):
        for name in order.sample(names, len(names)):
            tell(f"round {seed + 1}: {name}")
            found.append({"name": name, "seed": seed} | _one(name, seed, dataset))
            keep(about | {"searches": found})
    return about | {"searches": found}


def _one(name: str, seed: int, dataset: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        path = directory / ("run" if name == "lenet" else "") / search.LEDGER
        if name != "lenet":
            study(directory, first(seed))
        began = time.monotonic()
        with _running(_commands(name, seed, dataset, directory), directory) as processes:
            while True:
                time.sleep(_EVERY)
                seconds = time.monotonic() - began
                statuses = [each.poll() for each in processes]
                if any(statuses):  # at half the speed it would not be itself
                    raise RuntimeError((directory / "log").read_text()[-2000:])
                ended = None not in statuses
                marks, trials = _marks(path)
                best = max(marks, default=0.0)
                if best >= TARGET or seconds > LIMIT or ended:
                    break
        reached = round(seconds, 1) if best >= TARGET else None
        return {"seconds": reached, "trials": trials, "epochs": len(marks), "best": best}


def _commands(name: str, seed: int, dataset: str, directory: Path) -> list[list[str]]:
    if name != "lenet":
        rival = [sys.executable, "-m", "benchmarks.optuna_torch", str(directory), dataset, name]
        return [[*rival, str(seed), str(i)] for i in range(cores.cores())]
    axes = {
        name: f"{axis.low:g}..{axis.high:g}" + (":log" if axis.log else "")
        if isinstance(axis, search.Range)
        else ",".join(map(str, axis))
        for name, axis in SPACE.items()
    }
    flags: dict[str, Any] = {"dataset": dataset, "valid": HELD_OUT, "epochs": EPOCHS}
    flags |= axes | {"trials": TRIALS, "halving": 2, "min_epochs": MIN_EPOCHS}
    flags |= {"sampler_seed": seed, "seed": SEEDS * seed, "run_dir": directory / "run"}
    given = [f"--{name}={value}" for name, value in flags.items()]
    return [[sys.executable, "-m", "experiments.search", *given, "--noreport"]]


def first(seed: int) -> list[Mapping[str, Any]]:
    """Return the settings that our search proposes first."""
    trials: list[search.Trial] = []
    for n in range(FIRST):
        unseen: tuple[Any, ...] = ([{}] * n, [False] * n, {})
        trials.append(proposals.propose(SPACE, "tpe", seed, trials, *unseen))
    return [trial.setting for trial in trials]


def study(directory: Path, settings: Iterable[Mapping[str, Any]] = ()) -> "optuna.Study":
    """Return the study of a directory, with settings that are to come first."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=MIN_EPOCHS, reduction_factor=2)
    found = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(directory / "journal"))),
        pruner=pruner,
        study_name="race",
        direction="maximize",
        load_if_exists=True,
    )
    for setting in settings:
        found.enqueue_trial(dict(setting))
    return found


@contextlib.contextmanager
def _running(commands: list[list[str]], directory: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start processes that keep what they compile in the directory; end them with the block."""
    env = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(directory / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "TORCHINDUCTOR_CACHE_DIR": str(directory / "inductor"),
    }
    with (directory / "log").open("wb") as log:
        processes = [
            subprocess.Popen(each, env=env, stdout=log, stderr=log, start_new_session=True)
            for each in commands
        ]
        try:
            yield processes
        finally:
            for each in processes:
                if each.poll() is None:
                    os.killpg(each.pid, signal.SIGTERM)
            for each in processes:
                each.wait()


def _marks(path: Path) -> tuple[list[float], int]:
    """Return every validation accuracy in a ledger, and the number of trials in it."""
    if not path.exists():
        return [], 0
    lines = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    marks = [mark["valid_accuracy"] for line in lines for mark in line.get("marks", ())]
    return marks, len({line["trial"] for line in lines})


TITLES = {
    "lenet": mark("lenet search"),
    "torch_eager": mark("Optuna, PyTorch eager"),
    "torch_last": mark("Optuna, PyTorch channels_last"),
    "torch_compile": mark("Optuna, torch.compile"),
    "torch_compile_last": mark("Optuna, torch.compile and channels_last"),
}


def table(record: dict[str, Any], language: str = "en") -> str:
    """Return a row for each search: seconds of each repeat, and what was trained until then."""
    t = translation(language)
    rows = []
    for name in SEARCHES:
        own = [each for each in record["searches"] if each["name"] == name]
        if not own:
            continue
        seconds = [each["seconds"] for each in own]
        late = f"> {record['limit']:.0f}"
        rows.append(
            [
                t(TITLES[name]),
                ", ".join(late if s is None else f"{s:.0f}" for s in seconds),
                f"{statistics.median(record['limit'] if s is None else s for s in seconds):.0f}",
                ", ".join(str(each["trials"]) for each in own),
                ", ".join(str(each["epochs"]) for each in own),
            ]
        )
    heads = [
        t("search"),
        t("seconds, each repeat"),
        t("median"),
        t("settings begun"),
        t("epochs known by then"),
    ]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)
