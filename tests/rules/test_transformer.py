"""What the short-hands make of a pre-norm transformer, whose norms, identities and table of places need errors."""

from __future__ import annotations

from typing import Any

import pytest

from fac.build.transport import transport
from fac.checks import run_checks
from fac.diagnostics import dotted
from fac.feedback.low_rank import LowRank
from fac.pipeline import load, lowered
from fac.program.lower import lower
from fac.program.program import Program
from fac.testing.nets import Layers, linear, spec

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
    ranks = {route.node: route.matrix.rank for route in found.routes if isinstance(route.matrix, LowRank)}
    assert len(ranks) == len(found.routes)
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
