"""Variants of a network on the same data order and from the same initial forward weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fac import asked
from fac.build.threads import allowed
from fac.diagnostics import FacError
from fac.experiments import contrasts, plan
from fac.experiments.arms import arms_of, held_against, unlike_arms
from fac.experiments.comparison import Comparison, assembled
from fac.experiments.contrasts import Pair
from fac.experiments.executors.pool import make_apart
from fac.experiments.handed import without_data
from fac.experiments.job import ANYWHERE, Where
from fac.experiments.kept import holding
from fac.experiments.plan import Plan
from fac.experiments.queued import Runs, make_here
from fac.experiments.rows import Row
from fac.experiments.trainer import Trainer, Watch, row_of
from fac.experiments.variants import Variant, left_out, rated, settled, twins, variants
from fac.experiments.written import write_results
from fac.pipeline import lowered
from fac.training.loop import StoppedError

if TYPE_CHECKING:
    from fac.experiments.executors import Workers
    from fac.source import Document
    from fac.training.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Design:
    """What is to be compared, beside the specs: said before anything is trained."""

    rules: Sequence[str] | None = None
    """See `variants`, as `ranks`."""
    ranks: Sequence[int] = ()
    seeds: int = 3
    """Trainings of each variant, which count up from the seed of the first spec."""
    contrasts: Sequence[str] = ()
    """Pairs of rows, such as `ldfa:bp`."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Learning rates by rule, or by row."""
    settings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Changes of the spec by rule, as `--set` takes them: what a sweep found."""
    budget: str = ""
    """How these, or other settings, were tuned, in words."""
    audit: bool = True
    """Whether the arms of `fac.audit` are trained, too, and each trained network is looked at."""
    arms: Sequence[str] = ()
    """Those among the rules that nobody has asked for: a sweep has found settings of their own for them."""

    def __post_init__(self) -> None:
        """Raise FacError for what is of another kind, as Python may hand over."""
        if type(self.seeds) is not int or self.seeds < 1:
            raise asked.wrong("seeds", self.seeds, "how many trainings of each variant there are, such as 3")
        ranks = self.ranks if isinstance(self.ranks, list | tuple | range) else (None,)
        if not all(type(rank) is int and rank > 0 for rank in ranks):
            raise asked.wrong("ranks", self.ranks, "a list of whole numbers, such as `[4, 16]`")
        rates = self.rates.values() if isinstance(self.rates, Mapping) else (None,)
        if not all(type(rate) in (int, float) for rate in rates):
            raise asked.wrong("rates", self.rates, 'learning rates by rule, such as `{"fa": 0.01}`')
        if self.rules is not None:
            asked.texts(self.rules, "rules", "bp")
        asked.texts(self.contrasts, "contrasts", "ldfa:bp")
        asked.of(self.audit, bool, "audit", "`True` or `False`")
        asked.of(self.budget, str, "budget", "how the rates were tuned, in words")


def compared(
    documents: Sequence[Document],
    design: Design,
    where: Where = ANYWHERE,
    *,
    out: Path | None = None,
    workers: Workers | None = None,
    probes: bool = True,
    dataset: Dataset | None = None,
    watch: Watch | None = None,
) -> Comparison:
    """Train variants on equal terms.

    Args:
        documents: several specs are compared as they are; one is set beside other rules on the same network.
        design: what is compared.
        where: they run.
        out: a folder that keeps all of it, or has kept a part of it: then that is not made again.
        workers: train in the place of this process. They need `out`.
        probes: whether what the specs measure is measured.
        dataset: in the place of what the specs name.
        watch: hears how it goes.

    Raises:
        FacError: a variant has errors, or its data cannot be loaded; all of them are looked at before the first
            training. Or the first training of all failed, and nothing is kept; or `out` is another comparison.
        KeyboardInterrupt: before the end of the first training, where nothing is kept. Later ones are given with what
            was made.
    """
    if dataset is not None:
        documents = [without_data(document) for document in documents]
    # names first: a framework takes seconds to import, and data longer to load
    contrasts.declared(design.contrasts, _labels(documents, design), design.seeds)
    trainer = Trainer(where, probes=probes, audit=design.audit, dataset=dataset, watch=watch)
    counted = [trainer.settled(document) for document in documents]
    documents = [document for document, _ in counted]
    specs = [lowered(document).spec for document in documents]
    asked_for, arms = rows_of(documents, design)
    measured = [trainer.ranked(variant) for variant in (*asked_for, *arms)]
    planned = [variant for variant, _ in measured]
    pairs = contrasts.declared(design.contrasts, [variant.label for variant in planned], design.seeds)
    first = specs[0].train.seed
    seeds = tuple(range(first, first + design.seeds))
    # all of them before the first training: nobody waits an hour to hear that the second row cannot be
    programs = [trainer.checked(variant, first) for variant in planned]
    rows = [
        replace(row_of(variant, program), arm=number >= len(asked_for) or variant.rule in design.arms)
        for number, (variant, program) in enumerate(zip(planned, programs, strict=True))
    ]
    stepped = {(spec.train.batch, spec.train.epochs) for spec in specs if spec.solve is None}
    counted_lines = dict.fromkeys(line for _, lines in [*counted, *measured] for line in lines)
    notes = [*_notes(rows, stepped), *_audited(rows), *counted_lines]
    datasets = [trainer.dataset(v.document, p) for v, p in zip(planned, programs, strict=True)]
    paired = pairs and len(documents) > 1
    # to digest data is to read all of them: for a folder that keeps them, and for contrasts of several specs
    digests = plan.digests(datasets) if paired or out is not None else ()
    if paired:
        parts = zip(planned, digests, datasets, strict=True)
        told = {v.label: {**found, "held out": str(d.held_out)} for v, found, d in parts}
        notes += _unlike(pairs, told)
    if len(documents) == 1 and not design.rules and programs[0].spec.solve is None:
        notes += _left_out(documents[0], design.ranks)
    all_of = {variant.label: program for variant, program in zip(planned, programs, strict=True)}
    notes += [f"`{one}` and `{other}` are one training under two names" for one, other in twins(all_of)]
    if design.rates and not design.budget:
        notes.append("learning rates are set by rule, and nobody says how they were tuned, see `budget`")
    disabled = sorted({*(where.disable or ())})
    if disabled:
        names = ", ".join(f"`{name}`" for name in disabled)
        notes.append(
            f"compiled without {names}, see docs/passes.md: results are those of all passes up to rounding"
        )
    if out is None:
        if any(spec.train.loggers for spec in specs):
            notes.append(
                "`train.loggers` are left out, which write beside runs that are kept: give a folder, `out`"
            )
        _train(trainer, rows, seeds)
        return assembled(
            rows, seeds, trainer.backend.name, trainer.device, pairs, notes, design.budget, design.audit
        )
    trainer.device = trainer.opened(planned[0].seeded(first, probes), programs[0]).device
    meant = Plan(
        rows=tuple(rows),
        specs=tuple(plan.expanded(program) for program in programs),
        data=digests,
        seeds=seeds,
        pairs=pairs,
        budget=design.budget,
        backend=trainer.backend.name,
        device=trainer.device,
        precision=where.precision,
        threads=allowed() if workers is None else 1,
        version=plan.version(),
        notes=tuple(notes),
        audit=design.audit,
        disable=tuple(disabled),
        plugins=plan.plugged(programs),
    )
    with holding(out, meant) as kept:
        queue = Runs(trainer, planned, kept)
        if workers is None:
            make_here(trainer, queue)
        elif queue.waiting:
            make_apart(trainer, queue, f"{len(queue.waiting)} trainings", workers, kept.path)
        return write_results(kept)


def _labels(documents: Sequence[Document], design: Design) -> list[str]:
    """Those of all rows."""
    named, arms = rows_of(documents, design)
    return [variant.label for variant in (*named, *arms)]


def rows_of(documents: Sequence[Document], design: Design) -> tuple[list[Variant], list[Variant]]:
    """What is trained: what is asked for, see `variants`, and the arms of the audit, with the settings of those.

    Raises:
        FacError: as `variants` and `rated`.
    """
    named = settled(variants(documents, design.rules or None, design.ranks), design.settings)
    names = {name for variant in named for name in (variant.label, variant.rule)}
    named = rated(named, {name: rate for name, rate in design.rates.items() if name in names})
    arms = arms_of(named) if design.audit else []
    # the others name an arm, or nothing
    others = {name: rate for name, rate in design.rates.items() if name not in names}
    return named, unlike_arms(rated([*named, *arms], others)[len(named) :])


def _audited(rows: Sequence[Row]) -> Iterator[str]:
    """What the arms are there for, by their labels, and beside which rows each stands."""
    arms = [row.variant.label for row in rows if row.arm]
    if not arms:
        return
    *first, last = (f"`{arm}`" for arm in arms)
    labels = f"{', '.join(first)} and {last} are" if first else f"{last} is"
    yield f"{labels} trained for the audit, see docs/audit.md; `--no-audit` leaves that out"
    beside = {arm: ", ".join(f"`{label}`" for label in held_against(arm, rows)) for arm in arms}
    if len({*beside.values()}) > 1:
        told = "; ".join(f"`{arm}` beside {labels}" for arm, labels in beside.items() if labels)
        yield f"each rule is held against the arms with its own settings: {told}"


def _train(trainer: Trainer, rows: Sequence[Row], seeds: Sequence[int]) -> None:
    """All seeds of all rows, or as many as there are when somebody interrupts.

    Raises:
        Exception: what the first training of all ended with: then there is nothing to keep.
        KeyboardInterrupt: before the end of the first training.
    """
    try:
        for number, row in enumerate(rows, 1):
            for seed in seeds:
                label = f"{row.variant.label} seed {seed}"
                document = row.variant.seeded(seed, trainer.probes)
                run = trainer.run(document, seed, label, keep=bool(rows[0].runs))
                trainer.watch.ended(number, len(rows), label, run)
                row.runs.append(run)
    except (StoppedError, KeyboardInterrupt) as stopped:
        if not rows[0].runs:
            raise KeyboardInterrupt from stopped


def _notes(rows: Sequence[Row], schedules: set[tuple[int, int]]) -> Iterator[str]:
    if not any(row.variant.rule == "shallow" for row in rows) and any(row.needs.fixed for row in rows):
        yield (
            "no `shallow` row: it trains the last layer alone, and rules with fixed feedback live near it; "
            "add it with `--rules`"
        )
    if len(schedules) > 1:
        yield "the specs differ in `train.batch` or `train.epochs`, so their data order is not the same"


def _unlike(pairs: Sequence[Pair], data: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Where rows of a contrast differ in more than what they are.

    Args:
        pairs: that are declared.
        data: what tells the parts of the data apart, by the label of a row.

    Raises:
        FacError: they are tested on other samples, whose difference theirs would be.
    """
    for pair in pairs:
        one, other = data[pair.one], data[pair.other]
        if one["test"] != other["test"]:
            raise FacError(
                f"`{pair}` would pair results on different test data, and a difference of those is none of the rules: "
                "give both specs the same `data`, or leave the contrast out"
            )
        if one != other:
            yield f"`{pair.one}` and `{pair.other}` are trained, or chosen, on different samples"


def _left_out(document: Document, ranks: Sequence[int]) -> Iterator[str]:
    for rule in left_out(document, ranks):
        yield f"no `{rule}` row: it needs a rank, and the spec does not give one; add `--rank 10`"
