"""The shape arithmetic of windows that slide over an image: one place for every check."""

import math
from collections.abc import Iterable, Sequence

from jax import Array

Size = tuple[int, int]
Padding = int | Sequence[int | Sequence[int]] | str
"""An int, (ph, pw) for each side, ((top, bottom), (left, right)), "SAME" or "VALID"."""


def pair(value: int | Sequence[int], name: str, *, least: int) -> Size:
    """Return `value` as a (vertical, horizontal) pair of integers of at least `least`.

    >>> pair(2, "stride", least=1)
    (2, 2)
    """
    values = tuple(value) if isinstance(value, Iterable) else (value, value)
    if len(values) != 2 or not all(
        hasattr(v, "__index__") and not isinstance(v, bool) and v >= least for v in values
    ):
        raise ValueError(f"{name} must be one integer >= {least} or a pair of them, not {value!r}")
    return int(values[0]), int(values[1])


def same_padding(kernel: int | Sequence[int]) -> tuple[Size, Size]:
    """Return the padding that keeps the size at stride 1: of p = k − 1 rows, ⌈p/2⌉ go on top.

    The chapter's rule for even kernels; `"SAME"` follows XLA and TensorFlow, which put the larger
    half below. For odd kernels the two agree.

    >>> same_padding((5, 4))
    ((2, 2), (2, 1))
    """
    rows, columns = (k - 1 for k in pair(kernel, "kernel", least=1))
    return (rows - rows // 2, rows // 2), (columns - columns // 2, columns // 2)


def explicit_padding(
    size: Sequence[int],
    kernel: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
) -> tuple[Size, Size]:
    """Return any form of padding as ((top, bottom), (left, right)).

    `"SAME"` gives ⌈n/s⌉ outputs along each axis, with the larger half below and to the right.

    >>> explicit_padding((8, 8), 3, stride=2, padding="SAME")
    ((0, 1), (0, 1))
    """
    windows, steps = pair(kernel, "kernel", least=1), pair(stride, "stride", least=1)
    if isinstance(padding, str):
        if padding == "VALID":
            return (0, 0), (0, 0)
        if padding != "SAME":
            raise ValueError(f'padding must be numbers, "SAME" or "VALID", not {padding!r}')
        totals = [
            max((math.ceil(n / s) - 1) * s + k - n, 0)
            for n, k, s in zip(size, windows, steps, strict=True)
        ]
        top, left = (total // 2 for total in totals)
        return (top, totals[0] - top), (left, totals[1] - left)
    sides: tuple[int | Sequence[int], ...]
    sides = tuple(padding) if isinstance(padding, Iterable) else (padding, padding)
    if len(sides) != 2:
        raise ValueError(f"padding must have one entry for each of two axes, not {padding!r}")
    rows, columns = (pair(side, "padding", least=0) for side in sides)
    return rows, columns


def output_shape(
    size: Sequence[int],
    kernel: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
) -> Size:
    """Return the height and width of what a sliding window leaves: ⌊(n + p − k) / s⌋ + 1.

    Args:
      size: (H, W) of the input.
      kernel: the window, one integer or (kh, kw).
      stride: one integer or (sh, sw), at least 1.
      padding: see `Padding`; p is the sum over both sides.

    Raises:
      ValueError: for a stride of 0, or a window larger than the padded input.

    >>> output_shape((8, 8), (3, 5), stride=(3, 4), padding=(0, 1))
    (2, 2)
    """
    height, width = pair(size, "size", least=0)
    windows, steps = pair(kernel, "kernel", least=1), pair(stride, "stride", least=1)
    sides = explicit_padding((height, width), windows, stride=steps, padding=padding)
    padded = (height + sum(sides[0]), width + sum(sides[1]))
    if windows[0] > padded[0] or windows[1] > padded[1]:
        raise ValueError(
            f"a window of shape {windows} does not fit the input of shape {(height, width)}, "
            f"padded to {padded}: use a smaller window or more padding"
        )
    return (padded[0] - windows[0]) // steps[0] + 1, (padded[1] - windows[1]) // steps[1] + 1


def check_axes(x: tuple[str, Sequence[int], str], kernel: tuple[str, Sequence[int], str]) -> None:
    """Raise a ValueError that names both shapes unless ranks are right and channels agree.

    Args:
      x: (name, shape, axes) of the input, such as ("x", (1, 28, 28, 3), "B H W Ci").
      kernel: of the kernel or the window. If both have an axis Ci or Co, its sizes must be equal.
    """
    for (name, shape, axes), (other, other_shape, _) in ((x, kernel), (kernel, x)):
        if len(shape) != len(axes.split()):
            raise ValueError(
                f"{name} must have axes [{axes}], but has shape {tuple(shape)} "
                f"(beside {other} of shape {tuple(other_shape)})"
            )
    sizes, of_kernel = (
        dict(zip(axes.split(), shape, strict=True)) for _, shape, axes in (x, kernel)
    )
    for axis in {"Ci", "Co"} & sizes.keys() & of_kernel.keys():
        if sizes[axis] != of_kernel[axis]:
            raise ValueError(
                f"the input of shape {tuple(x[1])} has {sizes[axis]} channels, "
                f"but the kernel of shape {tuple(kernel[1])} takes {of_kernel[axis]}"
            )


def geometry(
    x: Array, window: Size, stride: int | Sequence[int], padding: Padding, beside: str
) -> tuple[Size, tuple[Size, Size]]:
    """Stride and padding of a window over images, or a ValueError that names both shapes."""
    try:
        steps = pair(stride, "stride", least=1)
        output_shape(x.shape[1:3], window, stride=steps, padding=padding)
        return steps, explicit_padding(x.shape[1:3], window, stride=steps, padding=padding)
    except ValueError as error:
        raise ValueError(f"{error} (images of shape {x.shape}, {beside})") from None
