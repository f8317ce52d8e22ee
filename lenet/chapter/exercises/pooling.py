"""Section 5: pooling."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jax import Array

from lenet import ops
from lenet.chapter import cost, rounding
from lenet.chapter.exercises.draws import integers, normal
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.inspect import layers
from lenet.language import listed
from lenet.model import WINDOW, LeNet


def average_pooling_is_a_convolution(page: Page) -> None:
    """Write average pooling as a convolution with a suitable kernel, and check the result."""
    page.say("The kernel has weights 1/(p·q); output channel d depends only on input channel d:")
    kernel = jnp.eye(3)[None, None] / 8 * jnp.ones((2, 4, 1, 1))
    page.show("kernel[0, 0]", kernel[0, 0])
    x = integers(0, (1000, 6, 8, 3))
    page.check(
        "the convolution with stride (2, 4) equals avg_pool(x, (2, 4)) for {n} images, exactly",
        (ops.conv2d(x, kernel, stride=(2, 4)) == ops.avg_pool(x, (2, 4))).all(),
        n=len(x),
    )
    with page.figure("5.1", "Average pooling as a convolution", (8, 2.9)) as figure:
        image, quarter = jnp.arange(16.0).reshape(1, 4, 4, 1), jnp.full((2, 2, 1, 1), 1 / 4)
        axes = figure.subplots(1, 3)
        windows = [(i, j, 2, 2) for i in (0, 2) for j in (0, 2)]
        style.matrix(axes[0], image[0, ..., 0], title=page.t("image"), windows=windows)
        style.matrix(axes[1], quarter[..., 0, 0], title=page.t("kernel"), limits=(0, 1))
        convolved = ops.conv2d(image, quarter, stride=2)[0, ..., 0]
        title = page.t("convolved with stride 2")
        style.matrix(axes[2], convolved, title=title, limits=(0, 15))
    page.answer("Average pooling convolves each channel with stride (p, q) and weights 1/(p·q).")


def max_pooling_is_not_linear(page: Page) -> None:
    """Show that max pooling is not a convolution. (The Chinese edition asks whether it
    can be one.)
    """
    kernels, bias = integers(0, (2, 2, 1, 1000)), integers(1, (1000,))
    a, b = integers(2, (2, 100, 2, 2, 1))

    def convolution(x: Array) -> Array:
        return ops.conv2d(x, kernels) + bias[None, None, None]

    page.say("A convolution is linear up to its bias f(0): f(a) + f(b) = f(a + b) + f(0).")
    page.check(
        "the rule holds for {n} random kernels and biases on {pairs} pairs of 2×2 images, exactly",
        (convolution(a) + convolution(b) == convolution(a + b) + convolution(0 * a)).all(),
        n=kernels.shape[3],
        pairs=len(a),
    )
    page.say("Max pooling violates this rule if the maxima of a and b are in different places:")
    a, b = (jnp.zeros((1, 2, 2, 1)).at[0, i, i, 0].set(1.0) for i in (0, 1))
    of_a, of_b, of_sum, of_zero, of_minus = (
        ops.max_pool(x, 2).item() for x in (a, b, a + b, 0 * a, -a)
    )
    page.show("max(a) + max(b)", of_a + of_b)
    page.show("max(a + b) + max(0)", of_sum + of_zero)
    page.check("the sum of the maxima is not the maximum of the sum", of_a + of_b != of_sum)
    page.check("no bias can repair this, because max(0) = 0", of_zero == 0)
    page.check("max(−a) is not −max(a)", of_minus != -of_a)
    with page.figure("5.2", "Max pooling is not linear", (8, 2.9)) as figure:
        images = {"a": a, "b": b, "a + b": a + b}
        for axes, (name, image) in zip(figure.subplots(1, 3), images.items(), strict=True):
            style.matrix(axes, image[0, ..., 0], title=f"max({name}) = {image.max():.0f}")
    page.answer(
        "Convolutions, also several in a row, are linear up to a bias. Max pooling is not: here "
        "max(a) + max(b) = {apart:.0f}, but max(a + b) = {together:.0f}.",
        apart=of_a + of_b,
        together=of_sum,
    )


def max_pooling_from_relu(page: Page) -> None:
    """Write max(a, b) with ReLU, and then max pooling with convolutions and ReLU layers. How many
    layers and channels does a 2×2 window take, and a 3×3 window?
    """
    page.say("ReLU(a − b) is the difference a − b if a is larger, and 0 otherwise.")
    a, b = integers(0, (2, 1000))
    page.check(
        "max(a, b) = b + ReLU(a − b) for {n} pairs of integers",
        (jnp.maximum(a, b) == b + jax.nn.relu(a - b)).all(),
        n=len(a),
    )
    page.say(
        "Max pooling is then a tournament: in each round, two values are reduced to one. A "
        "convolution computes the differences, then ReLU, and the next convolution adds. A value "
        "that passes through ReLU takes two channels, because b = ReLU(b) − ReLU(−b)."
    )
    x, channels, rounds = integers(1, (1000, 6, 6, 1)), [], []
    for p in (2, 3):
        kernels = relu_pool_kernels(p)
        channels.append([kernel.shape[3] for kernel in kernels])
        rounds.append(len(kernels) - 1)
        page.show(
            f"[kernel.shape for kernel in relu_pool_kernels({p})]", [k.shape for k in kernels]
        )
        page.check(
            "{p}×{p}: convolutions and ReLU equal max_pool for {n} images of integers, exactly",
            (relu_pool(x, kernels) == ops.max_pool(x, p)).all(),
            p=p,
            n=len(x),
        )
    page.check(
        "the number of rounds is ⌈log₂ p²⌉, the halvings from p² to 1, for every p up to 8",
        all(len(relu_pool_kernels(p)) - 1 == int(np.ceil(np.log2(p * p))) for p in range(1, 9)),
    )
    page.say("We did not show that fewer layers are impossible.")
    page.answer(
        "max(a, b) = b + ReLU(a − b). Per input channel, a 2×2 window takes {two} ReLU layers "
        "between convolutions with {channels_two} output channels, and a 3×3 window takes {three} "
        "between convolutions with {channels_three}.",
        two=rounds[0],
        three=rounds[1],
        channels_two=listed(channels[0]),
        channels_three=listed(channels[1]),
    )


def relu_pool_kernels(p: int) -> list[Array]:
    """Return the kernels of `relu_pool`: the first is p×p, the others are 1×1."""
    values: np.ndarray = np.eye(p * p)  # still in the tournament, each as a sum of channels
    kernels = []
    while len(values) > 1:
        a = values[::2]
        b = np.concatenate([values[1::2], values[-1:]])[: len(a)]
        rows = np.concatenate([a - b, b, -b])
        used = rows.any(axis=1)  # an odd one out meets itself, and needs no difference
        kernels.append(rows[used].T)
        values = np.kron([1, 1, -1], np.eye(len(a)))[:, used]
    kernels.append(values.T)
    sides = [p] + [1] * (len(kernels) - 1)
    return [
        jnp.asarray(kernel.reshape(side, side, -1, kernel.shape[1]), jnp.float32)
        for side, kernel in zip(sides, kernels, strict=True)
    ]


@jax.jit
def relu_pool(x: Array, kernels: list[Array]) -> Array:
    """Pool images [B, H, W, 1] with convolutions, and ReLU between them."""
    x = ops.conv2d(x, kernels[0], stride=kernels[0].shape[0])
    for kernel in kernels[1:]:
        x = ops.conv2d(jax.nn.relu(x), kernel)
    return x


def pooling_is_cheap(page: Page) -> None:
    """What does a pooling layer cost, given its input, window, padding and stride?"""
    page.say(
        "The maximum of p² numbers takes p² − 1 comparisons. Padding and stride matter only "
        "through the output size h'×w': c·h'·w'·(p² − 1) comparisons in total. The mean takes as "
        "many additions, and c·h'·w' divisions."
    )
    page.say("XLA, the compiler of JAX, counts the same number of operations:")
    for n, c, p, stride, padding in ((28, 6, 2, 2, 0), (10, 16, 2, 2, 0), (28, 6, 3, 2, 1)):
        side, _ = ops.output_shape((n, n), p, stride=stride, padding=padding)
        outputs = c * side * side
        operations = [
            cost.operations(
                partial(pool, window=p, stride=stride, padding=padding), cost.floats(1, n, n, c)
            )
            for pool in (ops.max_pool, ops.avg_pool)
        ]
        page.check(
            "{n}×{n}×{c}, p = {p}, stride {stride}, padding {padding}: {most:,.0f} for the "
            "maximum and {mean:,.0f} for the mean",
            operations == [outputs * (p * p - 1), outputs * p * p],
            most=operations[0],
            mean=operations[1],
            n=n,
            c=c,
            p=p,
            stride=stride,
            padding=padding,
        )
    costs = {
        row.name: math.prod(row.output_shape) * (WINDOW**2 - 1)
        if row.name.startswith("pool")
        else 2 * row.multiply_adds  # a multiplication and an addition
        for row in layers.layers(LeNet(pool="max"), (28, 28, 1))
        if row.name != "flatten"
    }
    share = (costs["pool1"] + costs["pool2"]) / sum(costs.values())
    page.check("in LeNet, pooling takes less than 1% of all operations", share < 0.01)
    with page.figure("5.4", "Operations of LeNet on one image, by layer", size=(7, 3.2)) as figure:
        axes = figure.subplots()
        colours = [style.ORANGE if "pool" in name else style.BLUE for name in costs]
        bars = axes.barh(list(costs), list(costs.values()), color=colours)
        axes.bar_label(bars, [f"{cost:,}" for cost in costs.values()], padding=4)
        axes.set(xscale="log", xlim=(500, 3e6), xlabel=page.t("operations"))
        axes.invert_yaxis()
    page.answer(
        "Max pooling takes c·h'·w'·(p² − 1) comparisons, average pooling c·h'·w'·p² additions and "
        "divisions; neither has parameters. In LeNet, this is {share:.2%} of all operations.",
        share=share,
    )


def maximum_and_mean_see_different_things(page: Page) -> None:
    """Why should max pooling and average pooling behave differently?"""
    noise = jnp.asarray(normal(0, (100_000, 2, 2, 1)))
    page.say("Input: {n} windows of 2×2 pixels, standard normal noise.", n=len(noise))
    highest, mean = (np.asarray(pool(noise, 2)).ravel() for pool in (ops.max_pool, ops.avg_pool))
    error = 5 / len(noise) ** 0.5  # five standard errors, and more: neither deviation exceeds 1
    page.check(
        "average pooling has mean {mean:.3f}, within {error:.3f} of 0, and half the noise: "
        "{std:.3f}",
        abs(mean.mean()) < error and abs(mean.std() - 1 / 2) < error,
        mean=mean.mean(),
        error=error,
        std=mean.std(),
    )
    # ∫ z · n φ(z) Φ(z)ⁿ⁻¹ dz, the expected maximum of n = 4 normal numbers
    phi = scipy.stats.norm
    bias, _ = scipy.integrate.quad(lambda z: 4 * z * phi.pdf(z) * phi.cdf(z) ** 3, -8, 8)
    page.check(
        "max pooling has a mean above 0: {mean:.3f}, within {error:.3f} of {bias:.3f} in theory",
        abs(highest.mean() - bias) < error,
        mean=highest.mean(),
        error=error,
        bias=bias,
    )
    page.say(
        "Adding 4 to one pixel, or 1 to all four, raises the mean by 1 either way. The rise of "
        "the output, in standard deviations of pooled noise:"
    )
    spot, all_four = noise.at[:, 0, 0].add(4), noise + 1
    rises = [(rise(ops.max_pool, x, noise), rise(ops.avg_pool, x, noise)) for x in (spot, all_four)]
    page.value("one pixel: rise of the maximum and of the mean", np.round(rises[0], 2))
    page.value("all four: rise of the maximum and of the mean", np.round(rises[1], 2))
    page.check("the maximum is more sensitive to one bright pixel", rises[0][0] > 1.5 * rises[0][1])
    page.check("the mean is more sensitive to a brighter window", rises[1][1] > 1.2 * rises[1][0])

    image = jnp.array([[1.0, 0, 2, 3], [2, 9, 1, 0], [0, 1, 3, 1], [3, 2, 4, 2]])[None, ..., None]
    of_max, of_mean = (gradient(pool, image) for pool in (ops.max_pool, ops.avg_pool))
    page.check(
        "the gradient of a maximum is 1 at one pixel of each window, and 0 elsewhere",
        (ops.avg_pool(of_max, 2) == 1 / 4).all() and set(of_max.ravel().tolist()) == {0, 1},
    )
    page.check("the gradient of a mean is 1/4 at every pixel", (of_mean == 1 / 4).all())
    with page.figure("5.5", "An image, its poolings and their gradients", (9, 5.6)) as figure:
        axes = figure.subplots(2, 3)
        for place, (title, values, most) in {
            (0, 0): (page.t("image"), image, 9),
            (0, 1): (page.t("maximum"), ops.max_pool(image, 2), 9),
            (0, 2): (page.t("mean"), ops.avg_pool(image, 2), 9),
            (1, 1): (page.t("gradient of the maximum"), of_max, 1),
            (1, 2): (page.t("gradient of the mean"), of_mean, 1),
        }.items():
            frames = [(i, j, 2, 2) for i in (0, 2) for j in (0, 2)] if len(values[0]) == 4 else []
            matrix = values[0, ..., 0]
            style.matrix(axes[place], matrix, title=title, limits=(0, most), windows=frames)
        for values, label in ((highest, page.t("maximum")), (mean, page.t("mean"))):
            density, edges = np.histogram(values, np.linspace(-3, 4, 71), density=True)
            axes[1, 0].plot((edges[1:] + edges[:-1]) / 2, density, label=label)
        axes[1, 0].set(xlabel=page.t("pooled noise"), ylabel=page.t("density"), ylim=(0, 1.1))
        axes[1, 0].legend(loc="upper left")
    page.answer(
        "The maximum keeps the strongest value and discards the rest. This suits a feature in one "
        "place, but biases noise in a 2×2 window upwards by {bias:.2f} standard deviations. The "
        "mean halves the noise and divides one bright pixel by 4. The gradient of the maximum "
        "goes to one pixel, the gradient of the mean to all.",
        bias=bias,
    )


Pool = Callable[[Array, int], Array]


def rise(pool: Pool, images: Array, noise: Array) -> float:
    """Return the rise of pooled `images` over pooled `noise`, in its standard deviations."""
    pooled, below = pool(images, WINDOW), pool(noise, WINDOW)
    return float((pooled.mean() - below.mean()) / below.std())


@partial(jax.jit, static_argnames="pool")
def gradient(pool: Pool, image: Array) -> Array:
    """Return the gradient of the sum over the output of `pool`, by pixel."""
    return jax.grad(lambda x: pool(x, WINDOW).sum())(image)


def min_pooling_is_max_pooling_with_two_signs(page: Page) -> None:
    """Is a min pooling layer needed, or can another operation replace it?"""
    page.say("Changing all signs makes the smallest number the largest: min(x) = −max(−x).")
    x = integers(0, (1000, 8, 8, 1))
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(x), (3, 3), axis=(1, 2))
    page.check(
        "−max_pool(−x) equals the minimum of 3×3 windows at stride 2, for {n} images",
        (min_pool(x, 3, stride=2) == windows[:, ::2, ::2].min((-2, -1))).all(),
        n=len(x),
    )
    page.say("Between two layers with weights, the weights can absorb both signs:")
    kernel, weight = integers(1, (3, 3, 1, 4)), integers(2, (3 * 3 * 4, 10))
    smallest = min_pool(ops.conv2d(x, kernel), 2).reshape(len(x), -1) @ weight
    largest = ops.max_pool(ops.conv2d(x, -kernel), 2).reshape(len(x), -1) @ -weight
    page.check(
        "between a convolution and a dense layer, min pooling equals max pooling, both negated",
        (smallest == largest).all(),
    )
    page.say("A non-decreasing activation, such as ReLU, may come before or after the pooling:")
    maps = ops.conv2d(x, kernel)
    page.check(
        "min_pool(ReLU(x)) = ReLU(min_pool(x)), exactly",
        (min_pool(jax.nn.relu(maps), 2) == jax.nn.relu(min_pool(maps, 2))).all(),
    )
    page.answer("No: min pooling is −max_pool(−x), and the layers around it can learn both signs.")


def min_pool(x: Array, window: int, *, stride: int | None = None) -> Array:
    """Return the minimum of each window."""
    return -ops.max_pool(-x, window, stride=stride)


def softmax_pooling_lies_between_mean_and_maximum(page: Page) -> None:
    """What does softmax pooling do, and why is it not popular?"""
    page.say("Softmax pooling weights the pixels x of a window by softmax(β·x): Σ softmax(β·x)·x.")
    x = integers(0, (1000, 2, 2, 1), least=-3, most=3)
    between = jnp.stack([softmax_pool(x, 2, beta) for beta in (0, 1 / 4, 1 / 2, 1, 2)])
    page.check("β = 0 gives the mean, exactly", (between[0] == ops.avg_pool(x, 2)).all())
    bound = rounding.tolerance(7, ops.max_pool(abs(x), 2))
    page.check(
        "β = 100 gives the maximum, up to rounding",
        (abs(softmax_pool(x, 2, 100) - ops.max_pool(x, 2)) <= bound).all(),
    )
    differ = ops.max_pool(x, 2) > min_pool(x, 2)
    page.check(
        "in between, the result rises with β, in each of {n} windows with unequal pixels",
        jnp.where(differ, jnp.diff(between, axis=0).min(0), 1).min() > 0,
        n=int(differ.sum()),
    )

    page.say("Softmax pooling is differentiable everywhere; equal pixels share the gradient:")
    window = jnp.array([0.0, 1, 2, 5]).reshape(1, 2, 2, 1)
    shared = gradient(softmax_pool, 0 * window)
    page.show("gradient(softmax_pool, [0, 0, 0, 0])", shared.ravel())
    first = gradient(ops.max_pool, 0 * window)
    page.show("gradient(max_pool, [0, 0, 0, 0])", first.ravel())
    page.check(
        "each pixel gets 1/4; the maximum gives all to the first pixel",
        (shared == 1 / 4).all() and first.ravel().tolist() == [1, 0, 0, 0],
    )
    page.show("gradient(softmax_pool, [0, 1, 2, 5])", gradient(softmax_pool, window).ravel())
    page.check("raising a low pixel can lower the result", gradient(softmax_pool, window).min() < 0)
    page.say("The result depends on the scale of x, so β must be chosen:")
    small, large = softmax_pool(window, 2), softmax_pool(10 * window, 2) / 10
    page.show("softmax_pool(x, 2), softmax_pool(10 * x, 2) / 10", jnp.stack([small, large]).ravel())
    page.check("scaling x by ten does not scale the result by ten", large > 1.02 * small)

    page.say(
        "By definition, softmax pooling takes one exponential per pixel. The other operations on "
        "the first feature map of LeNet, 28×28×6, as counted by XLA:"
    )
    maps = cost.floats(1, 28, 28, 6)
    soft, hard = (
        cost.operations(partial(pool, window=2), maps) for pool in (softmax_pool, ops.max_pool)
    )
    page.show("operations(max_pool, maps), operations(softmax_pool, maps)", (hard, soft))
    page.check("softmax pooling takes more than 3 times as many", soft > 3 * hard)

    with page.figure("5.7", "Softmax pooling of 0, 1, 2 and 5, by β", (9, 3.6)) as figure:
        betas = np.geomspace(0.01, 10, 121)
        by_beta = partial(softmax_pool, beta=jnp.asarray(betas)[:, None, None, None, None])
        windows = jnp.tile(window, (len(betas), 1, 1, 1))
        left, right = figure.subplots(1, 2)
        left.plot(betas, by_beta(windows, 2).ravel(), label=page.t("softmax"))
        left.axhline(float(window.max()), color=style.ORANGE, ls="--", label=page.t("maximum"))
        left.axhline(float(window.mean()), color=style.GREEN, ls="-.", label=page.t("mean"))
        left.set(xscale="log", xlabel="β", ylabel=page.t("pooled"), ylim=(0, 6.5))
        left.legend(loc="upper left")
        slopes = gradient(by_beta, windows).reshape(-1, 4)
        right.plot(betas, slopes, label=[f"x = {x:.0f}" for x in window.ravel()])
        right.axhline(0, color=style.GREY, linewidth=0.8)
        right.set(xscale="log", xlabel="β", ylabel=page.t("gradient"))
        right.legend(loc="upper left")
    page.answer(
        "Softmax pooling lies between the mean (β = 0) and the maximum (large β) and has a "
        "gradient everywhere. But it takes one exponential per pixel and {times:.0f} times the "
        "other operations of max pooling, and β must suit the scale of the input. Average and max "
        "pooling are cheap.",
        times=soft / hard,
    )


@partial(jax.jit, static_argnames="window")
def softmax_pool(x: Array, window: int, beta: float | Array = 1.0) -> Array:
    """Return Σ softmax(β·x)·x over each window of images [B, H, W, C], channel by channel."""
    values = ops.patches(x, window, stride=window)
    values = values.reshape(*values.shape[:3], window * window, x.shape[3])
    return (jax.nn.softmax(beta * values, axis=3) * values).sum(3)
