"""The benchmark: its protocol, its networks, its order and its arithmetic; never its clock."""

import json
import os
import re
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import python, script

from benchmarks import (
    answer,
    bits,
    by_cores,
    flax_plain,
    forms,
    networks,
    overhead,
    peak,
    race,
    recording,
    rounds,
    scaling,
    start,
    table,
)
from benchmarks.contenders import BY_NAME, CONTENDERS
from benchmarks.worker import Worker, WorkerError
from lenet import export
from lenet.config import PRESETS, Config
from lenet.engine.cores import cores
from lenet.model import LeNet, network
from lenet.ops import blocks

ROOT = Path(__file__).parent.parent
EXAMPLES = 300  # two batches, the second short


def asked(name: str) -> dict[str, dict]:
    with Worker(name, "book", examples=EXAMPLES, dataset="synthetic") as worker:
        work = {"step": {"steps": 2}, "kernels": {"steps": 2}}
        pieces = ("epoch", "step", "inference", "kernels", "memory", "environment")
        return {piece: worker.ask(piece, **work.get(piece, {})) for piece in pieces}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet", "torch_eager"])
def test_a_worker_trains_and_answers_for_it(name, torch):
    answers = asked(name)
    assert answers["epoch"]["examples"] == EXAMPLES
    assert answers["inference"]["examples"] == 10_000
    for piece in ("epoch", "inference"):
        assert 1.5 < answers[piece]["loss"] < 4  # near a guess
        assert 0 <= answers[piece]["accuracy"] <= 1
    assert all(answers[piece]["seconds"] > 0 for piece in ("epoch", "step", "inference"))
    assert 5e7 < answers["memory"]["host"] < 1e11
    assert answers["memory"]["device"] is None
    assert answers["kernels"] == {"kernels": None}
    if name != "lenet":
        assert answers["environment"]["torch"] == torch.__version__
        assert answers["environment"]["threads"] == len(os.sched_getaffinity(0))


def test_a_worker_says_in_one_line_what_went_wrong():
    worker = Worker("lenet", "book", examples=10, dataset="synthetic")  # below a batch
    with worker, pytest.raises(WorkerError, match=r"lenet: UsageError: batch_size=256"):
        worker.ask("epoch")


def test_a_worker_that_is_gone_is_an_error_and_not_a_wait():
    with Worker("lenet", "book", dataset="synthetic") as worker:
        worker._process.kill()
        with pytest.raises(WorkerError, match="ended with status -9"):
            worker.ask("epoch")


@pytest.mark.parametrize(
    ("name", "count"), [("book-bn", 44_878), pytest.param("small", 113_386, marks=pytest.mark.slow)]
)
def test_further_networks_have_the_same_parameters(name, count, torch):
    from benchmarks import pytorch

    config = networks.config(name)
    images = jax.ShapeDtypeStruct((2, 28, 28, 1), jnp.float32)
    params = jax.eval_shape(network(config, 10).init, jax.random.key(0), images)["params"]
    net = pytorch.network(config)
    assert sum(x.size for x in jax.tree.leaves(params)) == count
    assert sum(p.numel() for p in net.parameters()) == count
    dropped = [layer.p for layer in net if isinstance(layer, torch.nn.Dropout)]
    assert dropped == ([0.25, 0.5] if name == "small" else [])


@pytest.mark.slow
@pytest.mark.parametrize("network", ["book-bn", "small"])
@pytest.mark.parametrize("name", ["lenet", "torch_eager"])
def test_a_worker_trains_further_networks(name, network, torch):
    with Worker(name, network, examples=EXAMPLES, dataset="synthetic") as worker:
        assert worker.ask("epoch")["examples"] == EXAMPLES
        assert worker.ask("step", steps=2)["seconds"] > 0
        assert worker.ask("inference")["examples"] == 10_000


@pytest.mark.parametrize("preset", ["book", "modern"])
def test_the_networks_are_the_same(preset, torch):
    """With Flax's weights PyTorch's network gives Flax's logits."""
    from benchmarks import pytorch

    config = Config(**PRESETS[preset])
    images = jax.random.uniform(jax.random.key(0), (2, 28, 28, 1))
    model = flax_plain.network(config)
    params = model.init(jax.random.key(1), images)["params"]
    assert sum(p.size for p in jax.tree.leaves(params)) == 61_706
    net = pytorch.network(config)
    assert sum(p.numel() for p in net.parameters()) == 61_706
    names = ("conv1", "conv2", "dense1", "dense2", "dense3")
    ours = dict(zip(names, params.values(), strict=True))
    arrays = export.to_torch(network(config, 10), jax.device_get(ours), (28, 28, 1))
    net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    theirs = net(torch.tensor(jax.device_get(images.transpose(0, 3, 1, 2)))).detach().numpy()
    assert jnp.allclose(model.apply({"params": params}, images), theirs, atol=1e-5)


def test_a_lead_has_an_interval_that_chooses_the_fastest_anew():
    ours = row("lenet", [1.0] * 12, [1.0] * 12)
    steady = row("torch_eager", [2.0] * 12, [1.0] * 12)
    moody = row("torch_compile", [1.5, 3.0] * 6, [1.0] * 12)
    found, fastest = table.lead(ours, [steady])
    assert found == pytest.approx((2, 2, 2))
    assert fastest is steady
    found, fastest = table.lead(ours, [steady, moody])
    assert fastest is steady  # 1.5 · 3 is more than 2 · 2
    assert found.mean == pytest.approx(2)
    assert found.low < 1.95 < found.high <= 2.0001


def test_every_block_has_every_contender_once_in_an_order_of_its_own():
    names = [contender.name for contender in CONTENDERS[:6]]
    found = list(rounds.blocks(10, names))
    assert all(sorted(block) == sorted(names) for block in found)
    assert len({*map(tuple, found)}) > 5
    assert found == list(rounds.blocks(10, names))


def test_contenders_take_turns():
    order = [name for _, name in rounds.turns(3, ["epoch"], ["A", "B"])]
    assert order == ["A", "B", "A", "B", "A", "B"]
    order = list(rounds.turns(2, ["epoch", "step"], ["A", "B"]))
    assert order[:4] == [("epoch", "A"), ("epoch", "B"), ("step", "A"), ("step", "B")]
    assert order[4:] == order[:4]


def test_names_are_unique_and_each_gpu_row_has_ours_to_compare_with():
    assert len(BY_NAME) == len(CONTENDERS) + 2  # and a sweep, and its runs without a cluster
    gpu = [contender for contender in CONTENDERS if contender.device == "gpu"]
    ours = {contender.precision for contender in gpu if contender.ours}
    assert {contender.precision for contender in gpu} == ours == {"TF32", "float32"}
    assert {c.module for c in BY_NAME.values()} == {
        path.stem for path in (ROOT / "benchmarks").glob("*.py") if "class Program:" in
        path.read_text() or "class Program(pytorch" in path.read_text()
    }  # fmt: skip


def row(name: str, epoch: list[float], step: list[float], **given: object) -> dict:
    """A row as `rounds.network` leaves it, of 1,000 examples an epoch and 25 steps of 256."""
    made = {
        "name": name,
        "title": name,
        "ours": name == "lenet",
        "torch": name.startswith("torch"),
        "precision": "float32",
        "cut": False,
        "counts": {"epoch": 1000, "step": 25, "inference": 1000},
        "starts": [{"first_seconds": 5.0, "first_epoch": 7.0, "ten_epochs": 20.0}],
        "seconds": {"epoch": epoch, "step": step, "inference": epoch},
        "memory": {"host": 500_000_000, "device": None},
        "kernels": None,
    } | given
    rounds._finish(made, 256)
    return made


@pytest.fixture
def rows() -> list[dict]:
    return [
        row("lenet", [1.0, 4.0, 2.0], [1.0, 1.0, 1.0]),
        row("flax", [10.0, 40.0, 20.0], [8.0, 8.0, 8.0], cut=True),
        row("torch_eager", [8.0, 4.0, 2.0], [9.0, 6.0, 4.0]),
        row("torch_compile", [27.0, 4.0, 2.0], [8.0, 1.0, 1.0]),
    ]


def test_the_table_has_medians_and_ratios(rows):
    lines = table.table(rows).splitlines()
    cells = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in lines[2:]]
    lenet, flax, eager, compiled, last = cells
    # 1000 / 2, 1000 / 4, 1000 / 1; a step piece is 25 × 256 examples
    assert lenet[:4] == ["lenet", "500 [250, 1,000]", "1.00", "6,400 [6,400, 6,400]"]
    assert flax[:3] == ["flax (1,000 examples)", "50 [25, 100]", "10.00"]
    assert [eager[2], compiled[2]] == ["2.00", "3.00"]  # the cube roots of 8·1·1 and 27·1·1
    assert lenet[5:] == ["3.0", "7.0", "20.0", "500"]  # 5 − the median of an epoch, 2
    assert flax[6:8] == ["", ""]  # of fewer examples
    assert last[1].startswith("2.00 [")
    assert last[1].endswith("] (torch_eager)")
    assert last[3].startswith("2.00 [")
    assert last[3].endswith("] (torch_compile)")
    assert all(len(row) == 9 for row in cells)


def test_ratios_are_between_rows_of_one_precision(rows):
    tf32 = row("torch_eager", [1.0], [1.0], precision="TF32")
    fast = row("lenet", [0.25], [1.0], precision="TF32")
    assert table.ratio(tf32, [*rows, fast, tf32]) == pytest.approx(4)
    assert table.ratio(rows[2], [fast, tf32, *rows]) == pytest.approx(2)
    ended = table.table([fast, tf32, *rows]).splitlines()[-2:]
    assert "4.00 [4.00, 4.00] (torch_eager)" in ended[0]
    assert re.search(r"2\.00 \[.*\] \(torch_eager\)", ended[1])


def test_a_table_in_chinese_holds_all_that_the_english_one_holds(rows):
    english, chinese = (table.table(rows, language).splitlines() for language in ("en", "zh"))
    assert len(chinese) == len(english)
    assert [re.findall(r"[\d.,]+\d", line) for line in chinese[2:]] == [
        re.findall(r"[\d.,]+\d", line) for line in english[2:]
    ]
    assert "样本/秒" in chinese[0]


def test_the_figure_of_scaling_is_drawn_from_its_record():
    record = {
        "examples": 1024,
        "run_examples": 2048,
        "batch": [
            {"batch_size": size, "steps": 1024 // size, "seconds": [1.0, 1.1]} for size in (64, 256)
        ],
        "epochs": [{"seconds": [1.0, 2.0], "memory": [5e8, 5e8]}],
        "width": [
            {"factor": k, "multiply_adds": 4e5 * k, "seconds": [1.0 * k, 2.0 * k]} for k in (1, 2)
        ],
        "runs": [
            {"runs": k, "seconds": [0.5 * k, 0.5 * k, 1.0 * k], "memory": 10**8} for k in (1, 4)
        ],
    }
    table = scaling.table(record, ("runs", "s", "speed", "times", "memory"))
    assert [cell.strip() for cell in table.splitlines()[-1].split("|")[1:-1]] == [
        *("4", "2.000 [2.000, 4.000]", "4,096", "1.00", "100")
    ]
    english, chinese = (scaling.figure(record, language) for language in ("en", "zh"))
    assert english.startswith(b"\x89PNG")
    assert chinese.startswith(b"\x89PNG")
    assert chinese != english


def test_width_multiplies_channels_and_hidden_layers():
    assert scaling._wide("book", 2) == {"channels": [12, 32], "hidden": [240, 168]}
    assert scaling._multiply_adds(scaling._wide("book", 1)) == 416_520


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--repeats=0", "error: --repeats=0: must be at least 1"),
        ("--only=lenet,caffe", "error: --only=caffe: must be among lenet, lenet_native"),
        ("--networks=alexnet", "error: --networks=alexnet: must be among book, modern"),
        ("--examples=100", "error: --examples=100: must be at least 256, a batch"),
        ("--load=-1", "error: the machine is busy: its load is "),
    ],
)
def test_a_flag_that_cannot_be_is_one_line_and_status_2(flag, said, tmp_path):
    done = script("benchmark", flag, f"--record={tmp_path}/r.json")
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_ours_is_measured_from_the_command_to_the_record(tmp_path):
    path = tmp_path / "bench.json"
    flags = ["--only=lenet", "--networks=modern", "--repeats=2", "--examples=256", "--noten"]
    done = python(
        "-P",
        "scripts/benchmark.py",
        *flags,
        f"--record={path}",
        "--dataset=synthetic",
        "--load=1000",
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(path.read_text())
    (measured,) = record["networks"]["modern"]
    assert [len(x) for x in measured["seconds"].values()] == [2, 2, 2]
    assert len(measured["starts"]) == 2  # an empty and a filled cache
    assert record["examples"] == 256
    assert record["environment"]["versions"]["jax"] == jax.__version__
    assert table.table([measured]) in done.stdout
    assert table.facts(record) in done.stdout


@pytest.mark.slow
def test_points_of_cores_are_confined_and_measured(tmp_path):
    path = tmp_path / "cores.json"
    flags = ["--cores", "--only=lenet", "--repeats=1", "--examples=256", "--dataset=synthetic"]
    flags.append("--load=1000")
    done = python("-P", "scripts/benchmark.py", *flags, f"--record={path}")
    assert done.returncode == 0, done.stderr
    record = json.loads(path.read_text())
    assert [point["cores"] for point in record["points"]] == by_cores.counts(cores())
    assert by_cores.table(record, "cores") in done.stdout


@pytest.mark.slow
def test_cold_and_warm_starts_are_measured_to_each_point(tmp_path):
    path = tmp_path / "start.json"
    flags = ["--start", "--repeats=2", "--dataset=synthetic", "--load=1000", f"--record={path}"]
    done = python("-P", "scripts/benchmark.py", *flags)
    assert done.returncode == 0, done.stderr
    record = json.loads(path.read_text())
    for kind in start.KINDS:
        training, row = (record[kind][point] for point in start.POINTS)
        assert len(training) == len(record["help"]) == 2
        assert all(0 < x < y for x, y in zip(training, row, strict=True))
    assert f"{start.median(record, 'cold', 'row'):.2f}" in done.stdout


@pytest.mark.slow
def test_a_gpu_that_is_not_there_is_one_line_and_status_2(tmp_path):
    done = python(
        "-P", "scripts/benchmark.py", "--gpu", "--load=1000", f"--record={tmp_path}/r.json"
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: --gpu: JAX finds no GPU here"


def test_float64_logits_are_those_of_the_network():
    model, images = LeNet(), np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28, 1)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
    ours = jax.jit(model.apply)({"params": params}, images.astype(np.float32) / 255)
    np.testing.assert_allclose(ours, bits.exact(params, images), rtol=1e-4, atol=1e-5)


def test_the_share_of_the_peak_counts_two_operations_for_each_multiply_add(monkeypatch):
    calls = []

    def seconds(program):
        calls.append(jax.block_until_ready(program()))
        return 1e-3

    monkeypatch.setattr(peak, "_seconds", seconds)
    monkeypatch.setattr(peak, "SIDE", 64)
    told = []
    record = peak.measure(1, told.append)
    assert len(told) == len(calls) == peak.count(1)
    assert record["peak"] == [pytest.approx(2 * 64**3 / 1e-3 / 1e9)]
    # 128 images, 10×10 outputs, 5×5 windows, 6 to 16 channels
    adds = 128 * 10 * 10 * 5 * 5 * 6 * 16
    for forms_ in record["layers"]["conv2"].values():
        for speeds in forms_.values():
            assert speeds == [pytest.approx(2 * adds / 1e-3 / 1e9)]
    assert f"{2 * adds / 1e6:.1f}" in peak.table(record)


@pytest.mark.slow
def test_every_direction_of_both_forms_gives_the_same():
    for shape, kernel, side in peak.LAYERS.values():
        found = []
        for _, layer, block in peak._forms(side):
            directions = peak._programs(layer, shape, kernel, block)
            y, dx, dk = (directions[name]() for name in peak.DIRECTIONS)
            size = (shape[1] - kernel[0] + 1, shape[2] - kernel[1] + 1)
            found.append((blocks.merge(y, size), blocks.merge(dx, shape[1:3]), dk))
        for other in found[1:]:
            chex.assert_trees_all_close(other, found[0], rtol=1e-4, atol=1e-2)


@pytest.mark.slow
def test_every_form_of_a_layer_has_the_same_gradients():
    images = jax.random.uniform(jax.random.key(0), (2, 12, 12, 1))
    kernel, bias = jax.random.normal(jax.random.key(1), (5, 5, 1, 3)), jnp.ones(3)

    def gradients(layout, layer):
        y, pull = jax.vjp(lambda k, b: layer(layout(images), k, b), kernel, bias)
        return pull(y)  # 12 is whole blocks of every size, so there is nothing besides the outputs

    found = [gradients(layout, layer) for layout, layer, _ in forms.forms(padding=2).values()]
    assert len(found) == 6
    for other in found[1:]:
        chex.assert_trees_all_close(other, found[0], rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_runs_of_a_sweep_are_measured_together():
    with Worker("lenet", "book", examples=300, dataset="synthetic", options={"runs": 3}) as worker:
        assert worker.ask("epoch")["examples"] == 900


def test_what_a_cluster_adds_is_a_run_s_share_of_the_difference():
    record = {"with": [60.0, 62.0], "without": [50.0, 50.0], "cores": 2, "runs": 1000}
    assert overhead.added(record) == pytest.approx([0.02, 0.024])
    assert overhead.alone(record) == pytest.approx(0.1)


@pytest.mark.slow
def test_the_cost_of_a_cluster_is_measured(tmp_path):
    found = overhead.measure(
        "book", runs=6, examples=512, repeats=2, dataset="fashion_mnist", tell=print
    )
    assert len(found["with"]) == len(found["without"]) == 2
    assert overhead.alone(found) > 0


def test_what_records_cost_is_a_share_of_the_epoch():
    record = {"train": [0.8, 0.9], "evaluate": [0.2, 0.1], "record": [0.01, 0.02]}
    assert recording.share(record) == pytest.approx([0.01, 0.02])


@pytest.mark.slow
def test_the_cost_of_records_is_measured():
    found = recording.measure("book", repeats=1, dataset="synthetic", tell=print)
    assert all(len(found[kind]) == 1 for kind in recording.KINDS)
    assert found["train"][0] > 0 < found["page"][0]


def ledger(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_race_ends_with_the_first_accuracy_that_a_ledger_has(tmp_path):
    path = tmp_path / "trials.jsonl"
    assert race._marks(path) == ([], 0)
    marks = [{"epoch": 1, "valid_accuracy": 0.1}, {"epoch": 2, "valid_accuracy": 0.7}]
    ledger(path, {"trial": 0, "setting": {}}, {"trial": 1, "marks": marks})
    path.write_text(path.read_text() + '{"trial": 2, "ma')  # under way
    assert race._marks(path) == ([0.1, 0.7], 2)


def test_a_search_that_does_not_get_there_is_later_than_the_limit():
    searches = [
        {"name": name, "seed": seed, "seconds": seconds, "trials": 9, "epochs": 20, "best": 0.9}
        for name, all_seconds in (("lenet", (30.0, 90.0, 31.0)), ("torch_eager", (None, None, 60)))
        for seed, seconds in enumerate(all_seconds)
    ]
    table = race.table({"limit": 100.0, "searches": searches})
    ours, theirs = (line.split("|")[2:4] for line in table.splitlines()[2:])
    assert [x.strip() for x in ours] == ["30, 90, 31", "31"]
    assert [x.strip() for x in theirs] == ["> 100, > 100, 60", "100"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet", "torch_eager"])
def test_a_search_is_timed_and_ended(name, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(race, "TARGET", 0.2)
    (found,) = race.measure([name], 1, "fashion_mnist", print, print)["searches"]
    assert found["best"] >= 0.2
    assert 0 < found["seconds"] < race.LIMIT


def test_a_target_is_reached_at_the_first_epoch_that_is_not_below_it(tmp_path, monkeypatch):
    """Of a command that writes an accuracy an epoch; one that is missed is later than any."""
    path = tmp_path / "metrics.jsonl"
    assert answer._accuracies(path) == []
    path.write_text('{"valid_accuracy": 0.5}\n{"valid_accuracy": 0.')  # under way
    assert answer._accuracies(path) == [0.5]
    code = (
        "import pathlib, sys\nrun = pathlib.Path(sys.argv[1])\nrun.mkdir()\n"
        "rows = ''.join(f'{{\"valid_accuracy\": {x}}}\\n' for x in (0.86, 0.88, 0.87))\n"
        "(run / 'metrics.jsonl').write_text(rows)\n"
    )
    monkeypatch.setattr(
        answer, "_command", lambda *asked: [sys.executable, "-c", code, str(asked[-1])]
    )
    first, second, missed = answer._one("lenet", 0, "tiny", tmp_path, answer.TARGETS)
    assert 0 < first <= second
    assert missed is None
    runs = [{"name": "lenet", "seconds": [n, 2 * n, None]} for n in range(1, 22)]
    record = {"targets": answer.TARGETS, "runs": runs}
    (row,) = answer.table(record).splitlines()[2:]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[1:3] == ["11.0 [6.0, 16.0]", "22.0 [12.0, 32.0]"]
    assert cells[3:] == ["∞ [∞, ∞]; missed by 21", "21"]


def test_what_a_run_says_as_it_fails_is_the_error(tmp_path, monkeypatch):
    command = [sys.executable, "-c", "raise SystemExit('no data')"]
    monkeypatch.setattr(answer, "_command", lambda *_: command)
    with pytest.raises(RuntimeError, match="no data"):
        answer._one("lenet", 0, "tiny", tmp_path, answer.TARGETS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet", "torch_eager"])
def test_a_run_is_timed_from_its_command(name, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(answer, "TARGETS", (0.3,))
    (found,) = answer.measure([name], 1, "fashion_mnist", print, print)["runs"]
    assert found["seconds"][0] > 0
