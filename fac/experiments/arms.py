"""The arms that stand beside every rule that is compared: the same network, its hidden layers untrained."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from fac.audit import depth
from fac.diagnostics import FacError
from fac.experiments.contrasts import Pair, contrast
from fac.experiments.rows import Row
from fac.experiments.variants import Variant, replaced
from fac.pipeline import load, lowered
from fac.program.lower import kind_of
from fac.render.json_text import json_text
from fac.source import Document

_FEEDBACK = ("feedback", "constraints", "probes", "name")


def body(document: Document) -> str:
    """A digest of all that a spec says beside its feedback: rows that share it differ in the rule alone.

    Settings of the update for matrices of the feedback are a part of that.
    """
    found = load(document)
    if found.update is not None and found.update.groups:
        (bare,) = replaced(document, depth.ARMS[0], (), "")
        found = load(bare.document)
    spec = found.model_dump(mode="json", by_alias=True)
    told = {key: value for key, value in spec.items() if key not in _FEEDBACK}
    return hashlib.sha256(json_text(told).encode()).hexdigest()[:16]


def arms_of(planned: Sequence[Variant]) -> list[Variant]:
    """The arms that the networks of these variants lack.

    A network has none that is solved or trained by backpropagation alone, or so shallow that an arm would leave nothing
    untrained. One that is asked for by name has the settings of its own, as a sweep finds them, and stands beside all
    rows of its spec.
    """
    found: list[Variant] = []
    named = {(variant.spec, variant.rule) for variant in planned}
    bodies = [body(variant.document) for variant in planned]
    for first, of in enumerate(bodies):
        if of in bodies[:first]:
            continue
        rules = {variant.rule for variant, other in zip(planned, bodies, strict=True) if other == of}
        if rules <= {"bp", *depth.ARMS} or load(planned[first].document).solve is not None:
            continue
        for arm in depth.ARMS:
            if arm not in rules and (planned[first].spec, arm) not in named:
                found += _arm(planned[first], arm, {variant.label for variant in (*planned, *found)})
    return found


def _arm(beside: Variant, rule: str, labels: Collection[str]) -> list[Variant]:
    """The arm with the settings of a rule, by which it is called where others have theirs, as after a sweep."""
    (found,) = replaced(beside.document, rule, (), beside.spec)
    arm = replace(found, name=rule)
    if arm.label in labels:
        arm = replace(found, name=f"{rule} as {beside.name}")
    program = lowered(arm.document)
    section: Any = program.spec.feedback
    return [arm] if kind_of("fac.rules", section).expand(section, program).frozen else []


def unlike_arms(arms: Sequence[Variant]) -> list[Variant]:
    """Those that are unlike: where a learning rate is given for an arm, it has the settings of no rule any more."""
    found: dict[tuple[str, str, str], Variant] = {}
    for arm in arms:
        found.setdefault((arm.spec, arm.rule, body(arm.document)), arm)
    return [*found.values()]


def remarks(rows: Sequence[Row]) -> Iterator[str]:
    """Rules that are not shown to beat the arms of their network.

    Args:
        rows: with the runs that were made.
    """
    once = False
    try:
        for row in rows:
            found = {arm: contrast(Pair(row.variant.label, arm), rows) for arm in _beside(row, rows)}
            yield from depth.said(row.variant.label, found)
            once |= any(len(of.seeds) == 1 for of in found.values())
    except FacError as error:
        yield f"rules are not held against `shallow` and `frozen`: {error}"
    if once:
        yield "a single seed does not show that a rule beats `shallow` or `frozen`: train more, such as `--seeds 5`"


def held_against(arm: str, rows: Sequence[Row]) -> list[str]:
    """The labels of the rows that are held against an arm, by its label."""
    return [row.variant.label for row in rows if arm in _beside(row, rows)]


def _beside(row: Row, rows: Sequence[Row]) -> list[str]:
    """The labels of the arms that a row is held against, one of each kind; none of one that is no rule."""
    if row.variant.rule in ("bp", *depth.ARMS):
        return []
    arms = [arm for arm in rows if arm.variant.rule in depth.ARMS]
    beside = [arm for arm in arms if arm.variant.spec == row.variant.spec]
    # of two the last one counts: that with the settings of the rule
    beside = [
        *(arm for arm in beside if arm.variant.name == arm.variant.rule),
        *(arm for arm in arms if arm.body == row.body),
    ]
    return [*{arm.variant.rule: arm.variant.label for arm in beside}.values()]
