"""What a difference says of blocks: one line for one more copy, and all copies by one name."""

from __future__ import annotations

from typing import Any

import pytest

from fac.program.lower import lower
from fac.program.program import Program
from fac.render.diff import compare
from fac.render.diff.data import as_json
from fac.render.diff.markdown import markdown
from fac.render.diff.text import text
from fac.spec.model import ModelSpec
from fac.testing.nets import RELU, linear, spec

RESIDUAL = {"kind": "residual", "name": "r", "body": (linear("fc1", 6), RELU, linear("fc2", 6))}


def deep(times: int, feedback: Any, inner: int = 1, **fields: Any) -> Program:
    """A repeat of a residual block, in which a layer repeats, too, and a block behind it that reads both."""
    again = {"kind": "repeat", "name": "in", "times": inner, "body": (linear("fc", 6), RELU)}
    body = RESIDUAL, RELU, again
    layers = (
        linear("stem", 6),
        RELU,
        {"kind": "repeat", "name": "deep", "times": times, "body": body},
        {
            "kind": "residual",
            "name": "top",
            "body": (linear("fc", 6), RELU),
            "shortcut": (linear("skip", 6),),
        },
        linear("logits", 3),
    )
    return lower(ModelSpec.model_validate(spec(layers, feedback, **fields)))


def said(old: Program, new: Program) -> list[str]:
    """What stands above the costs."""
    return text(compare(old, new)).partition("\n cost,")[0].strip().splitlines()


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "shallow"])
@pytest.mark.parametrize("times", [(4, 9), (9, 4), (2, 3)])
def test_one_more_copy_is_one_line(rule: str, times: tuple[int, int]) -> None:
    old, new = (deep(n, {"rule": rule}) for n in times)
    assert said(old, new) == ["layers", f" ~ deep  times  {times[0]} -> {times[1]}"]
    found = compare(old, new)
    assert markdown(found).count("\n| ~ |") == 1
    assert not found.same


def test_json_has_all_that_follows_from_one_more_copy() -> None:
    data = as_json(compare(deep(4, {"rule": "fa"}), deep(5, {"rule": "fa"})))
    assert data["layers"][0]["new"] == {"block": "deep"}
    assert data["layers"][0]["changes"] == [{"field": "times", "old": 4, "new": 5}]
    added = [item["new"]["layer"] for item in data["layers"] if item["status"] == "added"]
    assert added == [
        f"deep.4.{name}" for name in ("r.fc1", "r.relu_1", "r.fc2", "r", "relu_1", "in.0.fc", "in.0.relu_1")
    ]
    assert [item["new"]["through"] for item in data["routes"]] == [
        "deep.4.r.fc1",
        "deep.4.r.fc2",
        "deep.4.in.0.fc",
    ]


def test_a_repeat_inside_of_a_repeat() -> None:
    assert said(deep(3, {"rule": "dfa"}, 2), deep(3, {"rule": "dfa"}, 3)) == [
        "layers",
        " ~ deep.*.in  times  2 -> 3",
    ]


def test_what_else_changes_is_told_beside_it() -> None:
    routes = (
        {"to": "deep.*.r.fc1", "matrix": {"kind": "random"}},
        {"to": "deep.6.in.*", "matrix": {"kind": "random"}},
    )
    lines = said(deep(6, {"routes": routes[:1]}), deep(7, {"routes": routes}))
    assert " ~ deep  times  6 -> 7" in lines
    assert " + to deep.6.r.fc1, deep.6.in.0.fc  from loss, random, learn fixed" in lines
    assert not any("after deep.6" in line for line in lines)
    lines = said(deep(6, {"rule": "fa"}), deep(7, {"rule": "dfa"}))
    assert " ~ deep  times  6 -> 7" in lines
    assert not any("deep.6" in line for line in lines)
    assert any(line.startswith(" + to stem, deep.*.r.fc1, deep.*.r.fc2 and ") for line in lines)


def test_what_all_copies_have_in_common_is_told_of_all() -> None:
    lines = said(deep(8, {"rule": "bp"}), deep(8, {"rule": "shallow"}))
    assert lines[0].startswith(
        "! weight transport removed at deep.*.r.fc1, deep.*.r.fc2, deep.*.in.0.fc and "
    )
    assert len(lines) < 12
