"""Counts on functions small enough to count by hand."""

from __future__ import annotations

from fac.step.builder import Builder
from fac.step.cost import Tally, count, peak_bytes, state_inputs
from fac.step.ir import Function, Origin, Phase
from fac.step.types import DType, N, Type


def product() -> Function:
    """h = x w, e = h b, and w moves by x^T e: x [N, 3], w [3, 4], b [4, 5]."""
    b = Builder()
    x, w, back = b.input("x", Type((N, 3))), b.input("w", Type((3, 4))), b.input("b", Type((4, 5)))
    lr = b.scalar("lr")
    with b.at("fc", Phase.FORWARD):
        h = b.matmul(x, w)
    with b.at("fc", Phase.ERROR):
        e = b.matmul(h, back)
        e = b.matmul(e, back, tb=True)
    with b.at("fc", Phase.GRADIENT):
        g = b.matmul(x, e, ta=True)
    with b.at("fc", Phase.UPDATE):
        moved = b.sub(w, b.mul(g, lr))
    return b.finish("step", {"w": moved})


def test_counts_by_node_and_phase() -> None:
    n = 7
    assert count(product(), n) == {
        Origin("fc", Phase.FORWARD): Tally(n * 3 * 4, 4 * (n * 3 + 12 + n * 4)),
        Origin("fc", Phase.ERROR): Tally(
            2 * n * 4 * 5, 4 * (n * 4 + 20 + n * 5 + n * 5 + 20 + n * 4), 2 * 20
        ),
        Origin("fc", Phase.GRADIENT): Tally(n * 3 * 4, 4 * (n * 3 + n * 4 + 12)),
        Origin("fc", Phase.UPDATE): Tally(0, 4 * (12 + 12 + 12 + 12 + 12)),
    }


def test_float64_moves_twice_the_bytes() -> None:
    single, double = count(product(), 7), count(product(), 7, float_bytes=8)
    assert all(double[origin].bytes == 2 * tally.bytes for origin, tally in single.items())
    assert peak_bytes(product(), 7, 8) == 2 * peak_bytes(product(), 7)


def test_only_weights_and_feedback_are_state() -> None:
    assert {value.name for value in state_inputs(product())} == {"w", "b"}


def test_the_peak_is_where_most_values_are_live() -> None:
    n, inputs = 7, 7 * 3 + 12 + 20
    # While e = h b is made, h [N, 4] and e [N, 5] live beside the inputs; so do e and its image [N, 4].
    assert peak_bytes(product(), n) == 4 * (inputs + n * 4 + n * 5)
    # With one sample the gradient [3, 4] outweighs them: it lives beside the error [1, 4] that it is made from.
    assert peak_bytes(product(), 1) == 4 * (3 + 12 + 20 + 4 + 12)


def test_the_next_value_of_an_input_takes_no_memory() -> None:
    b = Builder()
    p = b.input("p", Type((10,)))
    with b.at("p", Phase.LEARN):
        step = b.mul(p, p)
        following = b.add(p, step)
    assert peak_bytes(b.finish("step", {"p": following}), 1) == 4 * (10 + 10)
    assert peak_bytes(b.finish("step", {"q": following}), 1) == 4 * (10 + 10 + 10)


def test_views_and_scalars_are_free_and_views_keep_their_memory_alive() -> None:
    b = Builder()
    x = b.input("x", Type((N, 6)))
    doubled = b.mul(x, 2.0)
    view = b.reshape(doubled, (N, 2, 3))
    other = b.neg(x)
    function = b.finish("f", {"view": view, "other": other})
    assert count(function, 5)[Origin("", Phase.FORWARD)] == Tally(0, 4 * 5 * (6 + 6 + 6 + 6))
    assert peak_bytes(function, 5) == 4 * 5 * (6 + 6 + 6)


def test_integers_have_eight_bytes_and_booleans_one() -> None:
    b = Builder()
    y = b.input("y", Type((N,), DType.INT))
    same = b.equal(y, y)
    function = b.finish("f", {"same": same})
    assert count(function, 10)[Origin("", Phase.FORWARD)].bytes == 80 + 80 + 10
    assert peak_bytes(function, 10) == 80 + 10
