"""docs/ops.md is made of the ops, and docs/plugins.md names all that a kind may declare."""

from __future__ import annotations

import inspect
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fac.program.kinds import (
    BlockKind,
    LayerKind,
    LearningKind,
    LossKind,
    MatrixKind,
    ProbeKind,
    RuleKind,
    ScheduleKind,
    SolveKind,
    UpdateKind,
)
from fac.step.builder import Builder
from fac.step.ops import OPS
from fac.step.ops.base import OpDef, Without
from fac.testing.calls import CALLS, Call
from fac.training.dataset import DataKind

DOCS = Path(__file__).parents[2] / "docs"
HEAD = """\
# Ops

What layers, losses, rules, updates and probes are made of. Generated from `fac/step/ops/`:
`tests/plugins/test_ops_page.py` rewrites it with `FAC_UPDATE_GOLDEN=1`. `f`, `i` and `b` are FLOAT, INT and BOOL; N is
the number of samples. Shapes are those of one call as an example; elementwise ops broadcast as NumPy does. Where an op
has no derivative, to ask for one is an error (FAC220), never a silent zero.

| op | for example | derivative |
|---|---|---|
"""
BACKWARD = """
## Derivatives of others

What backward passes are made of. A plug-in seldom writes them.

| op | for example | derivative |
|---|---|---|
"""
PARTS = ("input", "weight", "scale", "query", "key", "value", "index", "values")
"""How ops end that stand for a part of another one's backward pass."""
FAMILIES: dict[str, type[Any]] = {
    "layer": LayerKind,
    "block": BlockKind,
    "loss": LossKind,
    "rule": RuleKind,
    "operator": MatrixKind,
    "way to learn": LearningKind,
    "update": UpdateKind,
    "schedule": ScheduleKind,
    "probe": ProbeKind,
    "solve rule": SolveKind,
    "data source": DataKind,
}
"""What the page calls them."""


def written(op: OpDef) -> str:
    """As it is called: by its method, or by `emit`."""
    method = getattr(Builder, op.name, None)
    if method is not None:
        stars: dict[Any, str] = {
            inspect.Parameter.VAR_POSITIONAL: "*{}",
            inspect.Parameter.KEYWORD_ONLY: "{}=...",
        }
        _, *parameters = inspect.signature(method).parameters.values()
        names = [stars.get(one.kind, "{}").format(one.name) for one in parameters]
        return f"`b.{op.name}({', '.join(names)})`"
    settings = [f"{name}=..." for name in sorted(op.attributes)]
    operands = ["*xs"] if op.arity is None else ["x", "y", "z", "u", "v"][: op.arity]
    return f"`b.emit({', '.join([repr(op.name).replace(chr(39), chr(34)), *operands, *settings])})`"


def example(call: Call) -> str:
    """The types of a call."""
    return f"`{', '.join(map(str, call.operands)) or 'nothing'} -> {call.result}`"


def derivative(op: OpDef, count: int) -> str:
    """What it says of each of its operands."""
    said = [op.derivative(k) for k in range(count)]
    words = [why.why if isinstance(why, Without) else "" for why in said]
    if not any(words):
        return "yes" if count else ""
    if len(set(words)) == 1:
        return f"no: {words[0]}"
    ranks = ("first", "second", "third", "fourth", "fifth", "sixth")
    without = [f"the {ranks[k]}, {word}" for k, word in enumerate(words) if word]
    return f"yes; not of {'; '.join(without)}"


def page() -> str:
    first = {call.kind: call for call in reversed(CALLS)}
    rows = {
        name: f"| {written(op)} | {example(first[name])} | {derivative(op, len(first[name].operands))} |"
        for name, op in sorted(OPS.items())
    }
    backward = {name for name in OPS if name.rpartition("_")[2] in PARTS and name.rpartition("_")[0] in OPS}
    own = "\n".join(row for name, row in rows.items() if name not in backward)
    others = "\n".join(row for name, row in rows.items() if name in backward)
    return f"{HEAD}{own}\n{BACKWARD}{others}\n"


def test_the_page_of_ops() -> None:
    golden = DOCS / "ops.md"
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        golden.write_text(page(), "utf-8")
    assert page() == golden.read_text("utf-8")


def test_every_op_is_called_as_the_page_says() -> None:
    """A method of the builder that bears the name of an op makes that op."""
    for name in OPS.keys() & vars(Builder).keys():
        assert f'"{name}"' in inspect.getsource(getattr(Builder, name)), name


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_says_what_each_declared_fact_is_for(family: str) -> None:
    text = (DOCS / "plugins.md").read_text("utf-8")
    text = text[text.index("## What is declared") :]
    start = text.index(f"| **{family}** ")
    end = text.find("| **", start + 4)
    rows = text[start : end if end >= 0 else text.index("## What there is")]
    missing = [f.name for f in fields(FAMILIES[family]) if f"`{f.name}`" not in rows]
    assert set(missing) <= {"name", "spec", "unused"}
