"""Runs on a cluster: the rows of one process, whoever dies, and nobody joins who should not."""

import asyncio
import contextlib
import dataclasses
import functools
import gc
import importlib
import os
import shutil
import signal
import socket
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import jax
import psutil
import pytest
from commands import ROOT, command, end, start
from distributed import WorkerPlugin
from record_rows import timeless
from skipping import skip

from lenet import cluster, records, runs, search, train
from lenet.cluster import client as client_module
from lenet.cluster import nodes, worker
from lenet.config import Config
from lenet.data import synthetic
from lenet.engine import cores
from lenet.engine.legs import Task
from lenet.errors import DataError, UsageError
from lenet.ops import compiled
from lenet.records import ledger

TINY = Config(dataset="synthetic", channels=(2, 3), hidden=(8,), batch_size=64, epochs=2)
# Two programs; the second run of the first diverges.
RUNS = [
    *(
        dataclasses.replace(TINY, activation="relu", lr=lr, seed=seed)
        for seed, lr in enumerate((0.1, 1e6, 0.3))
    ),
    dataclasses.replace(TINY, activation="sigmoid", epochs=4),
]
load = functools.partial(synthetic.make, 300, 50)


@pytest.fixture(scope="module")
def small():
    return load()


@pytest.fixture(scope="module")
def client():
    """A cluster of two workers, whatever the number of cores."""
    cache = {"JAX_COMPILATION_CACHE_DIR": jax.config.values["jax_compilation_cache_dir"]}
    with mock.patch.dict(os.environ, cache), cluster.local((cores.numbers() * 2)[:2]) as client:
        yield client


def test_short_runs_share_a_task_and_long_ones_do_not(monkeypatch):
    monkeypatch.setattr(client_module, "together", lambda *_: 1)  # as on a CPU
    fake = mock.Mock()
    todo = [dataclasses.replace(TINY, seed=seed) for seed in range(40)]
    sent = [*client_module._chunks(fake, todo, None, 2, 300)]
    assert [len(chunk.runs) for chunk in sent] == [5] * 8  # a quarter of 20
    assert sorted(run for chunk in sent for run in chunk.runs) == [*range(40)]
    assert not any(chunk.alone for chunk in sent)
    for few, examples in ((todo, 60_000), (todo[:6], 300)):
        sent = [*client_module._chunks(fake, few, None, 2, examples)]
        assert [len(chunk.runs) for chunk in sent] == [1] * len(few)
        assert all(chunk.alone for chunk in sent)


@pytest.mark.slow
def test_runs_that_share_a_task_have_the_rows_of_one_process(client, small):
    todo = [dataclasses.replace(TINY, epochs=1, seed=seed) for seed in range(24)]
    alone = {run: row for epoch in train.sweep(todo, small) for run, row in epoch.rows.items()}
    found = {}
    for standing in cluster.fit(client, todo, small, load):
        found |= standing.rows
        assert standing.begun <= 2
    assert sorted(found) == sorted(alone)
    assert timeless(found[run] for run in alone) == timeless(alone.values())


def test_a_task_is_handed_out_when_the_scheduler_knows_of_a_free_worker(client, small):
    todo = [dataclasses.replace(TINY, seed=seed) for seed in range(8)]
    given = []

    def submit(*args, **options):
        assert sum(each.status == "pending" for each in given) < 2
        given.append(real(*args, **options))
        return given[-1]

    real = client.submit
    ended = 0
    with mock.patch.object(client, "submit", submit):
        for standing in cluster.fit(client, todo, small, load):
            ended += sum(row.epoch == TINY.epochs for row in standing.rows.values())
            assert standing.begun + ended <= 8
    assert len(given) == ended == 8


def test_a_worker_that_is_killed_changes_no_line_of_the_ledger(client, tiny, tmp_path):
    todo = {run: dataclasses.replace(config, dataset="tiny") for run, config in enumerate(RUNS)}
    data = runs.load([*todo.values()], tiny)
    list(runs.many(todo, data, tmp_path / "alone.jsonl"))
    pids = [*client.run(os.getpid).values()]
    connect = functools.partial(contextlib.nullcontext, client)
    for news in runs.many(todo, data, tmp_path / "many.jsonl", data_dir=tiny, connect=connect):
        if pids:
            os.kill(pids.pop(), signal.SIGKILL)
            pids.clear()
        assert news.begun <= 2
    alone, many = (ledger.read(tmp_path / f"{name}.jsonl") for name in ("alone", "many"))
    assert [len(entry.rows) for entry in many] == [2, 0, 2, 4]
    assert "the loss was" in many[1].diverged
    assert [timeless_entry(entry) for entry in many] == [timeless_entry(entry) for entry in alone]


@pytest.mark.slow
def test_a_search_loses_nothing_with_a_worker_and_its_runs_are_those_of_this_process(
    client, tiny, tmp_path
):
    """ASHA decides by what came first; each run is nevertheless the beginning of the run alone."""
    base = dataclasses.replace(TINY, dataset="tiny", valid=50, activation="relu", epochs=4)
    axes = {"lr": search.Range(0.01, 0.5, True, False)}
    plans = {
        name: search.Plan(base, axes, 6, 1, search.Rule(name, 2, 1, 4), "random", 0, 0.1)
        for name in ("none", "asha")
    }
    (data,) = runs.load([base], tiny).values()
    for name in plans:
        (tmp_path / name).mkdir()
    list(runs.search(plans["none"], data, tmp_path / "none"))
    pids = [*client.run(os.getpid).values()]
    connect = functools.partial(contextlib.nullcontext, client)
    for news in runs.search(
        plans["asha"], data, tmp_path / "asha", data_dir=tiny, connect=connect, patience=60
    ):
        if pids:
            os.kill(pids.pop(), signal.SIGKILL)
            pids.clear()
        assert news.workers <= 2
    alone, many = (search.read(tmp_path / name / search.LEDGER) for name in plans)
    assert [trial.setting for trial in alone] == [trial.setting for trial in many]
    lengths = sorted(len(trial.runs[0].marks) for trial in many)
    assert lengths[-1] == 4
    assert sum(length > 1 for length in lengths) <= 3
    for one, other in zip(alone, many, strict=True):
        marks = [mark._replace(seconds=0.0) for mark in one.runs[0].marks]
        found = [mark._replace(seconds=0.0) for mark in other.runs[0].marks]
        assert found == marks[: len(found)]


@pytest.mark.slow
def test_a_worker_that_has_done_nothing_before_trains_with_the_direct_kernel(small):
    if why := compiled.missing():  # asked here: workers import this file, and it starts JAX
        skip(why)
    config = dataclasses.replace(TINY, network=dataclasses.replace(TINY.network, conv="native"))
    alone = [row for epoch in train.sweep([config], small) for row in epoch.rows.values()]
    with cluster.local([cores.numbers()[0]]) as client:
        found = [row for s in cluster.fit(client, [config], small, load) for row in s.rows.values()]
    assert timeless(found) == timeless(alone)


def wait_for(path):
    while not path.exists():
        time.sleep(0.05)


def plugins(dask_scheduler):
    return [*dask_scheduler.worker_plugins]


def test_what_a_client_that_died_left_on_the_cluster_is_in_nobody_s_way(client, small, tmp_path):
    """Its tasks, which nothing interrupts, and what it wanted of workers that come later."""
    theirs = [client.submit(wait_for, tmp_path / "done", pure=False) for _ in range(2)]
    while sum(map(len, client.processing().values())) < 2:
        time.sleep(0.05)
    assert client_module.together(client, work(small), TINY, 4) == 1
    assert {task.status for task in theirs} == {"pending"}
    (tmp_path / "done").touch()
    dead = f"{client_module.PREFIX}Client-that-died 00"
    client.register_plugin(WorkerPlugin(), name=dead)
    client.register_plugin(WorkerPlugin(), name="of another program")
    found = set()
    for _ in cluster.fit(client, [TINY], small, load):
        found.update(client.run_on_scheduler(plugins))
    assert "of another program" in found
    (own,) = (name for name in found if name.startswith(client_module.PREFIX))
    assert client.id in own
    client.unregister_worker_plugin("of another program")


def timeless_entry(entry):
    return entry._replace(rows=timeless(entry.rows))


def test_a_run_that_does_not_fit_is_the_error_of_the_sweep(client, small):
    huge = dataclasses.replace(TINY, hidden=(1 << 20, 1 << 20))
    with pytest.raises(UsageError, match="one run needs about"):
        list(cluster.fit(client, [huge], small, load))


def test_no_port_is_open_to_other_machines(client):
    family = [here := psutil.Process(), *here.children(recursive=True)]
    ports = [c.laddr.ip for p in family for c in p.net_connections() if c.status == "LISTEN"]
    assert set(ports) == {"127.0.0.1"}


def test_workers_stop_with_the_sweep_that_waits_for_them(small):
    with (
        cluster.local([]) as client,
        pytest.raises(UsageError, match=r"patience=0.1: no worker joined"),
    ):
        list(cluster.fit(client, RUNS, small, load, patience=0.1))


def kill(client, times: int, what: str = "fit") -> None:
    """Kill a worker that trains, again and again."""
    killed: set[int] = set()
    until = time.monotonic() + 60
    while len(killed) < times and time.monotonic() < until:
        time.sleep(0.1)
        for address, keys in client.processing().items():
            if any(what in key for key in keys):
                pids = client.run(os.getpid, workers=[address], on_error="ignore").values()
                for pid in set(pids) - killed:
                    os.kill(pid, signal.SIGKILL)
                killed.update(pids)


@pytest.mark.slow
def test_a_run_that_kills_three_workers_has_failed_and_the_others_go_on(small):
    two = [dataclasses.replace(TINY, epochs=999_999), TINY]
    with cluster.local([cores.numbers()[0]]) as client, ThreadPoolExecutor() as threads:
        killing = threads.submit(kill, client, 3)
        standings = list(cluster.fit(client, two, small, load))
        killing.result(timeout=10)
    found = [item for standing in standings for item in standing.rows.items()]
    assert [str(row) for run, row in found if run == 0][-1] == "failed: 3 workers died in it"
    assert [row.epoch for run, row in found if run == 1] == [1, 2]


@pytest.mark.slow
def test_a_leg_that_kills_three_workers_has_failed_and_the_search_goes_on(small):
    tasks = [Task(0, 0, dataclasses.replace(TINY, epochs=999_999), 0, 999_999)]
    tasks += [Task(1, 0, TINY, 0, 2)]
    waiting, ended = list(tasks), {}

    def ask(free):
        asked, waiting[:] = waiting[:free], waiting[free:]
        return asked

    with cluster.local([cores.numbers()[0]]) as client, ThreadPoolExecutor() as threads:
        killing = threads.submit(kill, client, 3, "advance")
        for standing, _ in cluster.follow(client, ask, None, TINY, 2, small, load, {}, False):
            ended |= standing.reached
        killing.result(timeout=10)
    assert ended[tasks[0]] == ([], "failed: 3 workers died in it", None)
    assert [row.epoch for row in ended[tasks[1]].rows] == [1, 2]


def work(small, **changes):
    return dataclasses.replace(
        worker.Work(small.fingerprint, load, worker.software(), {}, False, "topic"), **changes
    )


def test_a_worker_with_other_data_or_software_is_refused(small):
    assert worker._prepare(work(small)).fingerprint == small.fingerprint
    with pytest.raises(DataError, match="synthetic has other examples here"):
        worker._prepare(work(small, fingerprint="another"))
    for name in ("python", "sources"):
        other = worker.software() | {name: "another"}
        with pytest.raises(UsageError, match=f"differs from the client: {name} another, now"):
            worker._prepare(work(small, software=other))


def test_a_worker_with_other_code_of_the_user_s_is_refused(small, tmp_path, monkeypatch):
    path = tmp_path / "a_net_for_workers.py"
    path.write_text("from flax import linen as nn\nclass Mine(nn.Module):\n    width: int = 4\n")
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("a_net_for_workers").Mine()
    code = records.code_of([Config(mine), Config(mine), TINY])
    assert list(code) == ["a_net_for_workers"]
    assert worker._prepare(work(small, code=code)) is not None
    path.write_text(path.read_text() + "# the client's is newer than what this worker imported\n")
    with pytest.raises(UsageError, match="has imported another a_net_for_workers"):
        worker._prepare(work(small, code={"a_net_for_workers": "of the newer file"}))
    assert worker._prepare(work(small, code=code)) is not None
    with pytest.raises(UsageError, match="cannot import a_net_nowhere"):
        worker._prepare(work(small, code={"a_net_nowhere": ""}))


def test_a_worker_without_the_compiler_that_the_client_has_is_refused(small, monkeypatch):
    monkeypatch.setattr(worker.compiled, "missing", lambda: "no C++ compiler")
    assert worker._prepare(work(small)).fingerprint == small.fingerprint
    with pytest.raises(UsageError, match=r"has no direct convolution, which the client has: no C"):
        worker._prepare(work(small, direct=True))


@pytest.mark.slow
def test_a_worker_that_is_refused_leaves(small):
    with cluster.local([cores.numbers()[0]]) as client:
        with pytest.raises(DataError, match=r"worker tcp://127.0.0.1:\d+: synthetic has other"):
            list(cluster.fit(client, RUNS, synthetic.make(300, 51), load))
        with pytest.raises(UsageError, match="no worker joined"):
            list(cluster.fit(client, RUNS, small, load, patience=5))


def test_a_key_is_made_once_and_is_private(tmp_path):
    path = tmp_path / "key"
    with pytest.raises(UsageError, match=r"there is no cluster\.crt"):
        cluster.certificates(path)
    made = cluster.certificates(path, make=True)
    key = (path / "cluster.key").read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert cluster.certificates(path, make=True).get_connection_args("client")["ssl_context"]
    assert (path / "cluster.key").read_bytes() == key
    assert made.require_encryption
    path.chmod(0o750)
    with pytest.raises(UsageError, match="chmod 700"):
        cluster.certificates(path)
    public = tmp_path / "public"
    public.mkdir(mode=0o755)
    with pytest.raises(UsageError, match="chmod 700"):
        cluster.certificates(public, make=True)
    assert list(public.iterdir()) == []


@pytest.mark.slow
def test_dask_s_own_worker_joins_by_the_scheduler_s_file(tiny, tmp_path):
    """As the page has it for SLURM: with the key's files, and no address."""
    sizes = ("--channels=2,3", "--hidden=8", "--batch_size=64", "--epochs=2")
    data = ("--dataset=tiny", f"--data_dir={tiny}", "--noreport", "--seed=0:3")
    tables = []
    with contextlib.ExitStack() as stack:

        def begin(*words: str):
            process = start(*words, cwd=tmp_path)
            stack.callback(process.communicate)
            stack.callback(end, process.pid)
            return process

        where = ("--host=127.0.0.1", "--port=0", "--certificates=key")
        scheduler = begin(
            "-m", "experiments.cluster", "scheduler", *where, "--scheduler_file=cluster.json"
        )
        assert "scheduler at tls://127.0.0.1:" in scheduler.stdout.readline()
        tls = ("--tls-ca-file=key/cluster.crt", "--tls-cert=key/cluster.crt")
        own = ("--nthreads=1", "--memory-limit=0", "--no-dashboard", "--tls-key=key/cluster.key")
        begin("-m", "distributed.cli.dask_worker", "--scheduler-file=cluster.json", *own, *tls)
        for to in (("--cluster=cluster.json", "--certificates=key"), ()):
            run_dir = f"run{len(tables)}"
            done = command("sweep", *sizes, *data, *to, f"--run_dir={run_dir}", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            entries = sorted(ledger.read(tmp_path / run_dir / "runs.jsonl"), key=lambda e: e.run)
            tables.append([timeless(entry.rows) for entry in entries])
    assert tables[0] == tables[1]


@pytest.mark.slow
def test_a_worker_of_another_version_is_refused_in_one_line(tiny, tmp_path):
    """A process that imports a copy of the package in which a line was added."""
    other = tmp_path / "other"
    for package in ("lenet", "experiments"):
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, other / package, ignore=unwanted)
    with (other / "lenet" / "model.py").open("a") as file:
        file.write("# of another version\n")
    with contextlib.ExitStack() as stack:

        def begin(*words: str, **options):
            process = start("-m", "experiments.cluster", *words, cwd=tmp_path, **options)
            stack.callback(process.communicate)
            stack.callback(end, process.pid)
            return process

        key = "--certificates=key"
        scheduler = begin("scheduler", "--host=127.0.0.1", "--port=0", key)
        to = "--cluster=" + scheduler.stdout.readline().split(" at ")[1].split()[0].rstrip(":,")
        begin("worker", to, key, "--workers=1", env={"PYTHONPATH": str(other)})
        done = command(
            "sweep", "--seed=0:2", "--dataset=tiny", f"--data_dir={tiny}", to, key, cwd=tmp_path
        )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "differs from the client: sources " in done.stderr, done.stderr


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_scheduler_that_cannot_listen_says_where_and_why(tmp_path):
    security = cluster.certificates(tmp_path / "key", make=True)

    def begin(port, file=None, ready=print):
        asyncio.run(cluster.schedule("127.0.0.1", port, security, file, ready))

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageError, match=rf"host=127\.0\.0\.1, port={port}: .*in use.* port=; 0 takes"
        ):
            begin(port)
    gc.collect()  # Dask leaves the socket to it, which warns
    absent = tmp_path / "absent" / "cluster.json"
    with pytest.raises(UsageError, match="there is no directory"):
        begin(0, absent)
    assert not absent.parent.exists()


def test_the_file_of_a_scheduler_goes_with_it(tmp_path):
    security = cluster.certificates(tmp_path / "key", make=True)
    file = tmp_path / "cluster.json"

    def ready(address):
        assert cluster.address_in(str(file), 0) == address
        raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(cluster.schedule("127.0.0.1", 0, security, file, ready))
    assert not file.exists()
    with pytest.raises(UsageError, match=r"no such file after 0 s"):
        cluster.address_in(str(file), 0)
    file.write_text("[]")
    with pytest.raises(UsageError, match="not the file of a scheduler"):
        cluster.address_in(str(file), 0)


@pytest.mark.parametrize(
    ("addresses", "address"),
    [
        (["127.0.0.1", "10.9.0.1"], "tls://10.9.0.1:8786"),
        (["127.0.0.1"], "tls://127.0.0.1:8786"),
    ],
)
def test_a_scheduler_without_a_way_out_names_an_address_of_its_network(
    addresses, address, monkeypatch
):
    at = [mock.Mock(family=socket.AF_INET, address=each) for each in addresses]
    found = {"some": [mock.Mock(family=socket.AF_INET6, address="::1")], "another": at}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: found)
    assert nodes.reachable("tls://127.0.0.1:8786") == address
    assert nodes.reachable("tls://192.0.2.1:8786") == "tls://192.0.2.1:8786"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://192.0.2.1:8786", "without TLS only on this machine"),
        ("0.0.0.0:8786", "without TLS only on this machine"),
        ("ucx://127.0.0.1:8786", "not the address of a scheduler"),
        ("127.0.0.1", "not the address of a scheduler"),
        ("tcp://127.0.0.1:99999", "port 99999 is not from 1 to 65535"),
        ("tcp://[2001:db8::1]:8786", "without TLS only on this machine"),
        ("tls://127.0.0.1:8786", "there is no cluster.crt"),
    ],
)
def test_an_address_that_is_unsafe_is_refused(address, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        cluster.security(address, tmp_path / "none")
    assert cluster.security("tcp://127.0.0.1:8786", tmp_path) is None
    assert cluster.security("localhost:8786", tmp_path) is None
    assert cluster.security("tcp://[::1]:8786", tmp_path) is None


@pytest.mark.parametrize("at", ["file", "file/below"])
def test_certificates_are_not_made_where_no_directory_can_be(at, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot be a directory: .*Name another one"):
        cluster.certificates(tmp_path / at, make=True)


def test_processes_are_started_where_they_pay(small, monkeypatch):
    count = len(os.sched_getaffinity(0))
    assert cores.for_workers(RUNS, small) == []  # a second of work
    monkeypatch.setattr(cores, "WORTH", 1)
    assert cores.for_workers(RUNS[:1], small) == []
    if count > 1:
        assert len(cores.for_workers(RUNS, small)) == min(2, count)  # the tests have two devices
