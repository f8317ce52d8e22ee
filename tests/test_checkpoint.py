import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lenet import records, train
from lenet.config import Config
from lenet.model import network
from lenet.records import checkpoint
from lenet.records.checkpoint import Checkpoint, DamagedError

SMALL = Config(channels=(2, 3), hidden=(8,), momentum=0.9)


def made(epoch: int, seed: int = 0) -> Checkpoint:
    state = train.init(network(SMALL, 10), SMALL, (28, 28, 1))
    key = jax.random.key(seed)
    state = jax.tree.map(
        lambda x: x + jax.random.normal(key, x.shape) if x.dtype == jnp.float32 else x, state
    )._replace(step=jnp.int32(epoch))
    return Checkpoint(epoch, SMALL, (28, 28, 1), 10, "abc", {"cores": 2}, jax.device_get(state))


def test_a_state_survives_to_the_bit_and_the_same_one_is_the_same_file(tmp_path):
    saved = made(3)
    path = checkpoint.save(tmp_path, saved)
    assert path == checkpoint.path_of(tmp_path, 3)
    loaded = checkpoint.load(path)
    assert loaded._replace(state=None) == saved._replace(state=None)
    assert jax.tree.structure(loaded.state) == jax.tree.structure(saved.state)
    for a, b in zip(jax.tree.leaves(loaded.state), jax.tree.leaves(saved.state), strict=True):
        assert a.dtype == b.dtype
        assert (a == b).all()
    assert checkpoint.to_bytes(loaded) == path.read_bytes()


def test_the_newest_three_are_kept(tmp_path):
    for epoch in (1, 2, 9, 10, 11):
        checkpoint.save(tmp_path, made(epoch))
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["00009.npz", "00010.npz", "00011.npz"]
    assert checkpoint.newest(tmp_path).epoch == 11
    assert checkpoint.newest(tmp_path / "none") is None


def test_the_newest_that_is_whole_is_used_and_the_damaged_are_kept_aside(tmp_path, caplog):
    for epoch in (1, 2, 3):
        checkpoint.save(tmp_path, made(epoch))
    for epoch in (2, 3):
        path = checkpoint.path_of(tmp_path, epoch)
        path.write_bytes(path.read_bytes()[:-epoch])
    assert checkpoint.newest(tmp_path).epoch == 1
    assert not list(tmp_path.rglob("*.bad"))  # to look changes nothing
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert checkpoint.newest(tmp_path, set_aside=True).epoch == 1
    assert [("00003" in m, "00002" in m) for m in caplog.messages] == [(True, False), (False, True)]
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["00001.npz", "00002.npz.bad", "00003.npz.bad"]


def test_every_truncation_and_a_byte_more_are_damage():
    content = checkpoint.to_bytes(made(1))
    for length in range(0, len(content), 211):
        with pytest.raises(DamagedError):
            checkpoint.from_bytes(content[:length])
    with pytest.raises(DamagedError):
        checkpoint.from_bytes(content + b"0")


def test_the_network_comes_back_with_its_parameters(tmp_path):
    saved = made(4)
    checkpoint.save(tmp_path, saved)
    model, params = records.load(tmp_path)
    assert model == network(SMALL, 10)
    np.testing.assert_array_equal(
        params["dense1"]["kernel"], saved.state.params["dense1"]["kernel"]
    )
