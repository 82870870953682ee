"""Short-hands on a pre-norm net of tokens: norms stand before the weights, inside of skips and behind the last one."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from fac.build.functions import functions
from fac.build.transport import transport
from fac.pipeline import lowered
from fac.render.expand import expanded_data
from fac.step.ir import Phase
from fac.testing.nets import linear, spec
from tests.rules.nets import Spec
from tests.rules.test_needed import RULES, replaces_all

T, IN = 6, 5


def pre_norm(*body: Spec) -> Spec:
    return {"kind": "residual", "body": ({"kind": "layer_norm", "name": "n"}, *body)}


BLOCK: Spec = {
    "kind": "repeat",
    "name": "block",
    "times": 2,
    "body": (
        {**pre_norm(linear("value", 8), linear("proj", 8)), "name": "mix"},
        {**pre_norm(linear("up", 16), {"kind": "gelu"}, linear("down", 8)), "name": "mlp"},
    ),
}
BODY = (linear("embed", 8), BLOCK, {"kind": "layer_norm", "name": "last"})
ENDS: dict[str, tuple[tuple[Spec, ...], str]] = {
    "a class": (({"kind": "mean", "axes": (0,)}, linear("head", 3)), "cross_entropy"),
    "each token": ((linear("head", 3),), "mse"),
}
INSIDE = ("mix.n", "mix.value", "mix.proj", "mlp.n", "mlp.up", "mlp.down")
BLOCKS = [f"block.{i}.{name}" for i in range(2) for name in INSIDE]


def net(end: str, feedback: Any) -> Spec:
    layers, loss = ENDS[end]
    return spec((*BODY, *layers), feedback, shape=(T, IN), loss=loss)


@pytest.mark.parametrize("end", ENDS)
def test_no_short_hand_leaves_a_transposed_weight(end: str) -> None:
    replaces_all(partial(net, end))
    for feedback in RULES.values():
        found = transport(lowered(net(end, feedback)))
        assert (found.exact, found.feedback) == ((), ())
    crossed = transport(lowered(net(end, {"rule": "bp"}))).exact
    assert set(crossed) == {*(name for name in BLOCKS if not name.endswith(".n")), "head"}


@pytest.mark.parametrize("end", ENDS)
def test_the_long_form_writes_each_route(end: str) -> None:
    """Layer by layer one past each weight but the first; from the loss one to each site, norms before weights too."""
    weights = [name for name in BLOCKS if not name.endswith(".n")]
    below = ["embed", *BLOCKS]
    expected = {"fa": ("through", [*weights, "head"]), "ldfa": ("through", [*weights, "head"])}
    expected |= {rule: ("to", [*below, "last"]) for rule in ("dfa", "direct_ldfa")}
    for rule, (key, names) in expected.items():
        made = lowered(net(end, RULES[rule]))
        routes = expanded_data(made)["feedback"]["routes"]
        assert [route.get(key) for route in routes] == names, rule
        again = lowered(expanded_data(made))
        assert [r.tensors for r in again.routes] == [r.tensors for r in made.routes], rule


@pytest.mark.parametrize("end", ENDS)
def test_direct_rules_multiply_an_error_with_no_weight(end: str) -> None:
    """The backward pass has no product but those of the operators, and those of gradients."""
    for rule in ("dfa", "direct_ldfa"):
        made = lowered(net(end, RULES[rule]))
        step = functions(made).step
        products = [op for op in step.ops if op.kind == "matmul" and op.origin.phase is Phase.ERROR]
        assert len(products) == len(made.routes) * (1 if rule == "dfa" else 2)
