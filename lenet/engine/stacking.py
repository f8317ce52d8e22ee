"""Config as a JAX pytree: which runs can share a compiled program, and their numbers as arrays."""

import dataclasses
import operator
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from lenet import config as config_module
from lenet.config import Config
from lenet.settings import is_off

_NUMBERS = [field.name for field in config_module.fields("number")]
_SWITCHES = [field.metadata["switch"] for field in config_module.fields("number")]
_CHOICES = [field.name for field in dataclasses.fields(Config) if field.name not in _NUMBERS]
_choices, _values = operator.attrgetter(*_CHOICES), operator.attrgetter(*_NUMBERS)


def _numbers(config: Config) -> tuple[Any, ...]:
    """Return the numbers, None for a switch that is off: it is no input of the program."""
    return tuple(
        None if switch and is_off(value) else value
        for switch, value in zip(_SWITCHES, _values(config), strict=True)
    )


def _build(choices: tuple[Any, ...], numbers: Sequence[Any]) -> Config:
    config = object.__new__(Config)  # the constructor is for Python numbers; these may be arrays
    for name, value in zip((*_CHOICES, *_NUMBERS), (*choices, *numbers), strict=True):
        object.__setattr__(config, name, 0.0 if value is None else value)
    return config


# Registered here because config.py does not import jax: `--help` does not wait for it.
jax.tree_util.register_pytree_node(Config, lambda c: (_numbers(c), _choices(c)), _build)


def shared(config: Config) -> tuple[Any, ...]:
    """Return what runs that share a program have in common: choices, epochs, switches."""
    return (config.epochs, *_choices(config), *(value is None for value in _numbers(config)))


def groups(configs: Sequence[Config]) -> list[list[int]]:
    """Return the indices of runs that share a program: equal in what is `shared`.

    >>> groups([Config(lr=0.1), Config(lr=0.1, pool="max"), Config(lr=0.9)])
    [[0, 2], [1]]
    """
    found: dict[tuple[Any, ...], list[int]] = {}
    for index, config in enumerate(configs):
        found.setdefault(shared(config), []).append(index)
    return list(found.values())


def stack(configs: Sequence[Config]) -> Config:
    """Return one Config for runs of a group; its numbers are arrays [R], float32 or int32.

    A switch that is off stays Python's 0.

    >>> stack([Config(lr=0.5), Config(lr=1)]).lr
    array([0.5, 1. ], dtype=float32)
    """
    kinds = (
        np.float32 if isinstance(field.default, float) else np.int32
        for field in config_module.fields("number")
    )
    columns = zip(kinds, zip(*map(_numbers, configs), strict=True), strict=True)
    numbers = [None if values[0] is None else np.array(values, kind) for kind, values in columns]
    return _build(_choices(configs[0]), numbers)
