"""`fac.evaluate` and `fac.predict`: a trained network, asked about samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fac import asked
from fac.diagnostics import FacError
from fac.experiments import handed
from fac.experiments.api.common import LOG, allow, where_of
from fac.experiments.audited import audited
from fac.experiments.handed import Samples
from fac.experiments.job import ANYWHERE, Where
from fac.experiments.results import Trained
from fac.experiments.samples import ARRAYS, Fitted, network, of_arrays, of_file, of_run
from fac.program.lower import kind_of
from fac.training.evaluation import Evaluation, evaluated
from fac.training.metadata import Kept
from fac.training.prediction import predicted

if TYPE_CHECKING:
    from fac.backend import Array, Precision, Session
    from fac.program.program import Program
    from fac.training.dataset import Dataset


def evaluate(
    run: Trained | str | os.PathLike[str],
    data: Samples | str | os.PathLike[str] | None = None,
    *,
    split: Literal["train", "validation", "test"] = "test",
    backend: str | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    audit: bool = False,
    allow_code: bool = False,
) -> Evaluation:
    """Measure a trained network, as `fac evaluate` does: losses, classes, calibration.

    Args:
        run: what `train` gave, or the folder of a run or its state.
        data: (x, y), arrays by name, or a file as `fac evaluate --data` reads it. Default: the data of the run.
        split: which part of these.
        backend: see `train`; of a folder only, as the two below.
        device: see `train`.
        precision: that of the training if not given.
        audit: whether the network is looked at, too, see docs/audit.md.
        allow_code: see `train`.

    Raises:
        FacError: there is no such run, its data are gone or do not fit, an output is not finite, or a network that is
            solved is to be audited.
    """
    asked.of(audit, bool, "audit", "`True` or `False`")
    allow(allow_code)
    it = _opened(run, where_of(backend, device, precision))
    if data is None:
        try:
            found = it.own()
        except FacError as error:
            raise FacError(f"{error}; or hand samples over as `data`") from error
        asked.of(split, str, "split", "its name, such as `'test'`")
        if split not in found.splits:
            known = " and ".join(f"`{name}`" for name in found.splits)
            raise FacError(f"the data of this run have no split `{split}`: there are {known}")
        part, looked_at = found.splits[split], found.train
    else:
        part = looked_at = it.samples(data, targets=True).split
    kind = kind_of("fac.losses", it.program.spec.minimised[0])
    measured = evaluated(it.session, part, kind, it.kept.classes)
    if not audit:
        return measured
    looked = audited(it.session, it.program, looked_at)
    if looked is None:
        raise FacError(
            f"`{it.program.spec.name}` is solved, and has no gradients to look at: leave out `audit`"
        )
    return replace(measured, audit=looked)


def predict(
    run: Trained | str | os.PathLike[str],
    x: Samples | Array | str | os.PathLike[str],
    *,
    backend: str | None = None,
    device: str | None = None,
    precision: Precision | None = None,
) -> Mapping[str, Array]:
    """What a trained network says of samples, as `fac predict` writes it.

    Args:
        run: see `evaluate`, as the others.
        x: of a network with one input that input, else arrays by name; or a file as `fac predict` reads it.
        backend: see `evaluate`.
        device: see `evaluate`.
        precision: see `evaluate`.

    Returns:
        `output` [N, *output]; of a network that classifies `label` [N, *places] and `probability` of that. Of images
        also `name` [N], those of their files, and of a table the `line` or `row` of each sample.

    Raises:
        FacError: as `evaluate`.
    """
    it = _opened(run, where_of(backend, device, precision))
    given = it.samples(x, targets=False)
    return {**given.marks, **predicted(it.session, given.split, it.program, it.kept.classes)}


@dataclass(frozen=True, slots=True)
class _Open:
    """A trained network, and what its training says of samples."""

    session: Session
    program: Program
    own: Callable[[], Dataset]
    """Its data, fitted."""
    kept: Kept
    """How the samples of its training were read."""

    def samples(self, data: Any, *, targets: bool) -> Fitted:
        precision = self.session.precision
        if isinstance(data, str | os.PathLike):
            found = of_file(Path(data), self.program, precision, self.kept, targets=targets)
        else:
            given = handed.split(data, ARRAYS, targets, text=True)
            found = of_arrays(given, self.program, precision, self.kept, targets=targets)
        if found.told:
            LOG.warning("%s", found.told)
        return found


def _opened(run: Trained | str | os.PathLike[str], where: Where) -> _Open:
    if isinstance(run, Trained):
        if where != ANYWHERE:
            raise FacError(
                "a network that is open stays where it runs: leave out `backend`, `device`, `precision`"
            )
        own = run.dataset
        return _Open(run.session, run.program, lambda: own, Kept(own.scalings, own.classes, own.columns))
    found = network(asked.path(run, "run", "what `fac.train` gave, or the folder of a run"), where)
    for remark in found.remarks:
        LOG.warning("%s", remark)
    precision = found.session.precision
    return _Open(
        found.session,
        found.program,
        lambda: of_run(found.program, found.checkpoint, None, precision),
        found.kept,
    )
