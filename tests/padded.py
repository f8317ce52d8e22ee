"""XLA's convolution, right where its own padding is not."""

from jax import lax


def conv_general_dilated(
    lhs, rhs, window_strides, padding, lhs_dilation=None, dimension_numbers=None, **settings
):
    """`lax.conv_general_dilated` of images that are padded, or cropped, before.

    On a CPU XLA's gradients read outside their buffers where padding is negative or exceeds the
    kernel (jax 0.10.1; openxla/xla, issue 48713).
    """
    if not isinstance(padding, str):
        numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
        around = [(0, 0, 0)] * lhs.ndim
        dilation = lhs_dilation or (1,) * len(padding)
        for axis, (low, high), apart in zip(numbers.lhs_spec[2:], padding, dilation, strict=True):
            around[axis] = (low, high, apart - 1)
        lhs, lhs_dilation = lax.pad(lhs, lhs.dtype.type(0), around), None
        padding = [(0, 0)] * len(padding)
    return lax.conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation=lhs_dilation,
        dimension_numbers=dimension_numbers,
        **settings,
    )
