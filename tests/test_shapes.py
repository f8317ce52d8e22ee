import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet.ops.shapes import explicit_padding, output_shape, pair, same_padding

SIZES = st.integers(1, 40)


def test_the_examples_of_the_text():
    assert output_shape((8, 8), 3, padding=1) == (8, 8)
    assert output_shape((8, 8), (5, 3), padding=(2, 1)) == (8, 8)
    assert output_shape((8, 8), 3, padding=1, stride=2) == (4, 4)
    assert output_shape((8, 8), (3, 5), padding=(0, 1), stride=(3, 4)) == (2, 2)


def test_ten_layers_of_5x5_lose_ten_times_four_pixels():
    size = (240, 240)
    for _ in range(10):
        size = output_shape(size, 5)
    assert size == (200, 200)


@given(n=SIZES, k=SIZES, s=st.integers(1, 5), before=st.integers(0, 4), after=st.integers(0, 4))
def test_it_counts_the_places_where_a_window_fits(n, k, s, before, after):
    places = [i for i in range(0, n + before + after, s) if i + k <= n + before + after]
    padding = ((before, after), (before, after))
    if places:
        assert output_shape((n, n), k, stride=s, padding=padding) == (len(places),) * 2
    else:
        with pytest.raises(ValueError, match="does not fit"):
            output_shape((n, n), k, stride=s, padding=padding)


@given(n=SIZES, m=SIZES, k=SIZES, s=st.integers(1, 5))
def test_same_is_that_of_xla_and_gives_ceil_n_over_s(n, m, k, s):
    sides = explicit_padding((n, m), k, stride=s, padding="SAME")
    assert list(sides) == jax.lax.padtype_to_pads((n, m), (k, k), (s, s), "SAME")
    assert output_shape((n, m), k, stride=s, padding="SAME") == (-(-n // s), -(-m // s))


@given(n=SIZES, k=SIZES)
def test_the_texts_padding_keeps_the_size_and_puts_the_larger_half_on_top(n, k):
    (top, bottom), _ = sides = same_padding(k)
    assert output_shape((n, n), k, padding=sides) == (n, n)
    assert 0 <= top - bottom <= 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: output_shape((3, 4), 5), r"\(5, 5\).*\(3, 4\)"),
        (lambda: output_shape((8, 8), 3, stride=0), "stride.*>= 1.*0"),
        (lambda: output_shape((8, 8), 0), "kernel.*>= 1.*0"),
        (lambda: output_shape((8, 8), 3, padding=-1), "padding.*>= 0.*-1"),
        (lambda: output_shape((8, 8), 3, padding="FULL"), "FULL"),
        (lambda: output_shape((8, 8), 3, padding=(1, 1, 1)), "two axes"),
        (lambda: pair((1, 2, 3), "stride", least=1), r"\(1, 2, 3\)"),
        (lambda: pair(1.5, "stride", least=1), "1.5"),
    ],
)
def test_what_cannot_be_is_a_value_error_that_names_it(call, said):
    with pytest.raises(ValueError, match=said):
        call()
