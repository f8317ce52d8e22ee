"""Properties of how a batch is cut into parts and added up, on any number of devices."""

import json
import os
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import python

from lenet.config import Config, check
from lenet.engine import cores, lanes, sharding
from lenet.errors import UsageError

ON_DEVICES = textwrap.dedent("""
    import json, sys
    import jax
    from lenet import train
    from lenet.config import Config
    from lenet.data import synthetic
    from lenet.engine import lanes, sharding

    def ends(devices):
        placed = lanes.together(1, jax.local_devices()[:devices], vectorise=False, split=devices)
        *_, last = train.sweep([config], data, choose=lambda *_: placed)
        leaves = [x.tobytes().hex() for x in jax.tree.leaves(jax.device_get(last.state))]
        return leaves, last.rows[0].train_loss, last.rows[0].test_loss

    data = synthetic.make(300, 130)
    settings = json.loads(sys.argv[1])
    config = Config(dataset="synthetic", channels=(2, 3), hidden=(8,), epochs=1, **settings)
    alone = ends(1)
    counts = [n for n in (2, 4, 8) if n <= sharding.parts(config)]
    print([n for n in counts if ends(n) != alone])
""")


@pytest.mark.parametrize(
    ("parts", "batch_size"),
    [(8, 130), *(pytest.param(*x, marks=pytest.mark.slow) for x in ((4, 130), (8, 128), (8, 100)))],
)
def test_any_number_of_devices_gives_the_bits_of_one(parts, batch_size):
    """Parts, batches and the last batch with and without a remainder."""
    settings = json.dumps({"parts": parts, "batch_size": batch_size})
    env = os.environ | {"JAX_NUM_CPU_DEVICES": "8"}
    done = python("-c", ON_DEVICES, settings, env=env)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_parts_are_added_in_pairs():
    """In pairs 2²⁴ + 1 loses the one; the other two add up to two first."""
    parts = jnp.float32([2**24, 1, 1, 1])
    assert sharding.total(parts, None) == 2**24 + 2
    assert np.float32(2**24) + 1 + 1 + 1 == 2**24  # one after the other loses all


@pytest.mark.parametrize(
    ("parts", "batch_size", "found"),
    [(1, 256, 1), (2, 256, 2), (8, 256, 8), (16, 256, 16), (32, 256, 16), (8, 64, 4), (8, 63, 2),
     (8, 3, 2), (2, 1, 2), (1, 1, 1)],
)  # fmt: skip
def test_parts_are_of_sixteen_examples_unless_they_are_two(parts, batch_size, found):
    assert sharding.parts(Config(parts=parts, batch_size=batch_size)) == found


@pytest.mark.parametrize(
    ("count", "parts"), [(1, 2), (2, 2), (3, 2), (4, 4), (7, 4), (8, 8), (12, 8), (96, 8)]
)
def test_a_machine_cuts_a_batch_for_its_cores(monkeypatch, count, parts):
    monkeypatch.setattr(cores, "cores", lambda: count)
    assert cores.parts() == parts


def test_devices_share_the_batches_of_a_run_where_there_are_more_than_runs():
    """The tests have two devices."""
    assert jax.local_device_count() == 2
    split = {(runs, parts): lanes.spread(runs, parts).mesh.shape[lanes.BATCH]
             for runs in (1, 2, 3) for parts in (1, 2, 8)}  # fmt: skip
    assert split == {case: 2 if case[0] == 1 and case[1] > 1 else 1 for case in split}


@pytest.mark.parametrize("parts", [3, 6, 128])
def test_parts_are_a_power_of_two(parts):
    with pytest.raises(UsageError, match=f"parts={parts}: must be one of 1, 2, 4, 8, 16, 32 or 64"):
        check(Config(parts=parts))
