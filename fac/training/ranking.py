"""`rank: auto`: ranks by the mean gradient of the first steps, chosen before them and written into the spec.

Of a pair Q P let G [reads, writes] be the gradient of the full matrix in whose place it stands: past a weight that of
the weight, d^T x; on a `to` route e^T h, with e the error of the source and h the value of the site. A copy of the
network makes the first steps of the training by backpropagation, from its initial values, on its batches, and G is the
mean over them. With the singular values s_i of G, rank r holds (Eckart and Young 1936)

    (s_1^2 + ... + s_r^2) / (s_1^2 + s_2^2 + ...)

of its energy. It is the gradient that is looked at and not the error: by masks of relu, which differ from sample to
sample, an error has as many directions as there are units, and most of that cancels in what a layer learns.

Of the error of C classes C - 1 directions are kept all the same, if there is room: what is asked for is little where
few of them carry most of the gradient, but a P that learns by Oja's rule turns for ever after those that it does not
hold, which ruins a training by plain descent.

The copy is thrown away, and the training begins as it would with numbers in the spec. What a pair costs are the
multiply-adds of Q (P d), r (reads + writes) at each place of a sample, where a full matrix takes reads x writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fac.build.fit import fit
from fac.build.teaching import exact, teaching
from fac.checks.ranks import least_rank
from fac.diagnostics import FacError, Path
from fac.pipeline import compiled, emit
from fac.program.declared import auto_rank, unranked
from fac.render.expand import written_routes, written_subspaces
from fac.spec.feedback import ShortHand
from fac.spec.ranks import AutoRank, highest
from fac.step.reverse import NoDerivativeError
from fac.training.agreement import fitted_anew
from fac.training.settling import put
from fac.training.stepping import Stepping

if TYPE_CHECKING:
    from fac.backend import Array, Backend, Precision
    from fac.program.program import Program, Route
    from fac.source import Document
    from fac.training.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair Q P whose rank is to be chosen, whichever routes share it."""

    layer: str
    """The layer of the first of them."""
    auto: AutoRank
    held: NDArray[np.float64]
    """[most + 1]: what each rank from 0 on holds, see `energies`."""
    unit: int
    """Multiply-adds for a sample and a unit of rank."""
    full: int
    """Those of a full matrix for a sample."""
    least: int = 1
    """No rank below this, if there is room."""

    @property
    def most(self) -> int:
        """The highest rank that there can be."""
        return len(self.held) - 1

    @property
    def idle(self) -> bool:
        """Whether there was no gradient."""
        return not self.held[-1]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rank of a pair."""

    pair: Pair
    rank: int
    bound: str = ""
    """What keeps it from holding what is asked for; empty if it does."""

    def told(self, steps: int) -> str:
        """In a line, for people; `steps` is what the mean is over."""
        pair, over = self.pair, "1 step" if steps == 1 else f"{steps} steps"
        which = f"`{pair.layer}`: rank {self.rank} of {pair.most}"
        if pair.idle:
            return f"{which}, as no error reaches it in {over}"
        held, why = 100 * pair.held[self.rank], f"{100 * pair.auto.share:g} % asked"
        if self.bound:
            why += f", and {self.bound} allows no more"
        elif self.rank == pair.least and self.rank > 1:
            why += f", and a rank of at least {pair.least}"
        return f"{which} holds {held:.1f} % of the energy of its mean gradient over {over} ({why})"


def ranked(
    document: Document,
    program: Program,
    dataset: Dataset,
    backend: Backend,
    precision: Precision,
    device: str | None = None,
    given: Mapping[str, Array] | None = None,
) -> tuple[Document, tuple[str, ...]]:
    """The spec with a number for each rank that it leaves to its training, and a line for each.

    Sections of `feedback` that leave one are written out in the long form, a route for each layer.

    Args:
        document: the spec.
        program: of it; all but ranks is told.
        dataset: what a source loaded.
        backend: on which the training runs.
        precision: of the training.
        device: of the backend; its first if not given.
        given: the parameters that the training starts from; initial values if not given.

    Raises:
        FacError: the data do not fit; a layer has no derivative, so that there is no gradient; or its numbers do not
            stay finite within these steps.
    """
    routes = unranked(program)
    if not routes:
        return document, ()
    steps, gradients = _measured(program, routes, dataset, backend, precision, device, given)
    pairs: dict[str, Pair] = {}
    for route in routes:
        ends, auto = route.ends, auto_rank(route)
        assert ends is not None
        assert auto is not None
        unit, full = ends.places * (ends.reads + ends.writes), ends.places * ends.reads * ends.writes
        if (known := pairs.get(ends.prefix)) is not None:
            pairs[ends.prefix] = replace(known, unit=known.unit + unit, full=known.full + full)
            continue
        held = energies(gradients[auto.steps][ends.prefix], precision)
        least = least_rank(program, route) if auto.at_least is None else min(auto.at_least, ends.most)
        pairs[ends.prefix] = Pair(route.node, auto, held, unit, full, least)
    found = dict(zip(pairs, choose(tuple(pairs.values())), strict=True))
    number = {prefix: one.rank for prefix, one in found.items()}
    lines = tuple(one.told(steps[one.pair.auto.steps]) for one in found.values())
    return _written(document, program, number), lines


def energies(gradient: NDArray[np.floating], precision: Precision) -> NDArray[np.float64]:
    """[min(m, k) + 1]: the share of the energy of a matrix [m, k] that each rank from 0 on holds; zeros of a zero one.

    Singular values no larger than what rounding makes of zero, max(m, k) epsilons of `precision` times the largest,
    count as zero.
    """
    values = np.asarray(gradient, np.float64)
    largest = float(np.abs(values).max(initial=0.0))
    held = np.zeros(min(values.shape) + 1)
    if largest:
        s = np.linalg.svd(values / largest, compute_uv=False)
        s[s <= s[0] * max(values.shape) * np.finfo(precision).eps] = 0
        sums = np.cumsum(s * s)
        held[1:] = sums / sums[-1]
    return held


def choose(pairs: Sequence[Pair]) -> tuple[Chosen, ...]:
    """A rank for each pair.

    All begin with rank 1. The one that holds least gets one more, those first that are below their least, until each
    has that and holds its share, is at its highest, or has no room in what those that say the same may cost together.
    Where nothing bounds them these are the smallest ranks of which that is true.
    """
    found: dict[int, Chosen] = {}
    for auto in dict.fromkeys(pair.auto for pair in pairs):
        group = {index: pair for index, pair in enumerate(pairs) if pair.auto == auto}
        room = auto.cost * sum(pair.full for pair in group.values())
        room -= sum(pair.unit for pair in group.values())
        ranks, growing = dict.fromkeys(group, 1), dict(group)
        while growing:
            index = min(growing, key=lambda i: (ranks[i] >= group[i].least, group[i].held[ranks[i]], i))
            pair, rank = group[index], ranks[index]
            bound = ""
            if rank < pair.least or (not pair.idle and pair.held[rank] < auto.share):
                if rank == highest(auto, pair.most):
                    bound = f"`at_most: {auto.at_most}`"
                elif pair.unit > room:
                    bound = f"`cost: {auto.cost:g}`"
                else:
                    ranks[index], room = rank + 1, room - pair.unit
                    continue
            found[index] = Chosen(pair, rank, bound)
            del growing[index]
    return tuple(found[index] for index in range(len(pairs)))


def _measured(
    program: Program,
    routes: Sequence[Route],
    dataset: Dataset,
    backend: Backend,
    precision: Precision,
    device: str | None,
    given: Mapping[str, Array] | None,
) -> tuple[Mapping[int, int], Mapping[int, Mapping[str, NDArray[np.float64]]]]:
    """By each number of steps that is asked for: how many were made, and the mean gradient of each pair."""
    plain = exact(program)
    try:
        made = compiled(plain)
        beside = fit(teaching(plain, made, routes), backend.ops(precision))
    except NoDerivativeError as error:
        raise FacError(
            f"a rank that is `auto` is measured by the exact gradient, and there is none: {error}; write a number"
        ) from error
    data, _ = fitted_anew(dataset, made.feeds, precision, None, training=True)
    session = emit(plain, backend, precision, made=made).open(given, device, derive=given is not None)
    assert session.beside is not None, "an artifact opens it"
    seen, family = session.beside(beside), Stepping(session, data.train, plain.spec)
    last = family.epochs * family.steps_per_epoch
    asked = sorted({auto.steps for route in routes if (auto := auto_rank(route))})
    ends = {route.ends.prefix: route.ends for route in routes if route.ends is not None}
    sums = {prefix: np.zeros((of.reads, of.writes)) for prefix, of in ends.items()}
    names, (reading,) = tuple(slot.name for slot in beside.state), seen.compiled.readings
    means: dict[int, Mapping[str, NDArray[np.float64]]] = {}
    counts = {steps: min(steps, last) for steps in asked}
    for step in range(counts[asked[-1]]):
        if step:
            family.once()
        batch = family.taken(step)
        seen.write(session.read(names))
        arrays = seen.run_probe({feed.name: batch[feed.name] for feed in beside.feeds}, step)
        for name, prefix in reading.reads.items():
            sums[prefix] += np.asarray(arrays[name], np.float64)
            if not np.isfinite(sums[prefix]).all():
                raise FacError(
                    f"a rank that is `auto` is measured over {counts[asked[-1]]} steps of backpropagation, and in step "
                    f"{step + 1} numbers are no longer finite: {family.remedy}, ask for fewer steps, or write a number"
                )
        for steps, count in counts.items():
            if step + 1 == count:
                means[steps] = {prefix: total / count for prefix, total in sums.items()}
    return counts, means


def _written(document: Document, program: Program, number: Mapping[str, int]) -> Document:
    """The spec with these ranks, by the prefix of a pair, in the long form of each section that left one open."""
    sections = program.spec.feedback
    listed = isinstance(sections, tuple)
    for index, section in enumerate(sections if isinstance(sections, tuple) else (sections,)):
        path: Path = ("feedback", index) if listed else ("feedback",)
        own = [route for route in program.routes if route.origin[: len(path)] == path]
        if not any(auto_rank(route) for route in own):
            continue
        routes = written_routes(program, (_with_rank(route, number) for route in own))
        if isinstance(section, ShortHand):
            subspaces = [s for s in program.subspaces if s.origin[: len(path)] == path]
            long = {"subspaces": written_subspaces(subspaces)} if subspaces else {}
            document = put(
                document, path, {**long, "routes": routes}, "the routes of a rule, with ranks measured"
            )
        else:
            document = put(document, (*path, "routes"), routes, "routes with ranks measured")
    return document


def _with_rank(route: Route, number: Mapping[str, int]) -> Route:
    if auto_rank(route) is None:
        return route
    assert route.ends is not None
    return replace(route, matrix=route.matrix.model_copy(update={"rank": number[route.ends.prefix]}))
