"""Multiple input and output channels (Chinese edition 6.4, English 7.4)."""

import jax.numpy as jnp

from lenet import ops, reference
from lenet.chapter.page import Page
from lenet.figures import style


def multiple_channels(page: Page) -> None:
    """A convolution sums over input channels; each output channel has its own kernel."""
    x = jnp.stack([jnp.arange(9.0), jnp.arange(1.0, 10)]).reshape(2, 3, 3)
    k = jnp.stack([jnp.arange(4.0), jnp.arange(1.0, 5)]).reshape(2, 2, 2)
    page.say("Each input channel is cross-correlated with its own kernel; the results are added.")
    one = reference.corr2d_multi_in(x, k)
    page.show("corr2d_multi_in(X, K)", one)
    page.check(
        "the first is (1·1 + 2·2 + 4·3 + 5·4) + (0·0 + 1·1 + 3·2 + 4·3) = 56; all match the book",
        (one == jnp.array([[56, 72], [104, 120]])).all(),
    )
    page.say("Three kernels K, K + 1, K + 2 give three output channels.")
    kernels = jnp.stack([k, k + 1, k + 2])
    page.show("K.shape", kernels.shape)
    three = reference.corr2d_multi_in_out(x, kernels)
    page.show("corr2d_multi_in_out(X, K)", three)
    chapter = [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]]
    page.check("all twelve outputs match the book", (three == jnp.array(chapter)).all())
    # from [Ci, H, W] and [Co, Ci, kh, kw] to [B, H, W, Ci] and [kh, kw, Ci, Co]
    fast = ops.conv2d(x.transpose(1, 2, 0)[None], kernels.transpose(2, 3, 1, 0))
    page.check("conv2d, channels last, gives the same", (fast[0].transpose(2, 0, 1) == three).all())
    with page.figure("multiple_channels", "Two input, three output channels", (10, 3.6)) as figure:
        axes = figure.subplots(2, 4)
        for c in range(2):
            title = page.t("input channel {c}", c=c)
            style.matrix(axes[c, 0], x[c], title=title, windows=[(0, 0, 2, 2)])
            style.matrix(axes[c, 1], k[c], title=page.t("kernel for channel {c}", c=c))
        for d, place in enumerate((axes[0, 2], axes[0, 3], axes[1, 2])):
            style.matrix(place, three[d], title=page.t("output channel {d}", d=d))
        axes[1, 3].remove()
