"""Where studies measure: trainings of the spec files beside them, on one backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from pathlib import Path

from fac import source
from fac.backend import Backend, Precision, Session
from fac.pipeline import emit, lowered, precision_of
from fac.program.declared import unranked, unsettled
from fac.program.feeds import feeds
from fac.source import Document
from fac.spec.data import Data
from fac.training import data
from fac.training.dataset import Dataset
from fac.training.fitting import fitted
from fac.training.logs import EpochRecord
from fac.training.loop import train
from fac.training.nonfinite import DivergedError
from fac.training.ranking import ranked
from fac.training.settling import settled


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of one row came to. All of it is numbers, so that it can be kept."""

    figures: Mapping[str, float]
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Figures over time, by name: one number for each epoch, `step` among them: how many steps were made."""
    diverged: bool = False


@dataclass(frozen=True, slots=True)
class Training:
    """A training that is over, and the session with its last state: the last good one after a divergence."""

    measured: Measured
    """`test_accuracy` in [0, 1], `test_loss`, `train_loss`, `step_ms`, and the probes of the last epoch by name; the
    same as curves. One that diverged has the curves up to there, and no figures."""
    session: Session


class Lab:
    """One backend, and one folder of specs."""

    def __init__(self, folder: Path, backend: Backend, stop: Callable[[], bool] = lambda: False) -> None:
        """Nothing is loaded yet.

        Args:
            folder: that of the study, from which the names of specs start.
            backend: on which its trainings run.
            stop: asked after each step; True ends a training with `StoppedError`.
        """
        self.folder, self.backend, self.stop = folder, backend, stop
        self._data: dict[str, Dataset] = {}

    def open(self, spec: str, *changes: str, seed: int, precision: Precision | None = None) -> Session:
        """A session of a spec of the folder, for what is no training by its `train:` section.

        Args:
            spec: its file.
            changes: as those of `--set`, such as `update.lr=0.1`.
            seed: of initial values and of the order of samples: `train.seed`.
            precision: the backend's own if not given, and float64 of what is solved.

        Raises:
            FacError: the spec has errors.
        """
        document = self._document(spec, changes, seed)
        return emit(lowered(document), self.backend, precision, document).open()

    def train(
        self,
        spec: str,
        *changes: str,
        seed: int,
        precision: Precision | None = None,
        dataset: Dataset | None = None,
    ) -> Training:
        """Train a spec of the folder.

        Args:
            spec: see `open`, and so the others.
            changes: the same.
            seed: the same.
            precision: the same.
            dataset: in the place of what the spec's `data:` declares.

        Raises:
            FacError: the spec has errors, or its data cannot be loaded.
            StoppedError: somebody interrupts.
        """
        document = self._document(spec, changes, seed)
        program = lowered(document)
        precision = precision or precision_of(program, self.backend)
        dataset = dataset or self._loaded(data.declared(program.spec.data, spec), precision)
        if unsettled(program) or unranked(program):
            document, _ = settled(document, program, dataset, precision)
            document, _ = ranked(document, lowered(document), dataset, self.backend, precision)
            program = lowered(document)
        session = emit(program, self.backend, precision, document).open()
        try:
            report = train(session, dataset, program.spec, stop=self.stop)
        except DivergedError as error:
            return Training(Measured({}, _curves(error.history), diverged=True), session)
        curves = _curves(report.history)
        figures = {name: values[-1] for name, values in curves.items() if name != "step"} | {
            "step_ms": report.step_ms
        }
        return Training(Measured(figures, curves), session)

    def data(self, spec: str, *changes: str, precision: Precision | None = None) -> Dataset:
        """The data set that a spec of the folder declares, in the shapes that its network reads.

        Args:
            spec: see `open`, and so the others.
            changes: the same.
            precision: the same.

        Raises:
            FacError: the spec has errors or no `data:`, or its data cannot be loaded or do not fit.
        """
        program = lowered(self._document(spec, changes, 0))
        precision = precision or precision_of(program, self.backend)
        return fitted(
            self._loaded(data.declared(program.spec.data, spec), precision), feeds(program), precision
        )

    def _document(self, spec: str, changes: Sequence[str], seed: int) -> Document:
        return source.override(source.read(str(self.folder / spec)), (*changes, f"train.seed={seed}"))

    def _loaded(self, section: Data, precision: Precision) -> Dataset:
        key = f"{section!r} {precision}"
        if key not in self._data:
            self._data[key] = data.load(section, self.folder, precision)
        return self._data[key]


def trained(spec: str, *changes: str, precision: Precision | None = None) -> Callable[[Lab, int], Measured]:
    """What a row measures that is a training, and nothing else; see `Lab.train`."""
    return lambda lab, seed: lab.train(spec, *changes, seed=seed, precision=precision).measured


def _curves(history: Sequence[EpochRecord]) -> dict[str, tuple[float, ...]]:
    flat = [record.flat() for record in history]
    names = dict.fromkeys(
        name for record in flat for name, value in record.items() if isinstance(value, int | float)
    )
    return {
        name: tuple(nan if (value := record.get(name)) is None else float(value) for record in flat)
        for name in names
        if name not in ("epoch", "seconds", "step_ms")
    }
