"""Direct feedback among tokens: which matrix serves which tokens, and that no token learns from another one's error.

What of it is backpropagation stands in `fac.testing.tokens`, for all backends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fac
from fac.build.costs import cost
from fac.diagnostics import dotted
from fac.pipeline import lowered
from fac.program.counted import Counted
from fac.render.diff import Change, compare
from fac.render.expand import expanded_data
from fac.step.ir import Phase
from fac.testing.nets import conv2d, linear, spec
from tests.rules.nets import Spec, distance, gradients, moved, opened

T, IN = 5, 4
RANDOM = {"kind": "random"}
LOW: Spec = {"kind": "low_rank", "rank": 2}
MEAN: Spec = {"kind": "mean", "name": "mean", "axes": (0,)}
TANH: Spec = {"kind": "tanh", "name": "act"}
PERMUTE: Spec = {"kind": "permute", "axes": (1, 0)}
FLAT: Spec = {"kind": "flatten", "name": "flat"}
EACH = (linear("fc1", 6), TANH, linear("fc2", 7), {"kind": "tanh"}, linear("out", 3))
POOLED = (*EACH[:4], linear("fc3", 6), MEAN, linear("out", 3))
MIXER = (
    linear("embed", 6),
    {"kind": "residual", "name": "mix", "body": (PERMUTE, linear("up", 8), TANH, linear("down", T), PERMUTE)},
    MEAN,
    linear("out", 3),
)


def tokens(layers: Any, *routes: Spec, loss: str = "mse", shape: Any = (T, IN), **feedback: Any) -> Spec:
    """A network of tokens with these direct routes, through random matrices if they name no other."""
    written = tuple({"matrix": RANDOM} | route for route in routes)
    return spec(
        layers, {"routes": written} | feedback, {"rule": "sgd", "lr": 0.1}, shape, loss, train={"seed": 0}
    )


TOKEN = {"kind": "class_token", "name": "token"}
CLASS = (
    linear("fc1", 6),
    TANH,
    TOKEN,
    linear("fc2", 6),
    {"kind": "select", "axis": 0, "index": 0},
    linear("out", 3),
)
S: Spec = {"subspaces": ({"name": "s", "of": "loss", "rank": 2},)}
ENDS: dict[str, tuple[Any, Spec, Spec, tuple[int, int, int, int]]] = {
    "tokens to tokens": (EACH, {"to": "fc1"}, {}, (3, 6, T, 1)),
    "from a layer": (POOLED, {"to": "fc1", "from": "fc3"}, {}, (6, 6, T, 1)),
    "a vector to tokens": (POOLED, {"to": "fc1"}, {}, (3, 6, 1, T)),
    "to a mean itself": (POOLED, {"to": "fc3"}, {}, (3, 6, 1, 1)),
    "by name": (EACH, {"to": "fc1", "share": False}, {}, (3 * T, 6 * T, 1, 1)),
    "a vector by name": (POOLED, {"to": "fc1", "share": False}, {}, (3, 6 * T, 1, 1)),
    "a subspace of tokens": (EACH, {"to": "fc1", "from": "s"}, S, (2, 6, T, 1)),
    "a subspace by name": (EACH, {"to": "fc1", "from": "s", "share": False}, S, (2 * T, 6 * T, 1, 1)),
    "a subspace of a vector": (POOLED, {"to": "fc1", "from": "s"}, S, (2, 6, 1, T)),
    "to a class token": (CLASS, {"to": "fc1"}, {}, (3, 6, 1, T + 1)),
    "below a class token": (CLASS, {"to": "fc1", "at": "act"}, {}, (3, 6, 1, T)),
    "to fewer tokens": (CLASS, {"to": "fc1", "at": "act", "from": "fc2"}, {}, (6 * (T + 1), 6 * T, 1, 1)),
    "below a row of all tokens": ((*EACH[:4], FLAT, linear("out", 3)), {"to": "fc1"}, {}, (3, 6 * T, 1, 1)),
    "who mixes tokens": (MIXER, {"to": "mix.down"}, {}, (3, 6 * T, 1, 1)),
    "channels by channels": (MIXER, {"to": "mix.up"}, {}, (3, 6 * 8, 1, 1)),
    "below who mixes": (MIXER, {"to": "embed"}, {}, (3, 6 * T, 1, 1)),
}


@pytest.mark.parametrize("case", ENDS)
def test_what_a_direct_route_connects(case: str) -> None:
    layers, route, feedback, (reads, writes, places, copies) = ENDS[case]
    program = lowered(tokens(layers, route, **feedback))
    (found,) = program.routes
    assert found.ends is not None
    assert (found.ends.reads, found.ends.writes, found.ends.places, found.ends.copies) == (
        *(reads, writes, places, copies),
    )
    assert found.tensors[0].shape == (writes, reads)


def test_a_map_has_rows_for_each_of_its_places() -> None:
    """[C, H, W] is no [T, d], and a `permute` is what makes it so."""
    conv = (conv2d("c1", 2, 3), TANH, conv2d("c2", 3, 3), {"kind": "global_avg_pool"}, linear("out", 3))
    (route,) = lowered(tokens(conv, {"to": "c1"}, shape=(1, 7, 7))).routes
    assert route.ends is not None
    assert (route.ends.reads, route.ends.writes, route.ends.copies) == (3, 2 * 5 * 5, 1)
    patches = (
        *(conv2d("patches", 6, 2, stride=2), {"kind": "reshape", "shape": (6, -1)}, PERMUTE),
        *(linear("fc1", 6), TANH, linear("fc2", 6), MEAN, linear("out", 3)),
    )
    patched, hidden = lowered(tokens(patches, {"to": "patches"}, {"to": "fc1"}, shape=(1, 6, 6))).routes
    assert patched.ends is not None
    assert hidden.ends is not None
    assert (patched.ends.writes, patched.ends.copies, hidden.ends.writes, hidden.ends.copies) == (6, 9, 6, 9)


def test_the_tokens_of_a_mean_get_equal_parts() -> None:
    """So that their sum does not depend on how many there are, as below a mean in backpropagation."""
    found = []
    for count in (2, 8):
        data = tokens(
            (linear("fc1", 6), TANH, linear("fc2", 6), MEAN, linear("out", 3)),
            {"to": "fc1"},
            shape=(count, 4),
        )
        x = np.repeat(np.random.default_rng(0).standard_normal((7, 1, 4)), count, axis=1)
        y = np.random.default_rng(1).standard_normal((7, 3))
        found.append(gradients(opened(data), x, y))
    assert distance(*found) <= 1e-14


@pytest.mark.parametrize(("second", "mask"), [("m", "m"), (None, None), ("other", None)])
def test_tokens_that_a_mask_leaves_out_get_no_part(second: str | None, mask: str | None) -> None:
    """If all that pools the tokens leaves out the same ones."""
    pool: Spec = {"kind": "mean", "axes": (0,), "from": "act"}
    layers = (
        linear("fc1", 6) | {"from": "x"},
        TANH,
        pool | {"name": "one", "mask": "m"},
        pool | {"name": "two"} | ({"mask": second} if second else {}),
        {"kind": "add", "from": ("one", "two")},
        linear("out", 3),
    )
    data = tokens(layers, {"to": "fc1"})
    of_places = {"shape": (T,), "mask": True}
    data["inputs"] = {"x": data.pop("input"), "m": of_places, "other": of_places}
    if second != "other":
        del data["inputs"]["other"]
    (route,) = lowered(data).routes
    assert route.ends is not None
    assert (route.ends.copies, route.ends.mask) == (T, Counted(mask) if mask else None)


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("source", ["loss", "s"])
def test_no_token_learns_from_the_error_of_another(source: str, share: bool) -> None:
    """The tokens from the third on read zeros, and a weight learns nothing from them: whatever their targets are."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, T, IN)), rng.standard_normal((7, T, 3))
    x[:, 2:] = 0
    other = y.copy()
    other[:, 2:] = rng.standard_normal((7, T - 2, 3))
    session = opened(tokens(EACH, {"to": "fc1", "from": source, "share": share}, **S))
    changed = moved(gradients(session, x, y), gradients(session, x, other))
    assert ("fc1.weight" in changed) is not share


@pytest.mark.parametrize(
    ("layers", "matrix", "macs"),
    [
        (EACH, RANDOM, T * 3 * 6),
        (EACH, LOW, T * 2 * (3 + 6)),
        (POOLED, RANDOM, 3 * 6),
        (POOLED, LOW, 2 * (3 + 6)),
    ],
)
def test_the_cost_of_a_route_is_that_of_the_step(layers: Any, matrix: Spec, macs: int) -> None:
    program = lowered(tokens(layers, {"to": "fc1", "matrix": matrix}))
    (layer,) = (each for each in cost(program, 1).step.layers if each.name == "fc1")
    assert layer.phases[Phase.ERROR].macs == macs


def test_a_direct_pair_between_tokens_has_the_rank_of_a_token() -> None:
    data = spec(EACH, {"rule": "direct_ldfa", "rank": 64}, shape=(T, IN), loss="mse")
    assert [route.tensors[0].shape for route in lowered(data).routes] == [(3, 3), (3, 3)]
    pooled = spec(POOLED, {"rule": "direct_ldfa", "rank": 64}, shape=(T, IN), loss="mse")
    assert [route.tensors[1].shape for route in lowered(pooled).routes] == [(6, 3), (7, 3), (6, 3)]


def test_what_is_said_of_routes_among_tokens() -> None:
    high: Spec = {"kind": "low_rank", "rank": 4}
    told: dict[str, tuple[Any, Spec, str, str]] = {
        "a rank": (EACH, {"to": "fc1", "matrix": high}, "FAC301", "feedback.routes[0].matrix.rank"),
        "a cost": (EACH, {"to": "fc1", "share": False}, "FAC503", "feedback.routes[0].to"),
        "no effect": (EACH[2:], {"to": "fc2"}, "", ""),
        "share without effect": (POOLED, {"to": "fc3", "share": False}, "FAC314", "feedback.routes[0].share"),
        "an identity of another width": (
            EACH,
            {"to": "fc1", "matrix": {"kind": "identity"}},
            "FAC308",
            "feedback.routes[0].matrix.kind",
        ),
    }
    for case, (layers, route, code, place) in told.items():
        found = [(d.rule.code, dotted(d.path)) for d in fac.check(tokens(layers, route))]
        assert found == ([(code, place)] if code else []), case


def test_who_pays_for_matrices_of_tokens_is_told_what_is_cheaper() -> None:
    (finding,) = fac.check(tokens(EACH, {"to": "fc1", "share": False}))
    assert finding.message.startswith(f"this route costs {3 * T * 6 * T} multiply-adds per sample")
    assert finding.help.startswith("remove `share: false`, so that tokens share a matrix")


def test_the_long_form_says_what_tokens_do_not_share() -> None:
    data = tokens(EACH, {"to": "fc1", "share": False}, {"to": "fc2"})
    written = expanded_data(lowered(data))["feedback"]["routes"]
    assert [route.get("share") for route in written] == [False, None]
    again = lowered(expanded_data(lowered(data)))
    assert [r.tensors for r in again.routes] == [r.tensors for r in lowered(data).routes]


def test_two_specs_that_share_otherwise_differ() -> None:
    old, new = (lowered(tokens(EACH, {"to": "fc1", "share": share})) for share in (True, False))
    (item,) = compare(old, new).sections["routes"]
    assert item.changes[0] == Change("share", True, False)
    assert compare(old, old).same
