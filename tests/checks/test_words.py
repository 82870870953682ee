"""What findings say to help: words that fit the case."""

from __future__ import annotations

from typing import Any

import pytest

from fac.diagnostics import dotted
from fac.pipeline import lowered
from fac.render.expand import expanded_data
from fac.testing.nets import spec
from tests.checks.specs import KP, RANDOM, Layers, diagnosed, linear, routes

MAPS = {"shape": (4, 6, 6)}
HEAD: Layers = ({"kind": "global_avg_pool"}, linear("logits", 4))
RELU: dict[str, Any] = {"kind": "relu"}


def conv(name: str, out: int = 8, **fields: Any) -> dict[str, Any]:
    return {"kind": "conv2d", "name": name, "out": out, "kernel": 3, "padding": 1} | fields


def told(layers: Layers, code: str, **sections: Any) -> list[tuple[str, str, str]]:
    """Place, message and help of the findings of a rule."""
    found = diagnosed(layers, **{"input": MAPS} | sections)
    return [(dotted(f.path), f.message, f.help) for f in found if f.rule.code == code]


GROUPED: Layers = (conv("c1"), RELU, conv("c2", groups=4), RELU, *HEAD)


@pytest.mark.parametrize("learn", ["oja_kp", "kolen_pollack", "local"])
def test_a_short_hand_is_told_what_its_long_form_is_told(learn: str) -> None:
    """FAC317: of the full matrix that a low-rank short-hand writes past groups of channels."""
    feedback = {"rule": "ldfa", "rank": 4, "learn": learn}
    short = told(GROUPED, "FAC317", feedback=feedback)
    long = expanded_data(lowered(spec(GROUPED, feedback) | {"input": MAPS}))
    written = told(GROUPED, "FAC317", feedback=long["feedback"])
    assert [message for _, message, _ in short] == [message for _, message, _ in written]
    assert len(short) == 1


@pytest.mark.parametrize(
    "feedback",
    [
        {"rule": "fa", "learn": KP},
        routes({"through": "c2", "matrix": RANDOM | {"learn": KP}}),
    ],
)
def test_those_that_were_asked_for_are(feedback: Any) -> None:
    assert told(GROUPED, "FAC317", feedback=feedback) != []


def test_branches_of_unequal_channels_can_stand_side_by_side() -> None:
    """FAC203, in a block and in a sum; shapes that differ along several axes cannot."""
    wide = {"kind": "parallel", "branches": ((conv("a", 8),), (conv("b", 4),))}
    ((_, _, help),) = told((wide, *HEAD), "FAC203")
    assert help == "make the shapes equal, or write the branches out and join them with `concat`"
    joined = ({"kind": "concat", "from": ("a", "b")}, *HEAD)
    assert not diagnosed((conv("a", 8), conv("b", 4, **{"from": "input"}), *joined), input=MAPS)
    sums = (conv("a", 8), conv("b", 4), {"kind": "add", "from": ("a", "b")}, *HEAD)
    assert [help for _, _, help in told(sums, "FAC203")] == [
        "make the shapes equal, or join them with `concat`"
    ]
    lower = (conv("a", 4, padding=(0, 1)), {"kind": "add", "from": ("a", "input")}, *HEAD)
    assert [help for _, _, help in told(lower, "FAC203")] == [
        "make the shapes equal, or join them with `concat` and `axis: 1`"
    ]
    uneven = (conv("a", 8, stride=2), {"kind": "add", "from": ("a", "input")}, *HEAD)
    assert [help for _, _, help in told(uneven, "FAC203")] == ["make the shapes equal"]


def test_a_map_can_end_in_two_ways() -> None:
    """FAC207; of two channels or more it may be meant, as a label for each pixel."""
    assert not told((conv("a"),), "FAC207")
    ((place, _, help),) = told((conv("a", 1),), "FAC207")
    assert place == "loss.kind"
    assert help == (
        "end with `global_avg_pool` or `flatten`, and then a `linear` layer with as many outputs as there are "
        "classes, or use `bce`"
    )
    for kind in ("global_avg_pool", "flatten"):
        assert not diagnosed((conv("a"), RELU, {"kind": kind}, linear("logits", 4)), input=MAPS)


LOW = {"kind": "low_rank", "rank": 7}


@pytest.mark.parametrize(
    ("written", "help"),
    [
        ("c1", "remove the route: nobody needs the error that is passed on there"),
        ("c*", "leave out `c1`: nobody needs the error that is passed on there"),
        ("c2", ""),
    ],
)
def test_a_rank_of_a_route_that_nobody_needs(written: str, help: str) -> None:
    """FAC301: a smaller rank is no remedy."""
    layers = (conv("c1", 6), RELU, conv("c2", 8), RELU, *HEAD)
    feedback = routes({"through": written, "matrix": LOW})
    found = [f for f in diagnosed(layers, input=MAPS, feedback=feedback) if f.rule.code == "FAC301"]
    assert [f.help for f in found] == [help] * bool(help)
    assert not any(f.fix for f in found)


@pytest.mark.parametrize(
    ("kinds", "left"),
    [((True,), "the bias"), ((False,), "0"), ((True, False), "the bias, or 0 without one")],
)
def test_what_is_left_of_a_single_number(kinds: tuple[bool, ...], left: str) -> None:
    """FAC329."""
    norms = tuple({"kind": "batch_norm", "affine": affine} for affine in kinds)
    layers = (linear("fc1"), *norms, RELU, linear("logits", 4))
    found = told(layers, "FAC329", input={"shape": (6,)}, train={"batch": 1})
    assert [message.rpartition(": ")[2] for _, message, _ in found] == [f"each output is {left}"]


def test_to_a_glob_globs_are_near() -> None:
    """FAC209 and FAC208: a glob was meant for all copies, whose names differ by a number."""
    deep = {"kind": "repeat", "name": "s", "times": 3, "body": (conv("a"), RELU)}
    layers = (deep, *HEAD)
    through = routes({"through": "s.*.b", "matrix": RANDOM})
    ((_, message, help),) = told(layers, "FAC209", feedback=through)
    assert (message, help) == ("no layer with weights matches `s.*.b`", "did you mean `s.*.a`?")
    groups = {"rule": "sgd", "lr": 0.1, "groups": ({"match": "s.*.b.weight", "lr_scale": 0.1},)}
    ((_, _, help),) = told(layers, "FAC208", update=groups)
    assert help == "did you mean `s.*.a.weight`?"
    ((_, _, help),) = told(layers, "FAC209", feedback=routes({"through": "x*", "matrix": RANDOM}))
    assert help == "the layers with weights are `s.*.a` and `logits`"
    mended = routes({"through": "s.*.a", "matrix": RANDOM})
    assert told(layers, "FAC209", feedback=mended) == []
