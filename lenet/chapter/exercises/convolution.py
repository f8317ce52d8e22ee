"""Section 2: convolution."""

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jax import Array

from lenet import ops, reference
from lenet.chapter.exercises.draws import integers
from lenet.chapter.page import Page
from lenet.figures import style
from lenet.model import Conv2D


def correlate(images: Array, kernel: Array) -> Array:
    """Cross-correlate images [B, H, W] or [H, W] with one kernel [kh, kw]."""
    x = images.reshape(-1, *images.shape[-2:], 1)
    y = ops.conv2d(x, kernel[:, :, None, None])[..., 0]
    return y.reshape(*images.shape[:-2], *y.shape[1:])


def a_diagonal_edge_is_seen_across_and_down(page: Page) -> None:
    """Make an image with a diagonal edge. What is the output of the kernel [1, −1]? What changes
    when the image or the kernel is transposed?
    """
    x, k = jnp.tri(5, 6), jnp.array([[1.0, -1.0]])
    edges, image_turned, kernel_turned = correlate(x, k), correlate(x.T, k), correlate(x, k.T)
    page.show("corr2d(X, K)", edges)
    page.check("the output is 1 along the diagonal, 0 elsewhere", (edges == jnp.eye(5)).all())
    page.check(
        "with the image transposed, the output is −1 next to the diagonal: black now turns white",
        (image_turned == -jnp.eye(6, 4, k=-1)).all(),
    )
    page.check("a transposed kernel transposes this", (kernel_turned == image_turned.T).all())

    page.say("This holds in general, because transposing exchanges rows and columns in the sum.")
    images, kernels = integers(0, (1000, 6, 8)), integers(1, (3, 2))
    down = jnp.swapaxes(images, 1, 2)
    page.check(
        "corr2d(Xᵀ, K) = corr2d(X, Kᵀ)ᵀ for {n} random images and a 3×2 kernel, exactly",
        (correlate(down, kernels) == jnp.swapaxes(correlate(images, kernels.T), 1, 2)).all(),
        n=len(images),
    )
    vertical = jnp.ones((6, 8)).at[:, 2:6].set(0)
    page.check(
        "for a vertical edge, transposing the image or the kernel gives 0 everywhere",
        (correlate(vertical.T, k) == 0).all() and (correlate(vertical, k.T) == 0).all(),
    )
    with page.figure("2.1", "A diagonal edge; K = [1, −1]", (10, 3.4)) as figure:
        axes = figure.subplots(1, 4, width_ratios=(6, 5, 4, 6))
        style.matrix(axes[0], x, title="X")
        style.matrix(axes[1], edges, title="corr2d(X, K)", signed=True)
        style.matrix(axes[2], image_turned, title="corr2d(Xᵀ, K)", signed=True)
        style.matrix(axes[3], kernel_turned, title="corr2d(X, Kᵀ)", signed=True)
    page.answer(
        "The kernel detects the diagonal edge. With X or K transposed, the sign changes, and the "
        "two outputs are transposes of each other: a diagonal edge is a change both across and "
        "down."
    )


def an_edge_kernel_for_every_direction(page: Page) -> None:
    """Given a direction v = (v₁, v₂), derive a kernel that detects edges orthogonal to v."""
    page.say(
        "An edge orthogonal to v is a change along v. The derivative along v is v₁ times the "
        "derivative across plus v₂ times the derivative down, each a 3×3 Sobel kernel:"
    )
    for v in ((1, 0), (0, 1), (1, 1)):
        page.show(f"edge_kernel({v})", edge_kernel(v))
    page.say(
        "An image that grows by g₁ per column and g₂ per row has the gradient g everywhere. For "
        "all integer vectors v and g from −9 to 9:"
    )
    vectors = np.stack(np.meshgrid(range(-9, 10), range(-9, 10)), axis=-1).reshape(-1, 2)
    found, dot = slopes(vectors, vectors), vectors @ vectors.T
    page.check("the output is 8 · (v·g), for all {n} pairs", (found == 8 * dot).all(), n=dot.size)
    page.check("the output is 0 where v and g are orthogonal", (found[dot == 0] == 0).all())
    most = 64 * np.outer((vectors**2).sum(1), (vectors**2).sum(1))  # (8 · |v| · |g|)²
    crossed = np.outer(vectors[:, 0], vectors[:, 1])
    page.check(
        "the output is at most 8 · |v| · |g|, reached only where v and g are parallel",
        (found**2 <= most).all() and ((found**2 == most) == (crossed == crossed.T)).all(),
    )

    rows, columns = np.mgrid[-12:13, -12:13]
    disc = jnp.asarray(rows**2 + columns**2 < 80, jnp.float32)  # it has edges of every direction
    directions = np.array([[1, 0], [0, 1], [1, 1]])
    edges = [correlate(disc, jnp.asarray(edge_kernel(v), jnp.float32)) for v in directions]
    page.check(
        "on a disc, the output for v = (1, 0) is largest left and right, and 0 top and bottom",
        abs(edges[0][11]).max() == abs(edges[0]).max() == 4 and (edges[0][:, 11] == 0).all(),
    )
    with page.figure("2.2a", "Edges of a disc, and response by direction", (9, 5.4)) as figure:
        angles = np.arange(0, 361, 5)
        circle = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1)
        curves = slopes(circle, directions) / 8 / np.linalg.norm(directions, axis=1)[None, :]
        grid = figure.subplot_mosaic([list("abcd"), list("eeee")], height_ratios=(3, 4))
        style.matrix(grid["a"], disc, title=page.t("image"), numbers=False)
        for i, v in enumerate(directions.tolist()):
            label = f"v = ({v[0]}, {v[1]})"
            style.matrix(grid["bcd"[i]], edges[i], title=label, numbers=False, signed=True)
            grid["e"].plot(angles, curves[:, i], label=label)
        grid["e"].set(xticks=range(0, 361, 45), xlim=(0, 360))
        grid["e"].set_xlabel(page.t("direction of the gradient g (degrees: 0 across, 90 down)"))
        grid["e"].set_ylabel(page.t("response / (8 · |v| · |g|)"))
        grid["e"].grid(color=style.GREY, alpha=0.3)
        grid["e"].legend(loc="upper center", ncols=3)
        grid["e"].set_ylim(-1.1, 1.5)
    page.answer(
        "The kernel is v₁ times the derivative across plus v₂ times the derivative down. Its "
        "output is a multiple of v·g: largest across an edge, 0 along an edge."
    )


def edge_kernel(v: Any) -> np.ndarray:
    """Return the 3×3 kernel of 8 times the derivative along v = (across, down)."""
    across = np.outer([1, 2, 1], [-1, 0, 1])  # smoothed down the columns
    return np.asarray(v[0] * across + v[1] * across.T)


def slopes(gradients: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return the output of each direction's kernel on the ramp of each gradient, [G, V]."""
    down, across = np.mgrid[:3, :3][:, None]  # [1, 3, 3]
    g1, g2 = gradients.T[:, :, None, None]  # [G, 1, 1]
    ramps = jnp.asarray(g1 * across + g2 * down, jnp.float32)
    kernels = jnp.asarray(np.stack([edge_kernel(v) for v in directions], -1), jnp.float32)
    return np.asarray(ops.conv2d(ramps[..., None], kernels[:, :, None])[:, 0, 0], np.float64)


def the_second_difference_takes_three(page: Page) -> None:
    """Find a kernel for the second derivative. How small can it be, and which structures respond
    most?
    """
    page.say("The second derivative is the derivative of the derivative: take differences twice.")
    second = np.convolve([1, -1], [1, -1])
    page.show("np.convolve([1, -1], [1, -1])", second)
    a, b, c = integers(0, (3, 1000, 1))
    t = jnp.arange(12.0)[None, :]
    quadratics = (a * t**2 + b * t + c)[:, None, :]  # images of one row
    row = jnp.asarray(second, jnp.float32)[None, :]
    page.check(
        "on {n} random quadratics a·t² + b·t + c, the output is 2a everywhere, exactly",
        (correlate(quadratics, row)[:, 0] == 2 * a).all(),
        n=len(a),
    )
    page.say(
        "Two weights p and q cannot do it: the output must be 0 for the images 1 and t, so p + q "
        "= 0 and 0 · p + 1 · q = 0, which gives p = q = 0."
    )
    page.check("there is no other solution", np.linalg.matrix_rank(np.array([[1, 1], [0, 1]])) == 2)

    page.say("For images, add the kernels across and down. The test image has several structures:")
    laplacian = jnp.zeros((3, 3)).at[1].add(row[0]).at[:, 1].add(row[0])
    page.show("laplacian", laplacian)
    # A filled corner, a line that ends, and a point.
    image = jnp.zeros((9, 13)).at[:7, :3].set(1).at[:7, 6].set(1).at[3, 10].set(1)
    y = correlate(jnp.pad(image, 1, mode="edge"), laplacian)
    # Where in the picture, and what the kernel gives there.
    places = ((8, 11), (4, 2), (6, 2), (4, 6), (6, 6), (3, 10))
    sizes = [abs(y[place]).item() for place in places]
    page.value("response to a constant, an edge, a corner, a line, its end, a point", sizes)
    page.check(
        "the response falls from point to end of line, line and corner, edge, constant",
        sizes == [0, 1, 2, 2, 3, 4] and abs(y).max() == 4,
    )
    with page.figure("2.2b", "Response of the second derivative", (9.5, 3.4)) as figure:
        left, middle, right = figure.subplots(1, 3, width_ratios=(13, 4, 13))
        style.matrix(left, image, title=page.t("image"), numbers=False)
        style.matrix(middle, laplacian, title=page.t("kernel"), signed=True)
        style.matrix(right, y, title=page.t("response"), signed=True, numbers=True)
    page.answer(
        "[1, −2, 1] is the smallest: two weights whose output is 0 for constants and ramps are "
        "both 0. Ramps give no response; thin structures respond most: {point:.0f} for a point, "
        "{line:.0f} for a line, {edge:.0f} for an edge.",
        point=sizes[5],
        line=sizes[3],
        edge=sizes[1],
    )


def a_blur_is_a_mean_that_quiets_noise(page: Page) -> None:
    """Find a kernel that blurs an image. What is blurring good for?"""
    page.say("A blur is a weighted mean of neighbours, with nonnegative weights that sum to 1.")
    kernel = jnp.outer(jnp.array([1.0, 2, 1]), jnp.array([1.0, 2, 1])) / 16
    page.show("16 * kernel", 16 * kernel)
    constants = jnp.broadcast_to(jnp.arange(-9.0, 10)[:, None, None], (19, 5, 5))
    page.check(
        "a constant image stays unchanged",
        (correlate(constants, kernel) == constants[:, 1:-1, 1:-1]).all(),
    )

    page.say("Noise: the variance of a weighted sum of independent values is multiplied by Σ k².")
    noise = jax.random.normal(jax.random.key(0), (400, 62, 62))
    quiet = correlate(noise, kernel)[:, ::3, ::3]  # windows that share no pixel
    measured, predicted = float((quiet**2).mean()), float((kernel**2).sum())
    error = predicted * math.sqrt(2 / quiet.size)  # the standard error of a variance
    page.value("variance after the blur: measured, predicted", f"{measured:.4f}, {predicted:.4f}")
    page.check(
        "the variance falls from 1 to {predicted:.3f}, within five standard errors ({n} pixels)",
        abs(measured - predicted) < 5 * error,
        predicted=predicted,
        n=quiet.size,
    )

    step = jnp.broadcast_to(jnp.array([0.0, 0, 0, 1, 1, 1])[None, :], (3, 6))
    page.show("correlate(step, kernel)", correlate(step, kernel)[0])
    page.check(
        "a blurred step is two pixels wider",
        (correlate(step, kernel)[0] == jnp.array([0, 1 / 4, 3 / 4, 1])).all(),
    )

    page.say("Downsampling: of stripes one pixel wide, a stride of 2 sees only one kind.")
    stripes = jnp.broadcast_to(jnp.arange(16.0)[None, :] % 2, (16, 16))
    page.check(
        "every second pixel is all 0 or all 1, depending on the starting point",
        (stripes[::2, ::2] == 0).all() and (stripes[::2, 1::2] == 1).all(),
    )
    page.check("after the blur, every pixel is 1/2", (correlate(stripes, kernel) == 0.5).all())

    page.say("Repeated blurring with [1/2, 1/2] gives binomial coefficients, close to a Gaussian.")
    means = {n: scipy.stats.binom(n, 1 / 2, loc=-n / 2) for n in (2, 4, 8, 16)}  # by offset
    gauss = {n: scipy.stats.norm(0, math.sqrt(n) / 2) for n in means}  # of the same variance
    offsets = {n: np.arange(n + 1) - n / 2 for n in means}
    apart = {
        n: abs(means[n].pmf(at) - gauss[n].pdf(at)).max() / gauss[n].pdf(0)
        for n, at in offsets.items()
    }
    page.value(
        "largest difference relative to the height, by number of means",
        {n: round(d, 3) for n, d in apart.items()},
    )
    page.check(
        "the difference halves when the number doubles, to {last:.1%} at 16",
        all(apart[2 * n] < 0.6 * apart[n] for n in (2, 4, 8)),
        last=apart[16],
    )
    with page.figure("2.2c", "Noise before and after a blur; repeated means", (9.5, 3.2)) as figure:
        left, middle, right = figure.subplots(1, 3)
        rows, columns = np.mgrid[-15:15, -15:15]
        noisy = jnp.asarray(rows**2 + columns**2 < 100, jnp.float32) + noise[0, :30, :30] / 2
        limits = (-1, 2)
        style.matrix(left, noisy, title=page.t("image with noise"), limits=limits)
        style.matrix(middle, correlate(noisy, kernel), title=page.t("blurred"), limits=limits)
        at = np.linspace(-4, 4, 200)
        for n, marker in ((2, "o"), (8, "s")):
            x, y, label = offsets[n], means[n].pmf(offsets[n]), page.t("{n} means", n=n)
            right.plot(x, y, marker, color=style.ORANGE, mfc="none", label=label)
            right.plot(at, gauss[n].pdf(at), "-", color=style.BLUE)
        right.lines[-1].set_label(page.t("Gaussian"))
        right.set(xlabel=page.t("offset (pixels)"), ylabel=page.t("weight"))
        right.legend()
    page.answer(
        "A weighted mean, such as 1, 2, 1 across and down, blurs. It keeps constants and reduces "
        "noise, here to {predicted:.0%} of its variance, which helps before differences and "
        "downsampling.",
        predicted=predicted,
    )


def a_derivative_takes_its_order_and_one(page: Page) -> None:
    """How small can a kernel for the derivative of order d be?"""
    page.say(
        "Let the kernel have n weights k₀ to kₙ₋₁ at the places t = 0 to n − 1. The derivative of "
        "order d is 0 for 1, t, …, t^(d−1), and d! for t^d: d + 1 equations in Σ k_t · t^j."
    )
    powers = [np.vander(range(n), increasing=True).T for n in range(8)]  # n×n
    page.value("row j is t^j at t = 0, 1, 2, 3", powers[4])
    page.say(
        "If n ≤ d, the first n equations have 0 on the right. Their Vandermonde matrix has the "
        "nonzero determinant 1! · 2! · … · (n − 1)!. So k = 0, and the last equation fails."
    )
    factorials = [math.factorial(i) for i in range(7)]
    page.check(
        "the determinant equals this product for n up to 7",
        all(round(np.linalg.det(powers[n])) == math.prod(factorials[:n]) for n in range(1, 8)),
    )
    page.say("If n = d + 1, there is one solution: [−1, 1] convolved with itself, d times in all.")
    kernels = {d: differences(d) for d in range(1, 7)}
    for d in range(1, 5):
        page.show(f"differences({d})", kernels[d])
    page.check(
        "this kernel satisfies all d + 1 equations, exactly, for d up to 6",
        all((powers[d + 1] @ k == [0] * d + [factorials[d]]).all() for d, k in kernels.items()),
    )
    page.check(
        "its weights are binomial coefficients with alternating signs",
        all(
            k.tolist() == [(-1) ** (d - i) * math.comb(d, i) for i in range(d + 1)]
            for d, k in kernels.items()
        ),
    )
    with page.figure("2.2d", "The smallest kernels for derivatives of order d", (7, 4)) as figure:
        axes = figure.subplots()
        triangle = np.stack([np.pad(k, (0, 6 - d)) for d, k in kernels.items()])
        style.matrix(axes, triangle, numbers=False, signed=True)
        for d, k in kernels.items():
            for t, value in enumerate(k):
                colour = "white" if abs(value) > 14 else "black"
                axes.text(
                    t, d - 1, str(value).replace("-", "−"), ha="center", va="center", color=colour
                )
        axes.set(xticks=range(7), xlabel=page.t("place t"), ylabel=page.t("order d"))
        axes.set_yticks(range(6), map(str, kernels))
    page.answer(
        "d + 1 weights in a row: a shorter kernel that gives 0 for all lower powers is 0. The "
        "only kernel of this size is [−1, 1] convolved with itself, up to a factor."
    )


def differences(d: int) -> np.ndarray:
    """Return [−1, 1] convolved d times: for a cross-correlation, the derivative of order d."""
    return reduce(np.convolve, [np.array([-1, 1])] * d)


def a_loop_is_differentiable_unless_it_assigns(page: Page) -> None:
    """Compute the gradient of a convolution written as a loop. What goes wrong if the loop assigns
    to its result?
    """
    x, k, weight = (integers(i, shape) for i, shape in enumerate(((5, 6), (2, 3), (4, 4))))
    page.say("A loop that assigns Y[i, j] = … to a JAX array of zeros:")
    error = error_of(lambda: corr2d_in_place(x, k, jnp.zeros((4, 4))))
    page.show("corr2d_in_place(x, k, jnp.zeros((4, 4)))", error)
    page.check("assignment raises an error, even without a gradient", "TypeError" in error)
    page.say("With a NumPy array of zeros, the loop runs, but it has no gradient:")
    page.check(
        "the values are right",
        np.array_equal(corr2d_in_place(x, k, np.zeros((4, 4))), reference.corr2d(x, k)),
    )
    error = error_of(lambda: jax.grad(lambda k: corr2d_in_place(x, k, np.zeros((4, 4))).sum())(k))
    page.show("jax.grad(corr2d_in_place)", error)
    page.check("a NumPy array cannot hold traced values", error)

    page.say(
        "The loop in lenet.reference stacks its results instead. Let the loss be Σ c · corr2d(x, "
        "k), so that c is the gradient of the output. By hand, the gradient of the kernel is Σ "
        "c[i, j] · x[i + a, j + b]; the gradient of the image spreads c over the windows."
    )

    def loss(x: Array, k: Array) -> Array:
        return (weight * reference.corr2d(x, k)).sum()

    of_x, of_k = jax.grad(loss, argnums=(0, 1))(x, k)
    page.show("jax.grad(loss, argnums=1)(x, k)", of_k)
    page.check("the gradient of the kernel is corr2d(x, c)", (of_k == correlate(x, weight)).all())
    assigned = jax.grad(lambda k: (weight * corr2d_at_set(x, k)).sum())(k)
    page.check("a loop with y.at[i, j].set(…) gives the same gradient", (assigned == of_k).all())
    spread = ops.conv_transpose2d(weight[None, :, :, None], k[:, :, None, None])[0, :, :, 0]
    page.check("the gradient of the image is conv_transpose2d(c, k)", (of_x == spread).all())
    layer = Conv2D(features=1, kernel_size=(2, 3))
    params = {"kernel": k[:, :, None, None], "bias": jnp.zeros(1)}

    def layer_loss(params: dict[str, Array]) -> Array:
        y = jnp.asarray(layer.apply({"params": params}, x[None, :, :, None]))
        return (weight * y[0, :, :, 0]).sum()

    gradient = jax.grad(layer_loss)(params)
    page.check(
        "the Flax layer agrees, and the gradient of its bias is Σ c",
        (gradient["kernel"][:, :, 0, 0] == of_k).all() and gradient["bias"][0] == weight.sum(),
    )
    with page.figure("2.3", "The gradient of the kernel", (9, 3)) as figure:
        axes = figure.subplots(1, 3, width_ratios=(6, 4, 3))
        style.matrix(axes[0], x, title="x", signed=True, windows=[(0, 0, 4, 4)])
        style.matrix(axes[1], weight, title="c", signed=True)
        title = page.t("gradient of k: corr2d(x, c)")
        style.matrix(axes[2], of_k, title=title, signed=True, windows=[(0, 0, 1, 1)])
    page.answer(
        "Assignment fails: JAX arrays are immutable (TypeError), and NumPy arrays cannot hold the "
        "values that jax.grad traces. A loop that stacks its results, or uses y.at[i, j].set, is "
        "differentiable. The gradient of the kernel is the cross-correlation of the image with "
        "the gradient of the output."
    )


def corr2d_in_place(x: Array, k: Array, y: Any) -> Any:
    """Cross-correlate by assigning to the elements of y, as a NumPy loop does."""
    kh, kw = k.shape
    for i, j in np.ndindex(y.shape):
        y[i, j] = (x[i : i + kh, j : j + kw] * k).sum()
    return y


def corr2d_at_set(x: Array, k: Array) -> Array:
    """Cross-correlate with `at[].set`, the functional assignment of JAX."""
    kh, kw = k.shape
    y = jnp.zeros((x.shape[0] - kh + 1, x.shape[1] - kw + 1))
    for i, j in np.ndindex(y.shape):
        y = y.at[i, j].set((x[i : i + kh, j : j + kw] * k).sum())
    return y


def error_of(call: Callable[[], Any]) -> str:
    """Return the name of the error that a call raises, and the first sentence of its message."""
    try:
        call()
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).split('. ')[0]}"
    return ""


def cross_correlation_is_a_matrix_product(page: Page) -> None:
    """Write cross-correlation as a matrix product, by changing the kernel or the image."""
    x, k = integers(0, (1000, 5, 6)), integers(1, (2, 3))
    y = correlate(x, k).reshape(1000, -1)
    page.say("The kernel as a matrix, with one row per output and one column per pixel:")
    matrix = kernel_matrix(k, (5, 6))
    page.show("kernel_matrix(k, (5, 6)).shape", matrix.shape)
    page.check(
        "matrix @ x.ravel() equals corr2d(x, k) for {n} random images, exactly",
        (x.reshape(1000, -1) @ matrix.T == y).all(),
        n=len(x),
    )
    page.check(
        "each row contains the {n} weights of the kernel and zeros",
        ((matrix != 0).sum(1) <= k.size).all() and (matrix.sum(1) == k.sum()).all(),
        n=k.size,
    )
    blocks = matrix.reshape(4, 4, 5, 6)
    page.check(
        "moving the output one place right or down moves the row one pixel right or down",
        (blocks[:, 1:, :, 1:] == blocks[:, :-1, :, :-1]).all()
        and (blocks[1:, :, 1:] == blocks[:-1, :, :-1]).all(),
    )
    spread = ops.conv_transpose2d(y.reshape(-1, 4, 4, 1), k[:, :, None, None])[..., 0]
    page.check(
        "the product with the transposed matrix equals conv_transpose2d",
        (y @ matrix == spread.reshape(1000, -1)).all(),
    )

    page.say("The image as a matrix, with one row per output, the pixels under its window:")
    rows = ops.patches(x[..., None], (2, 3)).reshape(1000, 16, 6)
    page.show("patches(x, (2, 3))[0].reshape(-1, 6).shape", rows[0].shape)
    page.check("patches @ k.ravel() also equals corr2d(x, k)", (rows @ k.ravel() == y).all())
    with page.figure("2.4", "The kernel or the image as a matrix", (9, 3)) as figure:
        x, k = jnp.arange(9.0).reshape(3, 3), jnp.arange(1.0, 5).reshape(2, 2)
        axes = figure.subplots(1, 4, width_ratios=(3, 2, 9, 4))
        style.matrix(axes[0], x, title="X", windows=[(0, 1, 2, 2)])
        style.matrix(axes[1], k, title="K", limits=(0, 4))
        matrix, title = kernel_matrix(k, (3, 3)), page.t("K as a matrix")
        style.matrix(axes[2], matrix, title=title, windows=[(1, 0, 1, 9)])
        pixels = ops.patches(x[None, :, :, None], 2).reshape(4, 4)
        style.matrix(axes[3], pixels, title=page.t("X as a matrix"), windows=[(1, 0, 1, 4)])
    page.answer(
        "Write the kernel as a matrix whose rows are shifted copies of the kernel, one per "
        "output, zero elsewhere, and the image as a vector. Or write the image as a matrix whose "
        "rows are the pixels of each window, and the kernel as a vector."
    )


def kernel_matrix(kernel: Array, size: tuple[int, int]) -> Array:
    """Return the matrix [outputs, pixels] of a cross-correlation with `kernel` on (H, W) pixels.

    It is the tied weight of a fully connected layer, for windows that begin at the output's place;
    outputs whose window does not fit are left out.
    """
    kh, kw = kernel.shape
    # Padded to odd sides, with its first number in the middle.
    centred = jnp.pad(kernel, ((kh - 1, 0), (kw - 1, 0)))
    weight = reference.tied_weight(centred, size)
    return weight[: size[0] - kh + 1, : size[1] - kw + 1].reshape(-1, size[0] * size[1])
