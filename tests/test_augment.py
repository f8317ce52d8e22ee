"""Random changes of training images: what each does, and that only seed and step decide it."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lenet import train
from lenet.config import Config, augmentations, check
from lenet.data import synthetic
from lenet.engine import lanes, sgd
from lenet.engine import sweep as engine
from lenet.engine.augment import augment
from lenet.errors import UsageError

IMAGES = jnp.asarray(np.random.default_rng(0).integers(1, 256, (64, 9, 7, 2)), jnp.uint8)
CONFIG = Config(seed=3)
KEYS = jax.random.split(jax.random.key(1), 64)


def test_a_shift_moves_each_image_by_pixels_of_its_own():
    found, seen = np.asarray(augment("shift:2", KEYS, IMAGES)), set()
    padded = np.pad(np.asarray(IMAGES), ((0, 0), (2, 2), (2, 2), (0, 0)))
    for one, whole in zip(found, padded, strict=True):
        places = [
            (i, j)
            for i in range(5)
            for j in range(5)
            if np.array_equal(one, whole[i : i + 9, j : j + 7])
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) > 15


def test_about_half_are_flipped():
    found = np.asarray(augment("flip", KEYS, IMAGES))
    flipped = [np.array_equal(a, b[:, ::-1]) for a, b in zip(found, IMAGES, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(found, IMAGES, strict=True)]
    assert [a != b for a, b in zip(flipped, same, strict=True)] == [True] * 64
    assert 15 < sum(flipped) < 49


def test_a_square_is_erased():
    found = np.asarray(augment("erase:3", KEYS, IMAGES))
    gone = (found == 0).all(-1)
    np.testing.assert_array_equal(found[~gone], np.asarray(IMAGES)[~gone])
    for one in gone:
        rows, columns = one.any(1).sum(), one.any(0).sum()
        assert one.sum() == rows * columns
        assert 1 <= min(rows, columns) <= max(rows, columns) <= 3
    assert (gone.sum((1, 2)) == 9).any()


@pytest.mark.slow
def test_the_draws_differ_between_steps_and_are_those_of_the_seed():
    data = synthetic.make(100, 20)
    config = Config(dataset="synthetic", augment="shift:2,erase:8", batch_size=32, epochs=1, lr=0.1)
    config = dataclasses.replace(config, network=dataclasses.replace(config.network, channels=(2,)))
    model, ends = train.check(config, data), []
    one = lanes.together(1, jax.local_devices()[:1], vectorise=False)
    for places in (lanes.spread(1, config.parts), one):
        program = engine.compiled(model, config, data, places)
        *_, last = engine.fit_chunk(program, {0: config})
        ends.append(jax.device_get(last.state))
    chex.assert_trees_all_equal(*ends)
    plain, _ = train.run(dataclasses.replace(config, augment=""), data)
    assert plain.train_loss != last.rows[0].train_loss


def test_no_two_draws_share_a_key():
    """Nor with a key that others are derived from: of a step, a stream, the weights, the order."""

    def of_step(step):
        found = [sgd.draws(CONFIG, step, stream)[None] for stream in (sgd.NETWORK, sgd.IMAGES)]
        found.append(sgd.draws_of_network(CONFIG, step, None))
        return jnp.concatenate([*found, sgd.draws_of_images(CONFIG, step, 8, None)])

    of_steps = jax.vmap(of_step)(jnp.arange(500)).ravel()
    keys = jnp.concatenate([jnp.stack(sgd.keys(CONFIG)), of_steps])
    assert len(np.unique(jax.random.key_data(keys), axis=0)) == len(keys) == 2 + 500 * 12


@pytest.mark.parametrize("text", ["flip,shift:28", "erase:28"])
def test_pixels_are_below_the_smaller_side_of_the_images(text):
    data = synthetic.make(100, 20)
    train.check(Config(dataset="synthetic", augment=text.replace("28", "27"), batch_size=32), data)
    with pytest.raises(UsageError, match=r"augment=(shift|erase):28: .* below .* 28"):
        train.check(Config(dataset="synthetic", augment=text, batch_size=32), data)


@pytest.mark.parametrize("text", ["blur", "shift:0", "shift:x", "flip:2", "shift:99999999999"])
def test_what_cannot_be_is_named(text):
    with pytest.raises(UsageError, match=f"augment='{text[:30]}"):
        check(Config(augment=text))
    assert augmentations("erase,flip,shift") == [("erase", 8), ("flip", 0), ("shift", 2)]
