"""The variants that `fac compare` trains: specs as they are, or with their feedback replaced by short-hands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from fac.checks.settings import group_matches_nothing
from fac.diagnostics import FacError
from fac.experiments.rules import OWN, has_rank, needs_rank, settings_of
from fac.pipeline import load, resolved
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.render.expand import expanded_data
from fac.source import Document, override
from fac.spec.base import written
from fac.spec.feedback import Routing, ShortHand
from fac.spec.ranks import AutoRank

DEFAULT_RULES = ("bp", "fa", "dfa", "ldfa", "shallow")


Asked = int | str | AutoRank | None
"""A rank as a short-hand has it."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the table, before its seed is known."""

    document: Document
    rule: str
    """A rule with its default settings, or with those that stand behind its name, or `own`."""
    spec: str = ""
    """What its spec is called beside the others; empty if there is one spec only."""
    rank: Asked = None
    """What the short-hand asks for; None if it has no rank, or the feedback is no single short-hand, as it is none any
    more once ranks have been measured."""
    name: str = ""
    """The rule, with the rank if there are rows of several ranks. Together with `spec` it is that of one row."""

    @property
    def label(self) -> str:
        """The row in few words."""
        return f"{self.spec} {self.name}".strip()

    def seeded(self, seed: int, probes: bool = False) -> Document:
        """The spec of one training. Its probes are left out unless asked for: the table does not show them."""
        train = self.document.data.get("train") or {}
        data = {**self.document.data, "train": {**train, "seed": seed}}
        return replace(self.document, data=data if probes else {**data, "probes": ()})


def variants(
    documents: Sequence[Document], rules: Sequence[str] | None, ranks: Sequence[int] = ()
) -> list[Variant]:
    """What to train, in the order of the table. No two rows have one label.

    Args:
        documents: valid specs.
        rules: short-hands that replace each spec's feedback, or `own`, which leaves it. Settings may stand behind the
            name of one, see `fac.experiments.rules`: that is a row of its own. None takes several specs as they are,
            and sets one spec beside the default rules, of those that need a rank the ones that know it.
        ranks: a row for each, of the rules that have a rank; none takes it from the spec.

    Raises:
        FacError: a rule or a setting of it is unknown, or it needs a rank and none is known, or nothing here has one
            that is given.
        SpecError: a rule does not take the value of a setting.
    """
    called = titles(documents) if len(documents) > 1 else [""]
    found: list[Variant] = []
    takes_rank = False
    for document, title in zip(documents, called, strict=True):
        own = Variant(document, OWN, title, _own_rank(document))
        if rules is None:
            own = replace(own, rule=rule_of(document))
        others = rules or ((OWN, *_default_rules(document, ranks)) if len(documents) == 1 else (OWN,))
        for rule in others:
            takes_rank |= rule != OWN and has_rank(rule)
            found += [own] if rule == OWN else replaced(document, rule, ranks, title)
    if ranks and not takes_rank:
        raise FacError(
            "nothing that is compared here takes the `--rank`: leave it out, or add `--rules ldfa`"
        )
    rows: dict[tuple[str, str, Asked], Variant] = {}
    for variant in found:
        rows.setdefault((variant.spec, variant.rule, variant.rank), variant)
    times = Counter((v.spec, v.rule) for v in rows.values())
    return [
        replace(v, name=f"{v.rule} rank {_word(v.rank)}" if times[v.spec, v.rule] > 1 else v.rule)
        for v in rows.values()
    ]


def rated(planned: Sequence[Variant], rates: Mapping[str, float]) -> list[Variant]:
    """The same variants, each with the learning rate that is given for its rule, or for its row, which goes first.

    Raises:
        FacError: a name is no rule and no row of these, or of one that is solved.
    """
    known = {name for variant in planned for name in (variant.rule, variant.label)}
    for name in rates:
        if name not in known:
            rows = ", ".join(f"`{variant.label}`" for variant in planned)
            raise FacError(
                f"a learning rate is given for `{name}`, which is no rule and no row here; there are {rows}"
            )
    return [_rated(v, rates[name]) if (name := _named(v, rates)) else v for v in planned]


def _named(variant: Variant, given: Mapping[str, Any]) -> str:
    return next((name for name in (variant.label, variant.rule) if name in given), "")


def settled(planned: Sequence[Variant], settings: Mapping[str, Sequence[str]]) -> list[Variant]:
    """The same variants, each with the settings, as `--set` takes them, that are given for its rule or its row.

    Raises:
        FacError: a setting is malformed.
    """
    return [_settled(v, settings[name]) if (name := _named(v, settings)) else v for v in planned]


def _settled(variant: Variant, assignments: Sequence[str]) -> Variant:
    document = override(variant.document, assignments)
    return replace(variant, document=document, rank=_own_rank(document))


def _rated(variant: Variant, rate: float) -> Variant:
    document, place = variant.document, ("update", "lr")
    update = document.data.get("update")
    if not isinstance(update, Mapping):
        raise FacError(f"a learning rate is given for `{variant.label}`, which has no `update`")
    data = {**document.data, "update": {**update, "lr": rate}}
    edited = {**document.overridden, place: f"the learning rate that is given for `{variant.label}`"}
    return replace(variant, document=replace(document, data=data, overridden=edited))


def left_out(document: Document, ranks: Sequence[int]) -> list[str]:
    """The default rules that cannot stand beside a spec, because they need a rank and it gives none, or several."""
    return [rule for rule in DEFAULT_RULES if rule not in _default_rules(document, ranks)]


def rule_of(document: Document) -> str:
    """The short-hand that a spec uses if it leaves all settings but the rank alone, `bp` if it has no feedback.

    Of a spec that is solved the rule by which.
    """
    section, solve = _section(document), load(document).solve
    if solve is not None:
        return str(kind_of("fac.solve", solve).name)
    if section == Routing():
        return "bp"
    if not isinstance(section, ShortHand):
        return OWN
    rule: str = kind_of("fac.rules", section).name
    return (
        rule
        if section == type(section).model_validate(settings_of(rule, written(_own_rank(document))))
        else OWN
    )


def titles(documents: Sequence[Document]) -> list[str]:
    """What to call each spec: its name, else its file, else its path, else its path and a number."""
    ways = (
        [str(document.data.get("name")) for document in documents],
        [Path(document.name).name for document in documents],
        [document.name for document in documents],
    )
    found: list[str] = []
    for i, document in enumerate(documents):
        title = next((way[i] for way in ways if Counter(way)[way[i]] == 1), None)
        times = 1 if title else ways[-1][: i + 1].count(document.name)
        found.append((title or document.name) + (f" #{times}" if times > 1 else ""))
    return found


def ranks_of(program: Program) -> tuple[int, ...]:
    """The ranks of a program's low-rank routes, in their order, and of its subspaces."""
    found = [t.shape[0] for route in program.routes for t in route.tensors if t.name.endswith(".P")]
    return (*found, *(subspace.rank for subspace in program.subspaces))


def twins(programs: Mapping[str, Program]) -> list[tuple[str, str]]:
    """Names of programs that train the same, whatever they are called: a rank is clipped to what a layer allows."""
    means = {}
    for name, program in programs.items():
        long = expanded_data(program)
        means[name] = [
            long.get(key)
            for key in ("layers", "feedback", "update", "solve", "train", "data", "loss", "input")
        ]
    return [(a, b) for (a, one), (b, other) in combinations(means.items(), 2) if one == other]


def _section(document: Document) -> Any:
    """The feedback of a spec; a list of one section is that section."""
    feedback = load(document).feedback
    return feedback[0] if isinstance(feedback, tuple) and len(feedback) == 1 else feedback


def _own_rank(document: Document) -> Asked:
    return getattr(_section(document), "rank", None)


def _known_ranks(document: Document) -> list[int | str | AutoRank]:
    """The ranks of a spec's short-hands, each once."""
    feedback = load(document).feedback
    sections = feedback if isinstance(feedback, tuple) else (feedback,)
    return list(dict.fromkeys(s.rank for s in sections if hasattr(s, "rank")))


def _default_rules(document: Document, ranks: Sequence[int]) -> tuple[str, ...]:
    if load(document).solve is not None:
        return ()
    known = ranks or len(_known_ranks(document)) == 1
    return tuple(rule for rule in DEFAULT_RULES if known or not needs_rank(rule))


def replaced(document: Document, rule: str, ranks: Sequence[int], title: str) -> list[Variant]:
    """A spec with a rule in the place of its feedback, whatever that was: once for each rank, if the rule has one.

    Raises:
        FacError: the rule is unknown, needs a rank that nobody gives, or has no errors to send.
    """
    if load(document).solve is not None:
        raise FacError(
            f"`{document.name}` is solved, and sends no errors that `{rule}` could route: name a spec with `update` "
            f"beside it, or leave `--rules` out"
        )
    if not has_rank(rule):
        return [_variant(document, rule, None, title)]
    known = _known_ranks(document)
    if not ranks and len(known) != 1 and needs_rank(rule):
        gives = f"gives {' and '.join(map(_word, known))}" if known else "gives none"
        example = ",".join(str(rank) for rank in known if isinstance(rank, int)) or "10"
        raise FacError(f"rule `{rule}` needs a rank, and `{document.name}` {gives}: add `--rank {example}`")
    return [_variant(document, rule, rank, title) for rank in ranks or known or (None,)]


def _variant(document: Document, rule: str, rank: Asked, title: str) -> Variant:
    # what must hold of the spec need not hold of what it is compared with: backprop transports weights
    data = {k: v for k, v in document.data.items() if k != "constraints"}
    data["feedback"] = settings_of(rule, written(rank))
    spans = {path: span for path, span in document.values.items() if path[:1] != ("feedback",)}
    edited = {**document.overridden, ("feedback",): f"`{rule}` in place of its feedback"}
    other = replace(document, data=data, values=spans, overridden=edited)
    return Variant(_fitting_groups(other), rule, title, rank)


def _fitting_groups(other: Document) -> Document:
    """Without settings of the update for feedback matrices of the spec that the other feedback does not have."""
    idle = {finding.path[2] for finding in group_matches_nothing(resolved(load(other), other))}
    if not idle:
        return other
    update, place = other.data["update"], ("update", "groups")
    kept = tuple(group for index, group in enumerate(update["groups"]) if index not in idle)
    spans = {path: span for path, span in other.values.items() if path[:2] != place}
    edited = {**other.overridden, place: f"`update.groups` with {other.overridden['feedback',]}"}
    return replace(
        other, data={**other.data, "update": {**update, "groups": kept}}, values=spans, overridden=edited
    )


def _word(rank: Asked) -> str:
    return "auto" if isinstance(rank, AutoRank) else str(rank)
