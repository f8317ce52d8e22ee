"""Cross-correlation, strict convolution and their transpose, over images [B, H, W, C]."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Num

from lenet.ops.shapes import (
    Padding,
    check_axes,
    explicit_padding,
    geometry,
    output_shape,
    pair,
)


def conv2d(
    x: Num[Array | np.ndarray, "B H W Ci"],
    kernel: Num[Array | np.ndarray, "kh kw Cg Co"],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Num[Array, "B Ho Wo Co"]:
    """Cross-correlate images with kernels: what deep learning calls a convolution.

    y[b, i, j, d] = Σ_u Σ_v Σ_c kernel[u, v, c, d] · x[b, s·i + δ·u, s·j + δ·v, c]

    Args:
      x: images [B, H, W, Ci].
      kernel: [kh, kw, Cg, Co], with Cg = Ci / groups.
      stride: one integer or (sh, sw).
      padding: zeros around the images: an integer, (ph, pw) on each side,
        ((top, bottom), (left, right)), "SAME" or "VALID".
      dilation: δ, pixels between the weights of a kernel, one integer or (dh, dw). The window then
        has δ·(k − 1) + 1 pixels.
      groups: blocks of channels; output block i sees input block i only. Ci makes it depthwise.

    Returns:
      feature maps [B, H', W', Co], with (H', W') = `output_shape((H, W), window, ...)`

    Raises:
      ValueError: wrong rank or channels, a stride of 0, a window larger than the padded images.

    >>> x, kernel = jnp.arange(9.0).reshape(1, 3, 3, 1), jnp.arange(4.0).reshape(2, 2, 1, 1)
    >>> conv2d(x, kernel)[0, :, :, 0].tolist()
    [[19.0, 25.0], [37.0, 43.0]]
    """
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    of_kernel = "kh kw Ci Co" if groups == 1 else "kh kw Cg Co"
    check_axes(("x", x.shape, "B H W Ci"), ("kernel", kernel.shape, of_kernel))
    if groups * kernel.shape[2] != x.shape[3] or kernel.shape[3] % groups:
        raise ValueError(
            f"{groups} groups: the input of shape {x.shape} must have {groups} times the channels "
            f"that the kernel of shape {kernel.shape} takes, and its outputs be a multiple"
        )
    apart = pair(dilation, "dilation", least=1)
    window = (apart[0] * (kernel.shape[0] - 1) + 1, apart[1] * (kernel.shape[1] - 1) + 1)
    steps, sides = geometry(x, window, stride, padding, f"kernel of shape {kernel.shape}")
    if any(low >= k for (low, _), k in zip(sides, window, strict=True)):
        # The gradient of such a convolution is one of negative padding, for which XLA reads
        # outside its buffers on a CPU (github.com/openxla/xla, issue 48713).
        x, sides = jnp.pad(x, ((0, 0), *sides, (0, 0))), ((0, 0), (0, 0))
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=steps,
        padding=sides,
        rhs_dilation=apart,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def convolve2d(
    x: Num[Array | np.ndarray, "B H W Ci"],
    kernel: Num[Array | np.ndarray, "kh kw Ci Co"],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
) -> Num[Array, "B Ho Wo Co"]:
    """Convolve strictly, in the sense of mathematics: cross-correlate with the flipped kernel.

    y[b, i, j, d] = Σ_u Σ_v Σ_c kernel[kh − 1 − u, kw − 1 − v, c, d] · x[b, s·i + u, s·j + v, c]

    Arguments, result and errors are those of `conv2d` without dilation and groups.
    """
    check_axes(("x", x.shape, "B H W Ci"), ("kernel", kernel.shape, "kh kw Ci Co"))
    return conv2d(x, kernel[::-1, ::-1], stride=stride, padding=padding)


def conv_transpose2d(
    y: Num[Array | np.ndarray, "B Ho Wo Co"],
    kernel: Num[Array | np.ndarray, "kh kw Ci Co"],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int | Sequence[int]] = 0,
) -> Num[Array, "B H W Ci"]:
    """Transpose `conv2d`: spread each pixel over a window, windows `stride` apart, and add.

    x[b, s·i + u − p, s·j + v − q, c] += Σ_d kernel[u, v, c, d] · y[b, i, j, d]

    As a matrix it is the transpose of that of `conv2d` with the same arguments, so that
    ⟨conv2d(x), y⟩ = ⟨x, conv_transpose2d(y)⟩. With stride s it is what is called a convolution of
    stride 1/s. The same as torch.nn.functional.conv_transpose2d.

    Args:
      y: feature maps [B, H', W', Co].
      kernel: [kh, kw, Ci, Co], as `conv2d` takes it.
      stride: one integer or (sh, sw).
      padding: what is cut off at the sides: an integer, (p, q) or ((top, bottom), (left, right)).

    Returns:
      images [B, H, W, Ci] with H = (H' − 1)·s + kh − top − bottom

    Raises:
      ValueError: wrong rank or channels, a stride of 0, or padding that leaves nothing.

    >>> conv_transpose2d(jnp.array([[1.0, 2.0]]).reshape(1, 1, 2, 1), jnp.ones((1, 2, 1, 1)),
    ...                  stride=2).ravel().tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    y, kernel = jnp.asarray(y), jnp.asarray(kernel)
    check_axes(("y", y.shape, "B H W Co"), ("kernel", kernel.shape, "kh kw Ci Co"))
    kh, kw = kernel.shape[:2]
    steps = pair(stride, "stride", least=1)
    (top, bottom), (left, right) = explicit_padding(y.shape[1:3], (kh, kw), padding=padding)
    whole = lax.conv_general_dilated(
        y,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=((kh - 1, kh - 1), (kw - 1, kw - 1)),
        lhs_dilation=steps,
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )
    height, width = whole.shape[1:3]
    if top + bottom >= height or left + right >= width:
        raise ValueError(
            f"padding {((top, bottom), (left, right))} leaves nothing of {(height, width)} "
            f"(y of shape {y.shape}, kernel of shape {kernel.shape})"
        )
    return whole[:, top : height - bottom, left : width - right]


def patches(
    x: Num[Array | np.ndarray, "B H W Ci"],
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
) -> Num[Array, "B Ho Wo inputs"]:
    """Return the pixels under each window as a row, so that a convolution is a matrix product.

    patches(x, (kh, kw)) @ kernel.reshape(-1, Co) = conv2d(x, kernel): what is called im2col.

    Args:
      x: images [B, H, W, Ci].
      window: one integer or (kh, kw).
      stride, padding: as in `conv2d`.

    Returns:
      [B, H', W', kh·kw·Ci], each row in the order of a kernel's axes

    >>> patches(jnp.arange(9.0).reshape(1, 3, 3, 1), 2)[0, 0, 1].tolist()
    [1.0, 2.0, 4.0, 5.0]
    """
    x, window = jnp.asarray(x), pair(window, "window", least=1)
    check_axes(("x", x.shape, "B H W Ci"), ("window", window, "kh kw"))
    steps, sides = geometry(x, window, stride, padding, f"window of shape {window}")
    height, width = output_shape(x.shape[1:3], window, stride=steps, padding=padding)
    x = jnp.pad(x, ((0, 0), *sides, (0, 0)))
    shifted = [
        x[:, u : u + steps[0] * height : steps[0], v : v + steps[1] * width : steps[1]]
        for u in range(window[0])
        for v in range(window[1])
    ]
    return jnp.concatenate(shifted, axis=-1)
