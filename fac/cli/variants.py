"""The variants that `fac compare` trains: specs as they are, or with their feedback replaced by short-hands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
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
    spec: str = ""
    """What its spec is called beside the others; empty if there is one spec only."""

    @property
    def label(self) -> str:
        """The row in few words."""
        return f"{self.spec} {self.rule}".strip()

    def seeded(self, seed: int, probes: bool = False) -> Document:
        """The spec of one training. Its probes are left out unless asked for: the table does not show them."""
        train = self.document.data.get("train") or {}
        data = {**self.document.data, "train": {**train, "seed": seed}}
        return replace(self.document, data=data if probes else {**data, "probes": ()})


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
    called = titles(documents) if len(documents) > 1 else [""]
    if rules is not None:
        return [
            Variant(document, OWN, title) if rule == OWN else _replaced(document, rule, rank, title)
            for document, title in zip(documents, called, strict=True)
            for rule in dict.fromkeys(rules)
        ]
    own = [Variant(d, rule_of(d), title) for d, title in zip(documents, called, strict=True)]
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


def titles(documents: Sequence[Document]) -> list[str]:
    """What to call each spec: its name, else its file, else its path, else its path and a number."""
    ways = (
        [str(document.data.get("name")) for document in documents],
        [Path(document.name).name for document in documents],
        [document.name for document in documents],
    )
    found = []
    for i, document in enumerate(documents):
        title = next((way[i] for way in ways if Counter(way)[way[i]] == 1), document.name)
        times = ways[-1][: i + 1].count(document.name)
        found.append(f"{title} #{times}" if times > 1 else title)
    return found


def ranks(program: Program) -> str:
    """The ranks of a program's low-rank routes and subspaces as a table shows them: `10`, `4–10`, or a dash."""
    found = [t.shape[0] for route in program.routes for t in route.tensors if t.name.endswith(".P")]
    found += [subspace.rank for subspace in program.subspaces]
    if not found:
        return "–"
    return str(min(found)) if min(found) == max(found) else f"{min(found)}–{max(found)}"


def _replaced(document: Document, rule: str, rank: int | None, title: str = "") -> Variant:
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
    return Variant(replace(document, data=data, values=spans, overridden=edited), rule, title)


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
