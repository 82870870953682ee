"""The order of statements, on statements written by hand."""

from __future__ import annotations

from fac.step.ir import Origin, Phase, Value
from fac.step.types import N, Type
from fac_torch import schedule as orders
from fac_torch.statements import Statement

SQUARE = Type((2, 2))


def value(name: str) -> Value:
    return Value(name, SQUARE)


def line(
    kind: str,
    *operands: Value,
    result: Value | None = None,
    updates: tuple[Value, ...] = (),
    phase: Phase = Phase.ERROR,
) -> Statement:
    attributes = {"ta": False, "tb": False} if kind == "matmul" else {}
    return Statement(kind, operands, attributes, result, Origin("fc", phase), updates)


def schedule(lines: list[Statement]) -> list[Statement]:
    """The order, with what is written into state at once, as a step has it."""
    found = orders.written_through(orders.schedule(lines), set())
    orders.assert_old_values(found)
    return found


def kinds(lines: list[Statement]) -> list[str]:
    return [entry.kind for entry in lines]


W, M, G, X = value("w"), value("m"), value("g"), Value("x", Type((N, 2)))


def test_an_update_waits_for_every_reader_of_the_old_value() -> None:
    above, below = value("above"), value("below")
    update = line("sgd", W, M, G, updates=(W, M), phase=Phase.UPDATE)
    lines = [
        line("neg", X, result=above),
        line("matmul", above, W, result=below),
        line("neg", below, result=value("z")),
    ]
    order = schedule([update, *lines])
    assert order.index(update) == 2, "right after the product, before what follows it"


def test_an_update_waits_for_readers_of_views_of_the_old_value() -> None:
    flat, square, below = Value("flat", Type((4,))), value("square"), value("below")
    lines = [
        line("sgd", W, M, G, updates=(W, M), phase=Phase.UPDATE),
        line("reshape", W, result=flat),
        line("reshape", flat, result=square),
        line("matmul", X, square, result=below),
    ]
    assert kinds(schedule(lines)) == ["reshape", "reshape", "matmul", "sgd"]


def test_of_updates_that_read_what_the_other_changes_one_reads_a_copy() -> None:
    a = line("copy", W, M, updates=(W,), phase=Phase.UPDATE)
    b = line("copy", M, W, updates=(M,), phase=Phase.UPDATE)
    clone, first, second = schedule([a, b])
    assert (clone.kind, clone.operands) == ("clone", (W,))
    assert (first.operands, second.operands) == ((W, M), (M, clone.result))


def test_a_kernel_reads_a_copy_where_its_gradient_is_what_it_changes() -> None:
    """It works tile by tile, and would read rows of the old value that it has already replaced."""
    update = line("sgd_outer", W, M, W, X, updates=(W, M), phase=Phase.UPDATE)
    clone, found = schedule([update])
    assert (clone.kind, found.operands) == ("clone", (W, M, clone.result, X))


def test_what_is_learned_comes_before_the_large_update() -> None:
    error, seen = value("error"), value("seen")
    lines = [
        line("neg", X, result=error),
        line("neg", error, result=value("below")),
        line("sgd_outer", W, M, error, X, updates=(W, M), phase=Phase.UPDATE),
        line("sum", error, result=seen, phase=Phase.LEARN),
    ]
    assert kinds(schedule(lines)) == ["neg", "sum", "sgd_outer", "neg"]


def test_what_is_learned_from_weights_alone_stays_with_its_layer() -> None:
    """It could run before the forward pass, and would then be kept through all of it."""
    lines = [
        line("relu", X, result=(h := value("h")), phase=Phase.FORWARD),
        line("neg", h, result=(d := value("d"))),
        line("sum", d, result=value("bias"), phase=Phase.GRADIENT),
        line("matmul", W, W, result=(q := value("q")), phase=Phase.LEARN),
        line("copy", M, q, updates=(M,), phase=Phase.UPDATE),
    ]
    assert kinds(schedule(lines)) == ["relu", "neg", "sum", "matmul", "copy"]


def test_numbers_that_an_update_waits_for_do_not_hold_it_up() -> None:
    rate = Value("rate", Type(()))
    lines = [
        line("neg", X, result=(d := value("d"))),
        line("neg", d, result=value("below")),
        line("mul", Value("lr", Type(())), result=rate, phase=Phase.UPDATE),
        line("sgd", W, M, d, rate, updates=(W, M), phase=Phase.UPDATE),
    ]
    assert kinds(schedule(lines)) == ["mul", "neg", "sgd", "neg"]


def test_a_result_that_is_only_copied_into_a_state_is_written_there() -> None:
    following = value("next")
    made = line("add", W, G, result=following, phase=Phase.LEARN)
    order = schedule([made, line("copy", W, following, updates=(W,), phase=Phase.UPDATE)])
    assert [(entry.kind, entry.updates) for entry in order] == [("add", (W,))]


def test_a_scalar_state_is_copied() -> None:
    """Numbers are Python's own arithmetic, which makes a new tensor whatever it is told."""
    count, following = Value("count", Type(())), Value("next", Type(()))
    made = line("add", count, Value("one", Type(())), result=following, phase=Phase.FORWARD)
    order = schedule([made, line("copy", count, following, updates=(count,), phase=Phase.UPDATE)])
    assert kinds(order) == ["add", "copy"]
    assert order[0].updates == ()


def test_it_is_copied_if_the_old_value_is_read_later() -> None:
    """Writing at once would give the later reader the new value."""
    following, late = value("next"), value("late")
    lines = [
        line("add", W, X, result=following, phase=Phase.LEARN),
        line("matmul", X, W, result=late),
        line("copy", W, following, updates=(W,), phase=Phase.UPDATE),
    ]
    order = schedule(lines)
    assert kinds(order) == ["add", "matmul", "copy"]
    assert order[0].updates == ()


def test_it_is_copied_if_another_state_takes_the_old_value() -> None:
    following = value("next")
    lines = [
        line("add", W, X, result=following, phase=Phase.LEARN),
        line("copy", M, W, updates=(M,), phase=Phase.UPDATE),
        line("copy", W, following, updates=(W,), phase=Phase.UPDATE),
    ]
    assert kinds(schedule(lines)) == ["add", "copy", "copy"]


def test_it_is_copied_if_something_else_reads_the_result() -> None:
    following = value("next")
    lines = [
        line("add", W, X, result=following, phase=Phase.LEARN),
        line("copy", W, following, updates=(W,), phase=Phase.UPDATE),
        line("neg", following, result=value("z")),
    ]
    assert sorted(kinds(schedule(lines))) == ["add", "copy", "neg"]


def test_a_product_is_never_written_over_its_operand() -> None:
    following = value("next")
    lines = [
        line("matmul", W, X, result=following, phase=Phase.LEARN),
        line("copy", W, following, updates=(W,), phase=Phase.UPDATE),
    ]
    assert kinds(schedule(lines)) == ["matmul", "copy"]
