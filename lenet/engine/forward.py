"""Apply a network: any Flax module that maps images [B, H, W, C] in 0 to 1 to logits [B, K].

A module that takes `train=` receives `train=True` in training, and a random stream, for dropout.
What it keeps beside its parameters (collections, such as batch statistics) is part of the state.
"""

import inspect
from typing import Any

import chex
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from jaxtyping import Float, Key, Num

from lenet.errors import UsageError

Params = dict[str, Any]
"""Parameters by layer, on a device or the host: {"conv1": {"kernel": ..., "bias": ...}, ...}."""
Collections = dict[str, Any]
"""What a network keeps beside its parameters: {"batch_stats": {...}}; {} for most."""


def takes_train(model: nn.Module) -> bool:
    """Whether the `__call__` of a module has a parameter `train`."""
    called = getattr(model, "nnx_class", type(model))  # nnx.bridge.ToLinen passes arguments on
    return "train" in inspect.signature(called.__call__).parameters


def init(
    model: nn.Module, key: Key[Array, ""], image_shape: tuple[int, ...]
) -> tuple[Params, Collections]:
    """Return initial parameters and collections for images of `image_shape` = (H, W, C)."""
    images = jnp.zeros((1, *image_shape), jnp.float32)
    collections = dict(model.init(_streams(model, key), images, **_told(model, False)))
    return collections.pop("params", {}), collections


def logits(
    model: nn.Module, params: Params, images: Num[Array | np.ndarray, "B H W C"]
) -> Float[Array, "B K"]:
    """Return the network's logits for images of 0 to 255, which are scaled to 0 to 1.

    `params` may be all variables, as `variables` returns them.
    """
    return apply(model, params, _scaled(images))


def apply(
    model: nn.Module, params: Params, images: Float[Array | np.ndarray, "B H W C"]
) -> Float[Array, "B K"]:
    """Return `logits` for images that are scaled already.

    Raises:
      UsageError: unless images have four axes.
    """
    if images.ndim != 4:
        raise UsageError(
            f"images: shape {images.shape}, expected [N, H, W, C]. Of one image [H, W, C]: "
            "image[None]"
        )
    return model.apply(whole(params), images, **_told(model, False))  # type: ignore[return-value]


def sown(
    model: nn.Module, params: Params, images: Float[Array | np.ndarray, "B H W C"], collection: str
) -> tuple[Float[Array, "B K"], Collections]:
    """Return `apply`, and what modules leave in a collection; all do in "intermediates"."""
    logits, found = model.apply(
        whole(params),
        images,
        capture_intermediates=collection == "intermediates",
        mutable=collection,
        **_told(model, False),
    )
    return logits, dict(found.get(collection, {}))


def whole(params: Params) -> Params:
    """Return all variables: `params` may be the parameters alone."""
    return params if "params" in params else {"params": params}


def variables(params: Params, collections: Collections) -> Params:
    """Return what `logits` takes: the parameters alone, or {"params": ..., "batch_stats": ...}."""
    return {"params": params, **collections} if collections else params


def train(
    model: nn.Module,
    params: Params,
    collections: Collections,
    images: Num[Array, "B H W C"],
    key: Key[Array, ""] | None,
) -> tuple[Float[Array, "B K"], Collections]:
    """Return logits in training, and the collections after it.

    Args:
      model, params, collections: the network.
      images: of 0 to 255.
      key: of its random streams; None if `model` does not take `train`.
    """
    found = model.apply(
        {"params": params, **collections},
        _scaled(images),
        mutable=list(collections) or False,
        rngs=None if key is None else _streams(model, key),
        **_told(model, True),
    )
    if not collections:
        return found, {}  # type: ignore[return-value]
    found, after = found
    chex.assert_trees_all_equal_shapes_and_dtypes(dict(after), collections)
    return found, dict(after)


def _streams(model: nn.Module, key: Key[Array, ""]) -> dict[str, Key[Array, ""]]:
    """Return the random streams of a module; NNX takes any but "params" from "default"."""
    return {"params": key, **({"default": key} if hasattr(model, "nnx_class") else {})}


def _told(model: nn.Module, train: bool) -> dict[str, Any]:
    return {"train": train} if takes_train(model) else {}


def _scaled(images: Num[Array | np.ndarray, "B H W C"]) -> Any:
    return images.astype(jnp.float32) / 255
