"""What commands do, as functions that return objects: `fac.train`, `fac.compare`, `fac.sweep`, `fac.evaluate`, ….

Nothing is printed. What a person should know, such as numbers that are read in another shape, is logged as a warning
by the logger `fac`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fac import asked
from fac.diagnostics import FacError
from fac.experiments import handed
from fac.experiments.comparing import Design, compared
from fac.experiments.comparison import Comparison
from fac.experiments.handed import DataLike, Samples
from fac.experiments.job import ANYWHERE, Job, Later, Where, begun, continued, new
from fac.experiments.reporting import BACKEND, Report, of_paths, reported, require_page
from fac.experiments.results import Trained
from fac.experiments.samples import ARRAYS, Fitted, network, of_arrays, of_file, of_run
from fac.experiments.starting import forked, given
from fac.experiments.sweeps.planning import SweepDesign
from fac.experiments.sweeps.resulting import Sweep
from fac.experiments.sweeps.sweeping import swept
from fac.experiments.trainer import Heard, Watch
from fac.pipeline import SpecLike
from fac.program.lower import kind_of
from fac.training import checkpoint, folder
from fac.training.data import python
from fac.training.evaluation import Evaluation, evaluated
from fac.training.logs import EpochRecord, Listener
from fac.training.metadata import Kept
from fac.training.plugged import changes as changes_of
from fac.training.prediction import predicted
from fac.training.weights import Weights, held
from fac.writing import write

if TYPE_CHECKING:
    from fac.backend import Array, Precision, Session
    from fac.program.program import Program
    from fac.training.dataset import Dataset

LOG = logging.getLogger("fac")
RunLike = Trained | str | os.PathLike[str]


class _Logged(Listener):
    """Hears of a training for those who name nobody else."""

    def ended(self, record: EpochRecord) -> None:
        LOG.info("epoch %d: %s", record.epoch, record.to_json())

    def said(self, text: str) -> None:
        LOG.warning("%s", text)


class _Watched(Watch):
    """Likewise of a comparison."""

    def training(self, label: str) -> AbstractContextManager[Heard]:
        return nullcontext((_Logged(), lambda: False))


def train(
    spec: SpecLike | None = None,
    data: DataLike | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    init: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    init_partial: bool = False,
    fork: str | os.PathLike[str] | None = None,
    overrides: Iterable[str] = (),
    backend: str | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    allow_code: bool = False,
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
        overrides: changes of the spec, such as `update.lr=0.01`.
        backend: the first usable of torch, onnx, reference if not given.
        device: such as `cuda`; the backend's first if not given.
        precision: `float32` or `float64`; the backend's own if not given.
        allow_code: whether a function that the spec names may be run, see `data: {source: python}`; from then on, in
            this process.
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
    _allow(allow_code)
    data = None if data is None else handed.dataset(data)
    where, listener = _where(backend, device, precision), _Logged() if listener is None else listener
    changes = asked.texts(overrides, "overrides", "update.lr=0.01")
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
        ready = begun(job, place, data)
        for remark in ready.remarks:
            listener.said(remark)
        with ready.told(listener) as heard:
            training = ready.training(heard, stop)
            report = training.run()
        kept = None if place is None else place.path
    return Trained(job.program, job.artifact, ready.session, report, training.data, job.backend, kept)


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


def compare(
    specs: SpecLike | Sequence[SpecLike],
    rules: Sequence[str] | None = None,
    data: DataLike | None = None,
    *,
    ranks: Sequence[int] = (),
    seeds: int = 3,
    contrasts: Sequence[str] = (),
    rates: Mapping[str, float] | None = None,
    budget: str = "",
    audit: bool = True,
    out: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    overrides: Iterable[str] = (),
    backend: str | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    allow_code: bool = False,
    watch: Watch | None = None,
) -> Comparison:
    """Train variants on equal data order and from equal initial weights, as `fac compare` does.

    Args:
        specs: several are compared as they are; one is set beside other rules on the same network.
        rules: short-hands that replace the feedback, such as `["bp", "fa"]`; `own` is what a spec itself declares.
        data: see `train`.
        ranks: a row for each, of the low-rank rules.
        seeds: trainings of each variant.
        contrasts: pairs of rows, such as `["ldfa:bp"]`, whose paired difference is wanted.
        rates: learning rates by rule, or by row.
        budget: how these were tuned, in words; stands beside the result.
        audit: whether `shallow` and `frozen` are trained beside every rule, and each trained network is looked at.
        out: a folder that keeps all of it; where it has kept a part of this comparison, it goes on there.
        jobs: so many processes train at a time, of one thread each; needs `out`. What calls this has to be importable,
            as `multiprocessing` wants it: a program under `if __name__ == "__main__":`.
        overrides: see `train`, of every spec.
        backend: see `train`.
        device: see `train`.
        precision: see `train`.
        allow_code: see `train`.
        watch: hears how it goes.

    Raises:
        FacError: a variant cannot be trained, which is known before the first training; or that one failed.
        KeyboardInterrupt: before the end of the first training. Later ones are given with what was made.
    """
    if jobs is not None and (type(jobs) is not int or jobs < 1 or out is None):
        raise FacError(
            "`jobs` is a number of processes, such as 2, and needs `out`, a folder that keeps their runs"
        )
    several: list[Any] = list(specs) if isinstance(specs, list | tuple) else [specs]
    if not several:
        raise FacError("there is no spec to compare")
    _allow(allow_code)
    changes = asked.texts(overrides, "overrides", "update.lr=0.01")
    design = Design(
        rules, ranks, seeds, contrasts, {} if rates is None else rates, budget=budget, audit=audit
    )
    asked.of(watch, (Watch, type(None)), "watch", "a `fac.experiments.trainer.Watch`")
    documents = [handed.document(spec, changes) for spec in several]
    dataset = None if data is None else handed.dataset(data)
    where = _where(backend, device, precision)
    return compared(
        documents,
        design,
        where,
        out=None if out is None else asked.path(out, "out", "the path of a folder"),
        jobs=jobs,
        dataset=dataset,
        watch=_Watched() if watch is None else watch,
    )


def sweep(
    spec: SpecLike,
    over: Mapping[str, str],
    rules: Sequence[str] = (),
    data: DataLike | None = None,
    *,
    out: str | os.PathLike[str],
    trials: int = 30,
    sampler: Literal["tpe", "random"] = "tpe",
    seed: int = 0,
    prune: bool = True,
    seeds: int = 3,
    contrasts: Sequence[str] = (),
    audit: bool = True,
    jobs: int | None = None,
    overrides: Iterable[str] = (),
    backend: str | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    allow_code: bool = False,
    watch: Watch | None = None,
) -> Sweep:
    """Search for the settings of each rule on validation data, and compare the best on test data, as `fac sweep` does.

    Args:
        spec: see `train`.
        over: values by path: `{"update.lr": "log:0.001:0.1", "feedback.rank": "1,2,4,8"}`.
        rules: short-hands that replace the feedback; by default the spec's own is searched for alone.
        data: see `train`; with `validation`.
        out: a folder that keeps all of it; where it has kept a part of this sweep, it goes on there.
        trials: of each rule.
        sampler: what draws them.
        seed: of the sampler.
        prune: whether trials end early where others did better.
        seeds: trainings of each rule with its best settings; none of them has the seed of the trials.
        contrasts: see `compare`, of the best.
        audit: see `compare`, of the best.
        jobs: see `compare`.
        overrides: see `train`.
        backend: see `train`.
        device: see `train`.
        precision: see `train`.
        allow_code: see `train`.
        watch: hears how it goes.

    Raises:
        SpecError: settings at an end of the space are not valid.
        FacError: something cannot be trained or searched over, or there are no validation data, which is known before
            the first trial; or no trial came to its end with a number.
    """
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise asked.wrong("jobs", jobs, "a number of processes, such as 2")
    _allow(allow_code)
    design = SweepDesign(over, rules, trials, sampler, seed, prune, seeds, contrasts, audit)
    asked.of(watch, (Watch, type(None)), "watch", "a `fac.experiments.trainer.Watch`")
    document = handed.document(spec, asked.texts(overrides, "overrides", "update.lr=0.01"))
    return swept(
        document,
        design,
        _where(backend, device, precision),
        out=asked.path(out, "out", "the path of a folder"),
        jobs=jobs,
        dataset=None if data is None else handed.dataset(data),
        watch=_Watched() if watch is None else watch,
    )


def report(
    runs: RunLike | Sequence[RunLike],
    output: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
    measure: bool = True,
    backend: str = BACKEND,
    allow_code: bool = False,
) -> Report:
    """One HTML file of what runs have left behind, as `fac report` writes it.

    Args:
        runs: folders of runs and of comparisons, or folders that hold some; or trainings that were kept.
        output: where it is written; the report has it as `html`, too.
        title: by default what the specs are called.
        measure: whether networks are measured on their test data, for confusions and samples of high loss.
        backend: which measures.
        allow_code: see `train`.

    Raises:
        FacError: there is no run at all, or the file is not called as a page is, or cannot be written.
    """
    asked.of(title, str, "title", "a text")
    asked.name(backend, "backend", "reference")
    place = None if output is None else asked.path(output, "output")
    if place is not None:
        require_page(str(place))
    _allow(allow_code)
    found = reported(of_paths(runs), title=title, measure=measure, backend=backend)
    for note in found.notes:
        LOG.warning("%s", note)
    if place is not None:
        write(place, found.html.encode())
    return found


def evaluate(
    run: Trained | str | os.PathLike[str],
    data: Samples | str | os.PathLike[str] | None = None,
    *,
    split: Literal["train", "validation", "test"] = "test",
    backend: str | None = None,
    device: str | None = None,
    precision: Precision | None = None,
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
        allow_code: see `train`.

    Raises:
        FacError: there is no such run, its data are gone or do not fit, or an output is not finite.
    """
    _allow(allow_code)
    it = _opened(run, _where(backend, device, precision))
    if data is None:
        try:
            found = it.own()
        except FacError as error:
            raise FacError(f"{error}; or hand samples over as `data`") from error
        asked.of(split, str, "split", "its name, such as `'test'`")
        if split not in found.splits:
            known = " and ".join(f"`{name}`" for name in found.splits)
            raise FacError(f"the data of this run have no split `{split}`: there are {known}")
        part = found.splits[split]
    else:
        part = it.samples(data, targets=True).split
    return evaluated(it.session, part, kind_of("fac.losses", it.program.spec.minimised[0]), it.kept.classes)


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
    it = _opened(run, _where(backend, device, precision))
    given = it.samples(x, targets=False)
    return {**given.marks, **predicted(it.session, given.split, it.program, it.kept.classes)}


def _where(backend: str | None, device: str | None, precision: Precision | None) -> Where:
    asked.name(backend, "backend", "torch")
    asked.name(device, "device", "cpu")
    asked.name(precision, "precision", "float64")
    return Where(backend, device, precision)


def _allow(code: bool) -> None:
    if code:
        python.allow()


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
