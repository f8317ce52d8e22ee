"""Config as a JAX pytree: which runs can share a compiled program, and their numbers as arrays."""

import dataclasses
import operator
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from lenet import config as config_module
from lenet.config import Config

_NUMBERS = [field.name for field in config_module.fields("number")]
_CHOICES = [field.name for field in dataclasses.fields(Config) if field.name not in _NUMBERS]
_numbers, _choices = operator.attrgetter(*_NUMBERS), operator.attrgetter(*_CHOICES)


def _build(choices: tuple[Any, ...], numbers: Sequence[Any]) -> Config:
    config = object.__new__(Config)  # the constructor is for Python numbers; these may be arrays
    for name, value in zip((*_CHOICES, *_NUMBERS), (*choices, *numbers), strict=True):
        object.__setattr__(config, name, value)
    return config


# Registered here because config.py does not import jax: `--help` does not wait for it.
jax.tree_util.register_pytree_node(Config, lambda c: (_numbers(c), _choices(c)), _build)


def shared(config: Config) -> tuple[Any, ...]:
    """Return what runs that share a program have in common: all choices, and the epochs."""
    return (config.epochs, *_choices(config))


def groups(configs: Sequence[Config]) -> list[list[int]]:
    """Return the indices of runs that share a program: equal in all choices and in epochs.

    >>> groups([Config(lr=0.1), Config(lr=0.1, pool="max"), Config(lr=0.9)])
    [[0, 2], [1]]
    """
    found: dict[tuple[Any, ...], list[int]] = {}
    for index, config in enumerate(configs):
        found.setdefault(shared(config), []).append(index)
    return list(found.values())


def stack(configs: Sequence[Config]) -> Config:
    """Return one Config for runs of a group; its numbers are arrays [R], float32 or int32.

    >>> stack([Config(lr=0.5), Config(lr=1)]).lr
    array([0.5, 1. ], dtype=float32)
    """
    numbers = [
        np.array(values, np.float32 if isinstance(field.default, float) else np.int32)
        for field, values in zip(
            config_module.fields("number"), zip(*map(_numbers, configs), strict=True), strict=True
        )
    ]
    return _build(_choices(configs[0]), numbers)
