"""FAC336, FAC337: steps with another routing, at every so many steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fac import plugins
from fac.diagnostics import Diagnostic, Edit, Fix, Path, Rule, Severity
from fac.program.lower import kind_of, lower
from fac.program.program import Program

ANCHOR_WITH_MATRICES = Rule("FAC336", "anchor-with-matrices")
ANCHOR_LIKE_ALL = Rule("FAC337", "anchor-like-all", Severity.WARNING)

ANCHOR: Path = ("train", "anchor")


def anchor_with_matrices(program: Program) -> Iterator[Diagnostic]:
    """The rule of `train.anchor` has feedback matrices of its own.

    Anchors are steps on the state of all others: of the network, and of its update rule. Feedback matrices are state of
    the routing that has them, under names that two routings would share. An anchor is meant to be better than what it
    anchors: `bp` reads no matrix.

    Bad:

        feedback: {rule: dfa}
        train: {anchor: {every: 200, rule: fa}}

    Good:

        feedback: {rule: dfa}
        train: {anchor: {every: 200, rule: bp}}
    """
    other = program.anchored
    if other is not None and any(route.tensors for route in other.routes):
        yield ANCHOR_WITH_MATRICES.at(
            (*ANCHOR, "rule"),
            f"`{_rule(program)}` has feedback matrices, which steps that come now and then cannot have",
            help="use `bp`, or another rule without matrices",
        )


def anchor_like_all(program: Program) -> Iterator[Diagnostic]:
    """The steps of `train.anchor` are those that are made anyway.

    An anchor is a step with another routing than that of `feedback:`. Where both are the same, so are the steps.

    Bad:

        feedback: {rule: bp}
        train: {anchor: {every: 200, rule: bp}}

    Good:

        feedback: {rule: dfa}
        train: {anchor: {every: 200, rule: bp}}
    """
    other = program.anchored
    if other is not None and not (other.routes or program.routes) and other.nodes == program.nodes:
        yield ANCHOR_LIKE_ALL.at(
            (*ANCHOR, "rule"),
            f"by `{_rule(program)}` an anchor is a step like all others",
            help="remove it, or let `feedback` say something else",
            fix=Fix("remove what has no effect", (Edit(ANCHOR, None),)),
        )


def without_matrices(program: Program, names: Iterable[str]) -> tuple[str, ...]:
    """Those of some rules that have no feedback matrices where nothing but their name is written."""
    kinds, found = {kind.name: kind for kind in plugins.kinds("fac.rules")}, []
    for name in dict.fromkeys(names):
        spec = kinds[name].spec if name in kinds else None
        if spec is None or any(field.is_required() for field in spec.model_fields.values()):
            continue
        made = lower(program.spec.model_copy(update={"feedback": spec()}))
        if not any(route.tensors for route in made.routes):
            found.append(name)
    return tuple(found)


def _rule(program: Program) -> str:
    anchor = program.spec.train.anchor
    assert anchor is not None
    return str(kind_of("fac.rules", anchor).name)
