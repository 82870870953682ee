"""Trains the variants of a comparison, and loads each data set once."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from fac.build.disabling import without
from fac.diagnostics import FacError, plain
from fac.experiments.arms import body
from fac.experiments.audited import audited
from fac.experiments.backends import chosen
from fac.experiments.job import Where
from fac.experiments.needs import by_byte, needs_of
from fac.experiments.rows import Row, Run
from fac.experiments.variants import Variant, ranks_of
from fac.pipeline import emit, lowered, precision_of
from fac.program.declared import unranked, unsettled
from fac.program.feeds import target
from fac.program.lower import kind_of
from fac.training.data import declared, load
from fac.training.logs import Listener
from fac.training.loop import Report, StoppedError, Training
from fac.training.nonfinite import DivergedError
from fac.training.ranking import ranked
from fac.training.settling import settled

if TYPE_CHECKING:
    from fac.audit import Measured
    from fac.backend import Session
    from fac.program.program import Program
    from fac.source import Document
    from fac.training.dataset import Dataset

Heard = tuple[Listener, Callable[[], bool]]
"""Who hears a training, and what is asked after each step whether it is to end."""


class Watch:
    """Hears how a comparison goes. All methods do nothing: override those that matter."""

    def training(self, label: str) -> AbstractContextManager[Heard]:
        """Around each training, or around all of them where several processes make them."""
        return nullcontext((Listener(), lambda: False))

    def loading(self) -> AbstractContextManager[None]:
        """Around the loading of data."""
        return nullcontext()

    def ended(self, number: int, of: int, label: str, run: Run) -> None:
        """After a training, of the row of that number."""

    def tried(self, number: int, of: int, label: str, result: str) -> None:
        """After a trial of a sweep, the row's so many: its settings, and what came of it."""


class Trainer:
    """Trains variants, and loads each data set once."""

    def __init__(
        self,
        where: Where,
        *,
        probes: bool = True,
        audit: bool = True,
        dataset: Dataset | None = None,
        watch: Watch | None = None,
    ) -> None:
        """See `fac.experiments.comparison.compared`."""
        # The same ways for all runs, in whichever process, on whichever machine of a kind, whenever they are made: what
        # one of them finds in a cache, another one may not, and pairs would differ in more than what they compare.
        self.where, self.device = replace(where, tune="off"), where.device
        self.backend, self.precision = chosen(where.backend), where.precision
        self.probes, self.audit, self.watch, self.handed = probes, audit, watch or Watch(), dataset
        self.datasets: dict[str, Dataset] = {}

    def lowered(self, document: Document) -> Program:
        """The program of a spec, to be compiled without the passes that are left out.

        Raises:
            SpecError: it has errors.
            FacError: there is no such pass.
        """
        return without(lowered(document), self.where.disable or (), self.backend)

    def settled(self, document: Document) -> tuple[Document, tuple[str, ...]]:
        """The spec with what only its data tell, and what to say of that; see `fac.training.settling`.

        Raises:
            FacError: it has errors, or its data cannot be loaded or do not fit.
        """
        program = self.lowered(document)
        if not unsettled(program):
            return document, ()
        precision = self.precision or precision_of(program, self.backend)
        return settled(document, program, self.dataset(document, program), precision)

    def ranked(self, variant: Variant) -> tuple[Variant, tuple[str, ...]]:
        """The variant with ranks that only its data tell, and what to say of them; see `fac.training.ranking`.

        They are measured with the seed of its spec, and are those of all seeds: a row is one network.

        Raises:
            FacError: it has errors, or its data cannot be loaded or do not fit.
        """
        document = variant.document
        program = self.lowered(document)
        if not unranked(program):
            return variant, ()
        precision = self.precision or precision_of(program, self.backend)
        dataset = self.dataset(document, program)
        document, lines = ranked(document, program, dataset, self.backend, precision, self.device)
        told = (f"ranks of `{variant.label}` {line}" for line in lines)
        return replace(variant, document=document, rank=None), tuple(told)

    def checked(self, variant: Variant, seed: int) -> Program:
        """The program of a variant, whose data are loaded.

        Raises:
            FacError: the variant has errors, or its data cannot be loaded.
        """
        program = self.lowered(variant.seeded(seed, self.probes))
        self.dataset(variant.document, program)
        return program

    def run(self, document: Document, seed: int, label: str, *, keep: bool) -> Run:
        """One training that nothing is kept of, whatever becomes of it.

        Raises:
            Exception: it failed, and `keep` says that there are no others to keep.
            StoppedError: somebody interrupts.
        """
        try:
            report, looked = self._train(document, label)
        except DivergedError as error:
            return Run(seed, None, error.history, str(error), diverged=True)
        except StoppedError:
            raise
        except Exception as error:
            if not keep:
                raise
            return failed(seed, error)
        return Run(seed, report, report.history, audit=looked)

    def dataset(self, document: Document, program: Program) -> Dataset:
        """What a spec names, unless it is handed over.

        Raises:
            FacError: it cannot be loaded.
        """
        if self.handed is not None:
            return self.handed
        data = declared(program.spec.data, document.name)
        precision = self.precision or precision_of(program, self.backend)
        key = f"{document.folder.resolve()} {precision} {data!r}"
        if key not in self.datasets:
            with self.watch.loading():
                self.datasets[key] = load(data, document.folder, precision)
        return self.datasets[key]

    def opened(self, document: Document, program: Program) -> Session:
        """A session with initial values.

        Raises:
            FacError: what it would run on is not there.
        """
        return emit(program, self.backend, self.precision, document).open(None, self.device)

    def device_of(self, variant: Variant, seed: int) -> str:
        """What a session of this variant runs on, whatever of it only its data tell.

        Raises:
            FacError: as `opened`, `settled` and `ranked`.
        """
        document, _ = self.settled(variant.document)
        variant, _ = self.ranked(replace(variant, document=document))
        seeded = variant.seeded(seed)
        return self.opened(seeded, self.lowered(seeded)).device

    def _train(self, document: Document, label: str) -> tuple[Report, Measured | None]:
        program = self.lowered(document)
        dataset = self.dataset(document, program)
        session = self.opened(document, program)
        self.device = session.device
        with self.watch.training(label) as (listener, stop):
            training = Training(session, dataset, program.spec, listener=listener, stop=stop)
            report = training.run()
        return report, self.looked(training, program)

    def looked(self, training: Training, program: Program) -> Measured | None:
        """What the audit measures of the network that was trained, if it is asked for."""
        return audited(training.session, program, training.data.train) if self.audit else None


def row_of(variant: Variant, program: Program) -> Row:
    """What is known of a row before any of its runs."""
    first = program.losses[0]
    classifies = kind_of("fac.losses", first.loss).classes
    return Row(
        variant,
        program.spec.name,
        ranks_of(program),
        classifies,
        classifies and bool(target(program, first).shape),
        needs_of(program),
        by_byte(program),
        body(variant.document),
        None if program.spec.update is None else program.spec.update.lr,
    )


def failed(seed: int, error: Exception) -> Run:
    """A run that could not be made.

    Raises:
        Exception: that error, if `FAC_TRACEBACK` asks to see where it arose.
    """
    if os.environ.get("FAC_TRACEBACK"):
        raise error
    problem = str(error) if isinstance(error, FacError) else f"{type(error).__name__}: {error}"
    return Run(seed, None, (), plain(problem))
