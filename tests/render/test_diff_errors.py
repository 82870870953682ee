"""What `fac diff` says of errors is what `fac show` says of them: no layer's line changes without being told."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fac.pipeline import lowered
from fac.program.program import Program
from fac.render import facts, show
from fac.render.diff import compare
from fac.render.diff.data import as_json
from fac.render.diff.text import text
from fac.render.lineage import Lineage
from fac.testing.nets import RELU, Data, Layers, linear, spec

RULES: tuple[Data, ...] = (
    {"rule": "bp"},
    {"rule": "fa"},
    {"rule": "dfa"},
    {"rule": "ldfa", "rank": 2},
    {"rule": "direct_ldfa", "rank": 2},
    {"rule": "shallow"},
)
RANDOM = {"kind": "random"}
JOINS = ("add", "multiply", "concat")


@st.composite
def networks(draw: st.DrawFn) -> Layers:
    """Layers that read what was made before them, joins of two or three of these, and some that are frozen."""
    layers: list[Data] = [linear("n0", 4)]
    made = ["n0"]
    unread = {"n0"}
    for index in range(1, draw(st.integers(4, 9))):
        name = f"n{index}"
        kind = draw(st.sampled_from(("linear", "linear", "relu", "batch_norm", *JOINS)))
        few = min(len(made), 3)
        several = kind in JOINS and len(made) > 1
        reads = draw(st.permutations(made))[:few] if several else [draw(st.sampled_from(made[-2:]))]
        if several:
            joined: Data = {"kind": kind, "from": tuple(reads)}
            concat = (joined | {"name": f"j{index}"}, linear(name, 4))
            layers += concat if kind == "concat" else (joined | {"name": name},)
        elif kind in ("relu", "batch_norm"):
            layers.append({"kind": kind, "name": name, "from": reads[0]})
        else:
            learns = draw(st.integers(0, 3)) > 0
            layers.append(linear(name, 4, **{"from": reads[0], "trainable": learns}))
        unread = unread - set(reads) | {name}
        made.append(name)
    top = {"kind": draw(st.sampled_from(JOINS)), "name": "top", "from": tuple(sorted(unread))}
    return (*layers, *([top] if len(unread) > 1 else []), linear("out", 3))


@st.composite
def feedback(draw: st.DrawFn, layers: Layers) -> Any:
    """A short-hand for all or some of the layers, or routes."""
    names = [str(layer["name"]) for layer in layers if layer["kind"] == "linear"]
    if draw(st.booleans()):
        return draw(st.sampled_from(RULES))
    routes: list[Data] = []
    for name in names:
        match draw(st.sampled_from(("none", "through", "to", "add"))):
            case "through":
                routes.append({"through": name, "matrix": RANDOM})
            case "to" | "add" as way if name != "out":
                combine = "add" if way == "add" else "replace"
                routes.append({"to": name, "from": "loss", "combine": combine, "matrix": RANDOM})
    return {"routes": tuple(routes)}


def cells(program: Program, sums: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    """By layer: where the errors come from, and through which operators, as the table of `fac show` has them."""
    lineage = Lineage(program, sums)
    rows = ((node.name, facts.layer(program, lineage, node)["error"]) for node in program.parametric)
    return {name: list(show._arrived(error)[:2]) for name, error in rows}


def ways(cell: str) -> Counter[str]:
    """What a cell says in any order, without the joins, which say where two ways part and not what comes on them."""
    return Counter(re.sub(r" via [^+<]*[^+< ]", "", cell).split(" + "))


@settings(max_examples=40, derandomize=True)
@given(st.data())
def test_a_line_of_the_table_that_changes_is_told(data: st.DataObject) -> None:
    layers = data.draw(networks())
    old, new = (lowered(spec(layers, data.draw(feedback(layers)))) for _ in range(2))
    before, after = cells(old), cells(new)
    found = compare(old, new)
    told = {item.subject.name for item in found.sections["errors"]}
    assert {name for name in before if ways(before[name][0]) != ways(after[name][0])} <= told
    for place, sections in enumerate((("errors",), ("errors", "routes"))):
        if any(before[name][place] != after[name][place] for name in before):
            assert any(found.sections[section] for section in sections)
    for item in as_json(found)["errors"]:
        (change,) = item["changes"]
        assert change["old"] != change["new"]


@pytest.mark.parametrize("kind", JOINS)
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule["rule"] in ("fa", "ldfa")], ids=str)
def test_an_error_that_comes_through_a_join(kind: str, rule: Data) -> None:
    join = {"kind": kind, "name": "join", "from": ("a", "b")}
    layers = (linear("a", 4), RELU, linear("b", 4), join, linear("c", 4), RELU, linear("out", 3))
    old, new = (lowered(spec(layers, f)) for f in ({"rule": "bp"}, rule | {"nodes": "c"}))
    found = {item.subject.name: item.changes[0] for item in compare(old, new).sections["errors"]}
    assert found["b"].old == ({"from": "c", "by": "exact"},)
    assert found["b"].new == ({"from": "c", "by": "through"},)
    assert found["a"].old != found["a"].new
    assert set(found) == {"a", "b"}


def test_a_frozen_layer_hides_nothing() -> None:
    """What lies between it and the next layer that learns is told behind it."""
    layers = (linear("a", 4), linear("b", 4, trainable=False), linear("c", 4), linear("out", 3))
    old, new = (
        lowered(spec(layers, {"routes": routes})) for routes in ((), ({"through": "c", "matrix": RANDOM},))
    )
    (item,) = compare(old, new).sections["errors"]
    exact, routed = (
        {"from": "b", "by": "exact", "above": ({"from": "c", "by": by},)} for by in ("exact", "through")
    )
    assert (item.subject.name, item.changes[0].old, item.changes[0].new) == ("a", (exact,), (routed,))
    assert " ~ a  b (exact) <- c (exact) -> b (exact) <- c (through)" in text(compare(old, new))


@pytest.mark.parametrize("kind", ["join", "frozen"])
def test_where_a_line_stops_another_one_goes_on(kind: str) -> None:
    """At a join of more ways than a line opens, or a frozen layer below one, which then has a line of its own."""
    frozen = linear("stop", 4, trainable=False)
    join = {"kind": "add", "name": "stop", "from": ("a", "b")}
    wide = [linear(f"w{i}", 4, **{"from": "stop"}) for i in range(4)]
    layers = (
        *(linear("a", 4), linear("b", 4), linear("m", 4, **{"from": "a"})),
        join if kind == "join" else frozen | {"from": "a"},
        *wide,
        {"kind": "add", "name": "sum", "from": ("b", "m", *(layer["name"] for layer in wide))},
        linear("out", 3),
    )
    old, new = (
        lowered(spec(layers, {"routes": routes})) for routes in ((), ({"through": "w3", "matrix": RANDOM},))
    )
    assert cells(old)["a"][0] == cells(new)["a"][0]
    assert "stop" in cells(old)["a"][0]
    found = {item.subject.name: item.changes[0] for item in compare(old, new).sections["errors"]}
    for change, by in ((found["stop"].old, "exact"), (found["stop"].new, "through")):
        assert change == tuple({"from": f"w{i}", "by": by if i == 3 else "exact"} for i in range(4))
    assert not compare(old, old).sections["errors"]


def test_what_begins_inside_a_layer_is_told_of_the_layer_below() -> None:
    """By averages a norm is `x - mean` first, whose error is that at `x`: it has the name of a layer."""
    layers = (
        linear("a", 4),
        {"kind": "layer_norm", "name": "m"},
        {"kind": "batch_norm", "name": "n", "moments": "averages"},
        linear("out", 3),
    )
    old, new = (lowered(spec(layers, update={"rule": "sgd", "lr": lr})) for lr in (0.1, 0.2))
    assert not compare(old, new).sections["errors"]
    assert cells(old)["a"][:1] == cells(old)["m"][:1] == ["out"]
    lines = [" <- ".join(update.chain) for update in Lineage(old).updates]
    assert lines[0] == "sgd <- a.error x input <- layer_norm' <- m.error"
    assert lines[2].startswith("sgd <- m.error x ")
