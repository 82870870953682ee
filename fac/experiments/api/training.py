"""`fac.train`."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fac import asked
from fac.diagnostics import FacError
from fac.experiments import handed
from fac.experiments.api.common import LOG, Logged, allow, mode, where_of
from fac.experiments.handed import DataLike
from fac.experiments.job import Job, Later, Where, begun, continued, new
from fac.experiments.results import Trained
from fac.experiments.running import require_gradients, run
from fac.experiments.starting import forked, given
from fac.pipeline import SpecLike
from fac.source import Overrides, assignments_of
from fac.training import checkpoint, folder
from fac.training.logs import Listener
from fac.training.plugged import changes as changes_of
from fac.training.weights import Weights, held

if TYPE_CHECKING:
    from fac.backend import Precision
    from fac.training.dataset import Dataset
    from fac.tuning import Mode


def train(
    spec: SpecLike | None = None,
    data: DataLike | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    init: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    init_partial: bool = False,
    fork: str | os.PathLike[str] | None = None,
    overrides: Overrides = (),
    backend: str | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    disable: Collection[str] | None = None,
    tune: Mode | None = None,
    compile: bool = False,
    allow_code: bool = False,
    audit: bool = False,
    listener: Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train a spec, as `fac train` does.

    Args:
        spec: a file's path, plain data, or a `ModelSpec`. May be left out where a run is resumed or forked.
        data: `{"train": (x, y), "test": (x, y)}`, batch first, `validation` likewise if it is to be evaluated, too; or
            instead of pairs arrays by the names of inputs and targets. Default: what the spec names.
        out: a folder that keeps the run; `fac evaluate`, `export` and `predict` read it. Default: nothing is kept.
        resume: the folder of a run, which goes on there.
        init: a `.safetensors` or `.pt` file, a run, or arrays by name, whose parameters it starts from.
        init_partial: whether what fits of these will do.
        fork: a run, from whose state it goes on; with its spec, or with that of a file.
        overrides: changes by path, `{"update.lr": 0.01}`, or as `--set` takes them, `["update.lr=0.01"]`.
        backend: the first usable of torch, onnx, reference if not given.
        device: such as `cuda`; the backend's first if not given.
        precision: `float32` or `float64`; the backend's own if not given.
        disable: the names of passes that are left out, see docs/passes.md; `[]` leaves out none. Default: those that a
            run that goes on leaves out, else none.
        tune: how ways are chosen that lead to the same result up to rounding, see docs/tuning.md: `auto` takes what was
            measured on this machine before, `off` what is usual, `full` measures now. Default: `auto`; a run that goes
            on keeps to its own.
        compile: whether `torch.compile` makes the step, see docs/running.md; of a run that goes on, if it was so.
        allow_code: whether a function that the spec names may be run, see `data: {source: python}`; from then on, in
            this process.
        audit: whether the trained network is looked at, see docs/audit.md.
        listener: hears how it goes.
        stop: asked after each step; True ends the training.

    Raises:
        SpecError: the spec has errors.
        DivergedError: numbers ceased to be finite; it has the epochs before.
        StoppedError: `stop` said so. A kept run can be resumed.
        FacError: the data do not fit, a file cannot be written, or there is no such backend.
    """
    starts = {"resume": resume, "init": init, "fork": fork}
    named = [f"`{name}`" for name, place in starts.items() if place is not None]
    if len(named) > 1:
        raise FacError(f"{' and '.join(named)} each say where to start: name one of them")
    if fork is None and (spec is None) == (resume is None):
        raise FacError(
            "name a spec, or a run with `resume`: a run goes on with its own, changed by `overrides`"
        )
    if resume is not None and out is not None:
        raise FacError("`resume` goes on in the folder of the run: leave out `out`")
    allow(allow_code)
    data = None if data is None else handed.dataset(data)
    where = replace(where_of(backend, device, precision, disable), tune=mode(tune), compile=compile)
    listener = Logged() if listener is None else listener
    changes = assignments_of(overrides)
    asked.of(listener, Listener, "listener", "a `fac.training.logs.Listener`")
    if not callable(stop):
        raise asked.wrong("stop", stop, "a function that says whether to stop")
    with ExitStack() as stack:
        place = None
        if resume is not None:
            place, found = stack.enter_context(
                folder.resumed(asked.path(resume, "resume", "the folder of a run"))
            )
            _tell_changes(found)
            job = continued(Later(found, place.path, None, changes, where, data))
        elif fork is not None:
            job = _forked(spec, asked.path(fork, "fork", "the folder of a run"), changes, where, data)
        else:
            assert spec is not None
            document = handed.document(spec, changes)
            document = document if data is None else handed.without_data(document)
            job = new(document, where, dataset=data)
            job = job if init is None else given(job, _weights(init), partial=init_partial)
        if place is None and out is not None:
            place = stack.enter_context(
                folder.claim(asked.path(out, "out", "the path of a folder"), job.spec.name, job.text)
            )
        if job.warnings:
            listener.said(job.warnings)
        for line in job.starts:
            LOG.info("%s", line)
        if audit:
            require_gradients(job.spec)
        ready = begun(job, place, data)
        for remark in ready.remarks:
            listener.said(remark)
        done = run(ready, listener, stop, audit=audit)
        kept = None if place is None else place.path
    network = job.program, ready.job.artifact, ready.session
    return Trained(*network, done.report, done.dataset, job.backend, kept, done.audit)


def _weights(init: Mapping[str, Any] | str | os.PathLike[str]) -> Path | Weights:
    if not isinstance(init, Mapping):
        return asked.path(init, "init", "a file, the folder of a run, or arrays by name")
    arrays = {str(name): handed.numbers(value, f"`{name}` of `init`") for name, value in init.items()}
    return held(arrays, "`init`")


def _forked(
    spec: SpecLike | None, run: Path, overrides: tuple[str, ...], where: Where, dataset: Dataset | None
) -> Job:
    if spec is not None and not isinstance(spec, str | os.PathLike):
        raise FacError(
            "`fork` goes on with the spec of the run, changed by `overrides`, or with that of a file"
        )
    found = checkpoint.load(run)
    _tell_changes(found)
    path = None if spec is None else os.fspath(spec)
    return forked(Later(found, run, path, overrides, where, dataset))


def _tell_changes(found: checkpoint.Checkpoint) -> None:
    for remark in changes_of(found):
        LOG.warning("%s", remark)
