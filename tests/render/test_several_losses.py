"""What people read of a network with several losses: the table, the chains of updates, differences, and the log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fac.pipeline import lowered
from fac.render.diff import compare
from fac.render.graph.read import topology
from fac.render.graph.topology import Flowing
from fac.render.graph.words import facts
from fac.render.lineage import Lineage
from fac.training.logs import EpochRecord
from tests.rules.test_heads import HEADS, branched
from tests.rules.test_heads import spec as written

DFA = {"rule": "dfa"}


def spec(feedback: Any = DFA, **side: Any) -> dict[str, Any]:
    made = written(branched(), HEADS, feedback)
    return made | {"losses": (made["losses"][0], made["losses"][1] | side)}


def items(
    old: dict[str, Any], new: dict[str, Any]
) -> list[tuple[str, str, tuple[tuple[str, Any, Any], ...]]]:
    found = compare(lowered(old), lowered(new)).sections["network"]
    return [(i.status, i.subject.name, tuple((c.field, c.old, c.new) for c in i.changes)) for i in found]


def test_chains_of_updates_begin_at_the_head_whose_error_it_is() -> None:
    chains = Lineage(lowered(spec())).update
    assert [chains[f"{name}.weight"].chain[-1] for name in ("logits", "aux", "side", "fc2")] == [
        f"loss error at {head}" for head in ("logits", "aux", "aux", "logits")
    ]


def test_each_head_is_drawn_to_the_loss_and_from_it() -> None:
    drawn = topology(lowered(spec({"rule": "bp"})))
    loss = len(drawn.stations) - 1
    names: dict[Any, str] = {
        i: s.chains[0][-1].name for i, s in enumerate(drawn.stations) if s.role == "layer"
    }
    assert {names[k.source] for k in drawn.links if k.target == loss and k.flowing is Flowing.VALUE} == set(
        HEADS
    )
    assert {names[k.target] for k in drawn.links if k.source == loss} == set(HEADS)


def test_the_loss_names_each_head_with_the_factor_of_its_loss() -> None:
    drawn = topology(lowered(spec(scale=0.3)))
    assert facts(drawn, drawn.stations[-1]) == ["cross_entropy of logits", "0.3 cross_entropy of aux"]


@pytest.mark.parametrize(
    ("side", "changes"),
    [
        ({}, []),
        ({"scale": 0.5}, [("changed", "aux", (("scale", 0.3, 0.5),))]),
        ({"name": "other", "label_smoothing": 0.1}, [("changed", "other", (("label_smoothing", 0.0, 0.1),))]),
    ],
)
def test_differences_between_losses_are_told_by_name(side: dict[str, Any], changes: Any) -> None:
    assert items(spec(), spec(**side)) == changes


def test_a_loss_that_is_written_in_a_list_is_the_same() -> None:
    base = spec()
    layers = branched()[:5]
    one = {k: v for k, v in base.items() if k != "losses"} | {
        "layers": layers,
        "loss": {"kind": "cross_entropy"},
    }
    listed = base | {"layers": layers, "losses": ({"kind": "cross_entropy", "of": "logits"},)}
    assert items(one, listed) == []
    more = {"kind": "mse", "of": "act1", "target": "z"}
    (added,) = items(listed, listed | {"losses": (*listed["losses"], more)})
    assert added[:2] == ("added", "act1")


def test_a_line_of_the_log_comes_back_as_it_was() -> None:
    losses = {"logits.loss": 0.5, "logits.accuracy": 0.75, "aux.loss": 1.5}
    record = EpochRecord(1, 2, 0.1, 1.0, 0.9, 0.75, 1.0, 2.0, {"fc1.error.cosine": 0.3}, losses)
    assert json.loads(record.to_json())["test.aux.loss"] == 1.5
    assert EpochRecord.from_json(record.to_json()) == record
