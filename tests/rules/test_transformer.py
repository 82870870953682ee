"""What the short-hands make of a pre-norm transformer, whose norms, identities and table of places need errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.build.functions import routed
from fac.build.transport import transport
from fac.checks import run_checks
from fac.diagnostics import dotted
from fac.feedback.low_rank import LowRank
from fac.pipeline import compiled, load, lowered
from fac.program.lower import lower
from fac.program.program import Program
from fac.testing.nets import Layers, linear, spec
from fac_reference.interpreter import run

T, D = 4, 12
WEIGHTS = ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"]


def transformer(blocks: int = 2, **attention: Any) -> Layers:
    """Positions, blocks of attention and `mlp`, each behind a norm and beside an identity, and a head on the mean."""
    look = {"kind": "attention", "name": "attn", "heads": 3, **attention}
    body = (
        {"kind": "residual", "name": "mix", "body": ({"kind": "layer_norm", "name": "norm"}, look)},
        {
            "kind": "residual",
            "name": "feed",
            "body": ({"kind": "layer_norm", "name": "norm"}, {"kind": "mlp", "name": "mlp", "ratio": 2.0}),
        },
    )
    return (
        {"kind": "positional_embedding", "name": "place"},
        {"kind": "repeat", "name": "block", "times": blocks, "body": body},
        {"kind": "layer_norm", "name": "norm"},
        {"kind": "mean", "name": "mean", "axes": (0,)},
        linear("head", 3),
    )


def program(rule: dict[str, Any], **attention: Any) -> Program:
    return lowered(load(spec(transformer(**attention), rule, shape=(T, D))))


def weighted(found: Program) -> list[str]:
    return [node.name for node in found.weighted]


@pytest.mark.parametrize("rule", [{"rule": "fa"}, {"rule": "ldfa", "rank": 2}], ids=lambda rule: rule["rule"])
def test_a_layer_wise_rule_replaces_every_weight(rule: dict[str, Any]) -> None:
    """The table of positions stands below all of them."""
    found = program(rule)
    assert [route.node for route in found.routes] == weighted(found)
    assert len(found.routes) == 9


@pytest.mark.parametrize("rule", ["fa", "ldfa", "dfa", "direct_ldfa", "shallow"])
def test_no_transposed_weight_is_left(rule: str) -> None:
    rank = {"rank": 2} if "ldfa" in rule else {}
    found = transport(program({"rule": rule, **rank}))
    assert found.exact == ()
    assert found.feedback == ()


def test_backpropagation_crosses_all_of_them() -> None:
    found = program({"rule": "bp"})
    assert transport(found).exact == tuple(weighted(found))


@pytest.mark.parametrize("attention", [{}, {"fused": False}, {"kv_heads": 1}, {"rotary": 100.0}])
def test_one_product_for_three_has_three_times_the_rank(attention: dict[str, Any]) -> None:
    """As much as three products have together."""
    found = program({"rule": "ldfa", "rank": 2}, **attention)
    written = {route.node: route.matrix.rank for route in found.routes if isinstance(route.matrix, LowRank)}
    assert len(written) == len(found.routes)
    ranks = {name: rank for name, rank in written.items() if isinstance(rank, int)}
    assert ranks == written
    queries = [rank for name, rank in ranks.items() if name.rpartition(".")[2] in ("qkv", "q", "k", "v")]
    assert sum(queries) == 2 * 3 * 2
    assert all(rank == 2 for name, rank in ranks.items() if not name.endswith("qkv"))


def test_a_rank_for_each_is_clipped_like_any_other() -> None:
    found = program({"rule": "ldfa", "rank": 5})
    ranks = [r.matrix.rank for r in found.routes if isinstance(r.matrix, LowRank)]
    assert ranks == [*(12, 5, 5, 5) * 2, 3]


def test_it_is_clean() -> None:
    """What reads no weight is nothing to the checks of weights, of scales and of what stands in a row."""
    for rule in ("bp", "fa", "dfa", "shallow"):
        found = run_checks(lower(load(spec(transformer(), {"rule": rule}, shape=(T, D)))))
        assert [(d.rule.code, dotted(d.path)) for d in found] == []


def causal(rule: dict[str, Any]) -> Program:
    """A vector of targets for each token, of what it and those before it say."""
    layers = (*transformer(causal=True)[:3], linear("head", 3))
    return lowered(load(spec(layers, rule, shape=(T, D), loss="mse")))


def arriving(found: Program, names: list[str], x: Any, y: Any) -> dict[str, Any]:
    """The errors at these layers, of a step from initial values."""
    routing, _, _ = routed(found)
    errors = {name: routing.reverse.cotangent(routing.trace.values[name]) for name in names}
    function = routing.trace.b.finish("step", {name: error for name, error in errors.items() if error})
    given = {"x": x, "y": y, "lr": 0.1, "step": 0, **compiled(found).initial()}
    return run(function, {value.name: given[value.name] for value in function.inputs}, np.dtype("float64"))


@pytest.mark.parametrize("rule", ["dfa", "direct_ldfa"])
@pytest.mark.parametrize("t", range(T - 1))
def test_what_a_causal_net_is_told_of_a_token_knows_nothing_of_later_ones(rule: str, t: int) -> None:
    """Direct errors go to the token that they are of; those of backpropagation come back through attention, too."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, T, D)), rng.standard_normal((7, T, 3))
    other = [np.concatenate([a[:, : t + 1], rng.standard_normal(a[:, t + 1 :].shape)], 1) for a in (x, y)]
    settings = {"rank": 2} if rule == "direct_ldfa" else {}
    direct, exact = causal({"rule": rule, **settings}), causal({"rule": "bp"})
    sites = [str(route.site) for route in direct.routes]
    assert len(sites) == 14
    one, two = arriving(direct, sites, x, y), arriving(direct, sites, *other)
    for name in sites:
        before, after = one[name], two[name]
        np.testing.assert_allclose(before[:, : t + 1], after[:, : t + 1], rtol=0, atol=1e-15, err_msg=name)
        assert np.abs(before - after)[:, t + 1 :].max() > 1e-4, name
    (before,), (after,) = (arriving(exact, ["place"], *given).values() for given in ((x, y), other))
    assert np.abs(before - after)[:, : t + 1].max() > 1e-4
