import jax.numpy as jnp
import pytest

from lenet.engine import selfcheck
from lenet.errors import UsageError


def test_this_array_library_is_right():
    selfcheck.check()


@pytest.mark.parametrize(("wrong", "named"), [(0, "matrix product"), (1, "reduced"), (2, "a sum")])
def test_a_wrong_result_is_refused_and_named(monkeypatch, wrong, named):
    right = selfcheck._computed

    def broken(*arguments):
        results = list(right(*arguments))
        results[wrong] = results[wrong].at[(0,) * results[wrong].ndim].add(jnp.float32(1))
        return results

    monkeypatch.setattr(selfcheck, "_computed", broken)
    with pytest.raises(UsageError, match=named):
        selfcheck.check()
