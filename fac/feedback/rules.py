"""Short-hands for sets of routes, in terms of the long form that `fac show --expand` prints."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from pydantic import Field

from fac.feedback.kolen_pollack import KolenPollack
from fac.feedback.local import Local
from fac.feedback.low_rank import ERROR_FEEDBACK, LowRank
from fac.feedback.normative import Normative
from fac.feedback.oja import Oja, Share
from fac.feedback.random import Random
from fac.feedback.random import unused as unused_mask
from fac.program.declared import traits_of
from fac.program.ends import ends_of
from fac.program.kinds import Expansion, RuleKind, Unused
from fac.program.lower import selected
from fac.program.program import LOSS, Node, Program, Route
from fac.program.site import site_of
from fac.spec.feedback import (
    ERROR_SCALE,
    SHARED,
    SIGNS,
    AnyLearning,
    ErrorScale,
    Fixed,
    Matrix,
    ShortHand,
    ThroughRoute,
    ToRoute,
)
from fac.spec.init import Init, Mask
from fac.spec.ranks import Rank
from fac.spec.train import Positive


class Backprop(ShortHand):
    """Backpropagation: no routes, every error is exact."""

    rule: Literal["bp"] = "bp"


class FeedbackAlignment(ShortHand):
    """Feedback alignment: a fixed random matrix in place of W^T, layer by layer (Lillicrap 2016, arXiv 1411.0247)."""

    rule: Literal["fa"] = "fa"
    init: Init | Literal["like_forward"] = Field("like_forward", description="Initial feedback matrices.")
    learn: AnyLearning = Field(Fixed(), description="How the feedback matrices change.")
    scale: float = Field(1.0, description="Factor on every feedback matrix.")


class DirectFeedbackAlignment(ShortHand):
    """Direct feedback alignment: the output error, through random matrices, to all hidden layers (arXiv 1609.01596)."""

    rule: Literal["dfa"] = "dfa"
    init: Init = Field("launay", description="Initial feedback matrices.")
    learn: AnyLearning = Field(Fixed(), description="How the feedback matrices change.")
    mask: Mask | None = Field(
        None,
        description="Keep some entries of every feedback matrix: sparse direct feedback (arXiv 1903.02083).",
    )
    shared: bool = Field(False, description=SHARED)
    scale: float = Field(1.0, description="Factor on every feedback matrix.")
    error_scale: ErrorScale = Field("mean", description=ERROR_SCALE)
    signs: bool = Field(False, description=SIGNS)


class LowRankShortHand(ShortHand):
    """What the low-rank rules share."""

    rank: Rank = Field(
        description="Rank of every route, clipped to what the layer's ends allow; `auto`, or by what it goes, for one "
        "that a training measures at each layer."
    )
    rate: Share = Field(1.0, description="Rate of Oja's rule, which `oja_kp` uses.")
    scale: float = Field(1.0, description="Factor on every feedback operator.")
    error_feedback: bool = Field(False, description=ERROR_FEEDBACK)


class Ldfa(LowRankShortHand):
    """Low-dimensional feedback alignment, layer by layer (Hanut and Kadmon 2025, arXiv 2502.20580).

    Past a layer that makes queries, keys and values as one it has three times the rank: `rank` for each of them. Past
    groups of channels, which a low rank would mix, it has a full matrix B of the kernel's shape.
    """

    rule: Literal["ldfa"] = "ldfa"
    learn: Literal["fixed", "kolen_pollack", "oja_kp", "local", "normative"] = Field(
        "oja_kp", description="How P and Q change; `local` and `normative` start from the SVD of the weight."
    )
    refresh: Positive | None = Field(
        None, description="With `normative`: set P and Q from the SVD anew every so many steps."
    )


class DirectLdfa(LowRankShortHand):
    """Low-dimensional feedback from the output error straight to every hidden layer."""

    rule: Literal["direct_ldfa"] = "direct_ldfa"
    learn: Literal["fixed", "kolen_pollack", "oja_kp", "local"] = Field(
        "oja_kp", description="How P and Q change."
    )
    error_scale: ErrorScale = Field("mean", description=ERROR_SCALE)


def layerwise(rule: ShortHand, program: Program) -> Iterator[Node]:
    """Each weighted node whose passed-on error somebody needs, because something below it learns."""
    return (node for node in selected(program, rule.globs) if not program.needed.isdisjoint(node.inputs))


def below_weights(rule: ShortHand, program: Program) -> Iterator[Node]:
    """Each parametric node from which some way to the loss crosses a weight."""
    named = selected(program, rule.globs, direct=True)
    return (node for node in named if node.name in program.crossing)


def direct(rule: ShortHand, program: Program) -> Iterator[tuple[Node, Node, str]]:
    """The first of those at each site, one projection serves a layer and the norm behind it; the site; and a source.

    That is the loss, or of several heads each to which some way leads from there. What a loss says of the value at the
    site itself arrives without a route.
    """
    fed = set[str]()
    for node in below_weights(rule, program):
        site = site_of(program, node.name) or node.name
        if site not in fed:
            fed.add(site)
            heads = program.heads if len(program.heads) > 1 else ()
            above = [head for head in heads if head in program.leading[site] and head != site]
            yield from ((node, program.by_name[site], source) for source in above or (LOSS,))


def _pair(rule: Any) -> dict[str, Any]:
    oja, kp, local, normative, fixed = Oja(rate=rule.rate), KolenPollack(), Local(), Normative(), Fixed()
    settings: dict[str, dict[str, Any]] = {
        "fixed": {"read": fixed, "write": fixed},
        "kolen_pollack": {"read": fixed, "write": kp},
        "oja_kp": {"read": oja, "write": kp},
        "local": {"read": local, "write": kp},
        "normative": {"read": normative, "write": normative, "refresh": getattr(rule, "refresh", None)},
    }
    fed_back = rule.error_feedback and rule.learn == "oja_kp"
    return settings[rule.learn] | {"scale": rule.scale, "error_feedback": fed_back}


def _of_groups(rule: Any) -> Random:
    """A matrix of the weight's own shape, which is small where there are many groups."""
    learn = Fixed() if rule.learn == "fixed" else KolenPollack()
    return Random(learn=learn, scale=rule.scale)


def _parts(node: Node, program: Program) -> int:
    """How many layers a weighted node stands for: what it makes may be read in parts, as queries, keys and values are.

    A rank past it is meant for each of them, as if they were written apart.
    """
    return max((traits_of(reader).parts for reader in program.readers.get(node.name, ())), default=1)


def expand_bp(rule: Backprop, program: Program) -> Expansion:
    """No routes."""
    return Expansion()


def unused_bp(rule: Backprop, program: Program) -> Iterator[Unused]:
    """`nodes`, whichever they are."""
    yield Unused(
        "nodes", "with `bp`, which replaces nothing", "remove it: layers without a route learn by `bp` anyway"
    )


def expand_fa(rule: FeedbackAlignment, program: Program) -> Expansion:
    """`through` each weighted node above something that learns."""
    matrix = Random(init=rule.init, learn=rule.learn, scale=rule.scale)
    return Expansion(tuple(through(node, matrix) for node in layerwise(rule, program)))


def expand_dfa(rule: DirectFeedbackAlignment, program: Program) -> Expansion:
    """From the loss, or from each head above it, `to` each site below a weight."""
    matrix = Random(init=rule.init, learn=rule.learn, mask=rule.mask, shared=rule.shared, scale=rule.scale)
    said = {"error_scale": rule.error_scale, "signs": rule.signs}
    return Expansion(tuple(to(node, source, matrix, **said) for node, _, source in direct(rule, program)))


def expand_ldfa(rule: Ldfa, program: Program) -> Expansion:
    """`through` each weighted node above something that learns, at rank min(rank, in, out).

    The rank counts for each part of what a layer makes, see `_parts`; one that is measured is that of the layer. Past
    groups of channels that do not mix, where a low rank would mix them, a full matrix.
    """
    settings = _pair(rule) | {"init": "svd" if rule.learn in ("local", "normative") else "random"}
    routes, pair = [], cache(lambda rank: LowRank(rank=rank, **settings))
    for node in layerwise(rule, program):
        weight = node.weight
        if weight is not None and weight.groups > 1:
            routes.append(through(node, _of_groups(rule)))
            continue
        rank = rule.rank
        if isinstance(rank, int):
            rank *= _parts(node, program)
            rank = rank if weight is None else min(rank, weight.reads, weight.writes)
        routes.append(through(node, pair(rank)))
    return Expansion(tuple(routes))


def expand_direct_ldfa(rule: DirectLdfa, program: Program) -> Expansion:
    """As `expand_dfa`, at rank min(rank, outputs, units), of one token where they share."""
    routes, pair = [], cache(lambda rank: LowRank(rank=rank, **_pair(rule)))
    for node, site, source in direct(rule, program):
        matrix = pair(rule.rank)
        ends = ends_of(program, Route(node.name, False, source, matrix, (), site.name), "")
        rank = rule.rank
        if isinstance(rank, int) and ends is not None:
            rank = min(rank, ends.most)
        routes.append(to(node, source, pair(rank), error_scale=rule.error_scale))
    return Expansion(tuple(routes))


def unused_layerwise(rule: ShortHand, program: Program) -> Iterator[Unused]:
    """`nodes` that name only layers below which there is nothing to learn; frozen layers may learn one day."""
    if selected(program, rule.globs) and not any(layerwise(rule, program.thawed)):
        yield _idle("where nobody needs the errors that these layers pass on: nothing below them can learn")


def unused_direct(rule: ShortHand, program: Program) -> Iterator[Unused]:
    """`nodes` that name only layers next to the loss."""
    if selected(program, rule.globs, direct=True) and not any(below_weights(rule, program)):
        yield _idle("where the loss reaches these layers without crossing a weight, and so exactly")


def _idle(why: str) -> Unused:
    return Unused("nodes", why, "name other layers, or remove the section")


def unused_dfa(rule: DirectFeedbackAlignment, program: Program) -> Iterator[Unused]:
    """Those of a direct rule, and of the matrix that it hands on."""
    yield from unused_direct(rule, program)
    yield from unused_mask(rule, program)


def unused_pair(rule: LowRankShortHand, program: Program) -> Iterator[Unused]:
    """Settings of another way to learn than `learn`."""
    way = str(getattr(rule, "learn", ""))
    if way != "oja_kp":
        yield Unused("rate", f"with `learn: {way}`", "remove it, or set `learn: oja_kp`")
        if rule.error_feedback:
            yield Unused("error_feedback", f"with `learn: {way}`", "remove it, or set `learn: oja_kp`")
    if way != "normative":
        yield Unused("refresh", f"with `learn: {way}`", "remove it, or set `learn: normative`")


def unused_ldfa(rule: Ldfa, program: Program) -> Iterator[Unused]:
    """Those of a layer-wise rule and of a pair."""
    yield from unused_layerwise(rule, program)
    yield from unused_pair(rule, program)


def unused_direct_ldfa(rule: DirectLdfa, program: Program) -> Iterator[Unused]:
    """Those of a direct rule and of a pair."""
    yield from unused_direct(rule, program)
    yield from unused_pair(rule, program)


def through(node: Node, matrix: Matrix) -> ThroughRoute:
    """A route past the weight of a node."""
    return ThroughRoute(through=node.name, matrix=matrix)


def to(node: Node, source: str, matrix: Matrix, **said: Any) -> ToRoute:
    """A route to the site of a node; `said` is what else the route says."""
    return ToRoute(to=node.name, from_=source, matrix=matrix, **said)


BP = RuleKind("bp", Backprop, expand_bp, unused=unused_bp)
FA = RuleKind("fa", FeedbackAlignment, expand_fa, unused=unused_layerwise, changes=True)
DFA = RuleKind("dfa", DirectFeedbackAlignment, expand_dfa, unused=unused_dfa, changes=True, direct=True)
LDFA = RuleKind("ldfa", Ldfa, expand_ldfa, unused=unused_ldfa, changes=True)
DIRECT_LDFA = RuleKind(
    "direct_ldfa", DirectLdfa, expand_direct_ldfa, unused=unused_direct_ldfa, changes=True, direct=True
)
