"""Variants of a network on the same data order and from the same initial forward weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fac.diagnostics import FacError, plain
from fac.escaping import visible
from fac.experiments.backends import chosen
from fac.experiments.job import ANYWHERE, Where
from fac.experiments.needs import by_byte, needs_of
from fac.experiments.rows import METRICS, Row, Run, cells, remarks, row_as_json, runs_as_json, table
from fac.experiments.variants import Variant, left_out, ranks_of, twins, variants
from fac.pipeline import emit, lowered, precision_of
from fac.program.feeds import target
from fac.program.lower import kind_of
from fac.render.html import table as html_table
from fac.training.data import declared, load
from fac.training.logs import Listener
from fac.training.loop import Report, StoppedError, train
from fac.training.nonfinite import DivergedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fac.program.program import Program
    from fac.source import Document
    from fac.training.dataset import Dataset

Heard = tuple[Listener, Callable[[], bool]]
"""Who hears a training, and what is asked after each step whether it is to end."""


class Watch:
    """Hears how a comparison goes. All methods do nothing: override those that matter."""

    def training(self, label: str) -> AbstractContextManager[Heard]:
        """Around each training."""
        return nullcontext((Listener(), lambda: False))

    def loading(self) -> AbstractContextManager[None]:
        """Around the loading of data."""
        return nullcontext()

    def ended(self, number: int, of: int, label: str, run: Run) -> None:
        """After a training, of the row of that number."""


@dataclass(frozen=True, eq=False, slots=True)
class Comparison:
    """What became of all runs."""

    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    backend: str
    device: str | None
    notes: tuple[str, ...]
    """What a reader of the table must know."""
    made: int
    meant: int
    """Trainings: fewer are made than were meant where somebody interrupts."""

    def table(self) -> str:
        """Mean and standard deviation of each row, and the notes."""
        return "\n".join([table(self.rows), *(f" {visible(note)}" for note in self.notes)])

    def values(self, name: str = "test_accuracy") -> dict[str, NDArray[np.float64]]:
        """[seeds] of each row by its label; NaN where a run has no such number.

        Args:
            name: of a figure of `Report`, such as `test_loss`; of several losses `aux.loss` and `aux.accuracy`, too.

        Raises:
            FacError: there is no such figure.
        """
        import numpy as np

        known = dict.fromkeys((*METRICS, "seconds", "step_ms", *(of for row in self.rows for of in row.each)))
        if name not in known:
            raise FacError(f"no run has `{name}`; there are {', '.join(f'`{each}`' for each in known)}")
        found = {row.variant.label: [run.value(name) for run in row.runs] for row in self.rows}
        return {
            label: np.array([np.nan if value is None else value for value in values], np.float64)
            for label, values in found.items()
        }

    def history(self, name: str = "test_accuracy") -> dict[str, NDArray[np.float64]]:
        """[seeds, epochs] of each row by its label; NaN where a run has no such epoch.

        Args:
            name: of a column of `metrics.jsonl`.

        Raises:
            FacError: no epoch of any run has that column.
        """
        import numpy as np

        found: dict[str, NDArray[np.float64]] = {}
        known: dict[str, None] = {}
        for row in self.rows:
            lines = [[record.flat() for record in run.history] for run in row.runs]
            table = np.full((len(lines), max(map(len, lines), default=0)), np.nan)
            for seed, epochs in enumerate(lines):
                for epoch, line in enumerate(epochs):
                    known |= dict.fromkeys(line)
                    value = line.get(name)
                    table[seed, epoch] = np.nan if value is None else value
            found[row.variant.label] = table
        if known and name not in known:
            raise FacError(f"no epoch has `{name}`; there are {', '.join(f'`{each}`' for each in known)}")
        return found

    def _repr_html_(self) -> str:
        return html_table(*cells(self.rows), self.notes)

    def flat(self) -> dict[str, Any]:
        """Rows, runs with each of their epochs, and notes, as JSON has them."""
        return {
            "backend": self.backend,
            "device": self.device,
            "seeds": self.seeds,
            "rows": [row_as_json(row) for row in self.rows],
            "runs": runs_as_json(self.rows),
            "notes": self.notes,
        }


def compared(
    documents: Sequence[Document],
    rules: Sequence[str] | None = None,
    ranks: Sequence[int] = (),
    seeds: int = 3,
    where: Where = ANYWHERE,
    *,
    probes: bool = True,
    dataset: Dataset | None = None,
    watch: Watch | None = None,
) -> Comparison:
    """Train variants on equal terms.

    Args:
        documents: several specs are compared as they are; one is set beside other rules on the same network.
        rules: see `variants`, as `ranks`.
        ranks: a row for each.
        seeds: trainings of each variant, which count up from the seed of the first spec.
        where: they run.
        probes: whether what the specs measure is measured.
        dataset: in the place of what the specs name.
        watch: hears how it goes.

    Raises:
        FacError: a variant has errors, or its data cannot be loaded; all of them are looked at before the first
            training. Or the first training of all failed: then there is nothing to keep.
        KeyboardInterrupt: before the end of the first training. Later ones are given with what was made.
    """
    specs = [lowered(document).spec for document in documents]
    planned = variants(documents, rules or None, ranks)
    first = specs[0].train.seed
    given = tuple(range(first, first + seeds))
    trainer = _Trainer(where, given, probes, dataset, watch or Watch())
    # all of them before the first training: nobody waits an hour to hear that the second row cannot be
    programs = [trainer.checked(variant) for variant in planned]
    rows = trainer.rows(planned, programs)
    made, meant = sum(len(row.runs) for row in rows), len(planned) * seeds
    stepped = {(spec.train.batch, spec.train.epochs) for spec in specs if spec.solve is None}
    notes = [*remarks(rows), *_notes(rows, stepped)]
    if len(documents) == 1 and not rules and programs[0].spec.solve is None:
        notes += _left_out(documents[0], ranks)
    named = {variant.label: program for variant, program in zip(planned, programs, strict=True)}
    notes += [f"`{one}` and `{other}` are one training under two names" for one, other in twins(named)]
    if made < meant:
        notes.append(f"interrupted: {made} of {meant} trainings were made")
    return Comparison(tuple(rows), given, trainer.backend.name, trainer.device, tuple(notes), made, meant)


class _Trainer:
    """Trains variants, and loads each data set once."""

    def __init__(
        self, where: Where, seeds: tuple[int, ...], probes: bool, dataset: Dataset | None, watch: Watch
    ) -> None:
        self.backend, self.device, self.precision = chosen(where.backend), where.device, where.precision
        self.seeds, self.probes, self.watch, self.handed = seeds, probes, watch, dataset
        self.datasets: dict[str, Dataset] = {}

    def checked(self, variant: Variant) -> Program:
        """The program of a variant, whose data are loaded.

        Raises:
            FacError: the variant has errors, or its data cannot be loaded.
        """
        program = lowered(variant.seeded(self.seeds[0], self.probes))
        self._dataset(variant.document, program)
        return program

    def rows(self, planned: Sequence[Variant], programs: Sequence[Program]) -> list[Row]:
        """All seeds of all variants, or as many as there are when somebody interrupts.

        Raises:
            Exception: what the first training of all ended with: then there is nothing to keep.
            KeyboardInterrupt: before the end of the first training.
        """
        found: list[Row] = []
        try:
            for variant, program in zip(planned, programs, strict=True):
                first = program.losses[0]
                classifies = kind_of("fac.losses", first.loss).classes
                row = Row(
                    variant,
                    program.spec.name,
                    ranks_of(program),
                    classifies,
                    classifies and bool(target(program, first).shape),
                    needs_of(program),
                    by_byte(program),
                )
                for seed in self.seeds:
                    label = f"{variant.label} seed {seed}"
                    run = self._run(variant.seeded(seed, self.probes), seed, label, keep=bool(found))
                    self.watch.ended(len(found) + (not row.runs), len(planned), label, run)
                    if not row.runs:
                        found.append(row)
                    row.runs.append(run)
        except (StoppedError, KeyboardInterrupt) as stopped:
            if not found:
                raise KeyboardInterrupt from stopped
        return found

    def _run(self, document: Document, seed: int, label: str, *, keep: bool) -> Run:
        """One training, whatever becomes of it.

        Raises:
            Exception: it failed, and `keep` says that there are no others to keep.
            StoppedError: somebody interrupts.
        """
        try:
            report = self._train(document, label)
        except DivergedError as error:
            return Run(seed, None, error.history, str(error), diverged=True)
        except StoppedError:
            raise
        except Exception as error:
            if not keep or os.environ.get("FAC_TRACEBACK"):
                raise
            problem = str(error) if isinstance(error, FacError) else f"{type(error).__name__}: {error}"
            return Run(seed, None, (), plain(problem))
        return Run(seed, report, report.history)

    def _train(self, document: Document, label: str) -> Report:
        program = lowered(document)
        dataset = self._dataset(document, program)
        session = emit(program, self.backend, self.precision, document).open(None, self.device)
        self.device = session.device
        with self.watch.training(label) as (listener, stop):
            return train(session, dataset, program.spec, listener=listener, stop=stop)

    def _dataset(self, document: Document, program: Program) -> Dataset:
        if self.handed is not None:
            return self.handed
        data = declared(program.spec.data, document.name)
        precision = self.precision or precision_of(program, self.backend)
        key = f"{document.folder.resolve()} {precision} {data!r}"
        if key not in self.datasets:
            with self.watch.loading():
                self.datasets[key] = load(data, document.folder, precision)
        return self.datasets[key]


def _notes(rows: Sequence[Row], schedules: set[tuple[int, int]]) -> Iterator[str]:
    if not any(row.variant.rule == "shallow" for row in rows) and any(row.needs.fixed for row in rows):
        yield (
            "no `shallow` row: it trains the last layer alone, and rules with fixed feedback live near it; "
            "add it with `--rules`"
        )
    if len(schedules) > 1:
        yield "the specs differ in `train.batch` or `train.epochs`, so their data order is not the same"


def _left_out(document: Document, ranks: Sequence[int]) -> Iterator[str]:
    for rule in left_out(document, ranks):
        yield f"no `{rule}` row: it needs a rank, and the spec does not give one; add `--rank 10`"
