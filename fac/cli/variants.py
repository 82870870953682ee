"""The variants that `fac compare` trains: specs as they are, or with their feedback replaced by short-hands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fac import plugins
from fac.diagnostics import FacError
from fac.program.program import Program
from fac.source import Document

DEFAULT_RULES = ("bp", "fa", "dfa", "ldfa", "shallow")
OWN = "own"
"""Name of a spec's own feedback among rules, and label of one that is written out or a list of sections."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the table, before its seed is known."""

    document: Document
    rule: str

    def seeded(self, seed: int) -> Document:
        """The spec of one training. Probes are left out: the table does not show them."""
        train = self.document.data.get("train") or {}
        return replace(
            self.document, data={**self.document.data, "train": {**train, "seed": seed}, "probes": ()}
        )


def variants(documents: Sequence[Document], rules: Sequence[str] | None, rank: int | None) -> list[Variant]:
    """What to train, in the order of the table.

    Args:
        documents: valid specs.
        rules: short-hands that replace each spec's feedback, or `own`, which leaves it. None takes several specs
            as they are, and sets one spec beside the default rules.
        rank: of the rules that have one; None takes it from the spec.

    Raises:
        FacError: a rule is unknown, or needs a rank and none is known.
    """
    if rules is not None:
        return [
            Variant(document, OWN) if rule == OWN else _replaced(document, rule, rank)
            for document in documents
            for rule in rules
        ]
    own = [Variant(document, rule_of(document)) for document in documents]
    if len(own) > 1:
        return own
    known = rank or _rank(documents[0])
    others = [rule for rule in DEFAULT_RULES if known or not _has_rank(rule)]
    beside = [_replaced(documents[0], rule, rank) for rule in others if rule != own[0].rule]
    return [*own, *beside]


def rule_of(document: Document) -> str:
    """The short-hand that a spec uses, `bp` if it has no feedback at all."""
    feedback = document.data.get("feedback")
    if not feedback:
        return "bp"
    return str(feedback.get("rule", OWN)) if isinstance(feedback, Mapping) else OWN


def ranks(program: Program) -> str:
    """The ranks of a program's low-rank routes and subspaces as a table shows them: `10`, `4–10`, or a dash."""
    found = [t.shape[0] for route in program.routes for t in route.tensors if t.name.endswith(".P")]
    found += [subspace.rank for subspace in program.subspaces]
    if not found:
        return "–"
    return str(min(found)) if min(found) == max(found) else f"{min(found)}–{max(found)}"


def _replaced(document: Document, rule: str, rank: int | None) -> Variant:
    """A spec with other feedback. Its own short-hand keeps the settings that the spec gives it."""
    own = document.data.get("feedback")
    settings: dict[str, Any] = dict(own) if rule == rule_of(document) and isinstance(own, Mapping) else {}
    settings["rule"] = rule
    if _has_rank(rule):
        settings["rank"] = rank or _rank(document)
        if settings["rank"] is None:
            raise FacError(f"rule `{rule}` needs a rank, and `{document.name}` gives none: add `--rank 10`")
    # what must hold of the spec need not hold of what it is compared with: backprop transports weights
    data = {k: v for k, v in document.data.items() if k != "constraints"} | {"feedback": settings}
    spans = {path: span for path, span in document.values.items() if path[:1] != ("feedback",)}
    place = f"`{rule}` in place of its feedback"
    edited = {**document.overridden, ("feedback",): place}
    return Variant(replace(document, data=data, values=spans, overridden=edited), rule)


def _has_rank(rule: str) -> bool:
    kinds = {kind.name: kind for kind in plugins.kinds("fac.rules")}
    if rule not in kinds:
        names = ", ".join(f"`{name}`" for name in kinds)
        raise FacError(
            f"no rule is called `{rule}`; installed are {names}, and `{OWN}` is the spec's own feedback"
        )
    return "rank" in kinds[rule].spec.model_fields


def _rank(document: Document) -> int | None:
    feedback = document.data.get("feedback")
    sections = feedback if isinstance(feedback, tuple) else (feedback,)
    found = [section["rank"] for section in sections if isinstance(section, Mapping) and "rank" in section]
    return found[0] if found else None
