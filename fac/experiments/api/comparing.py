"""`fac.compare` and `fac.sweep`."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fac import asked
from fac.diagnostics import FacError
from fac.experiments import handed
from fac.experiments.api.common import Watched, allow, where_of
from fac.experiments.comparing import Design, compared
from fac.experiments.comparison import Comparison
from fac.experiments.declared import Declared, declared
from fac.experiments.executors import workers
from fac.experiments.executors.processes import require_main
from fac.experiments.handed import DataLike
from fac.experiments.sweeps.planning import SweepDesign
from fac.experiments.sweeps.resulting import Sweep
from fac.experiments.sweeps.sweeping import swept
from fac.experiments.trainer import Watch
from fac.pipeline import SpecLike
from fac.source import Overrides, assignments_of

if TYPE_CHECKING:
    from fac.backend import Precision
    from fac.source import Document


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
    executor: str | None = None,
    overrides: Overrides = (),
    backend: str | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    disable: Collection[str] = (),
    allow_code: bool = False,
    watch: Watch | None = None,
) -> Comparison:
    """Train variants on equal data order and from equal initial weights, as `fac compare` does.

    Args:
        specs: several are compared as they are; one is set beside other rules on the same network. Or the path of a
            comparison file, which declares rules, ranks, seeds, contrasts, rates, budget and audit itself.
        rules: short-hands that replace the feedback, such as `["bp", "fa", "fa scale=2"]`; `own` is what a spec itself
            declares.
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
        executor: whose processes these are: those of this machine, `processes`, which is the default, or of a `ray`
            cluster. Where `jobs` says nothing, as many train at a time as there are CPUs.
        overrides: see `train`, of every spec.
        backend: see `train`.
        device: see `train`.
        precision: see `train`.
        disable: see `train`, of every training.
        allow_code: see `train`.
        watch: hears how it goes.

    Raises:
        FacError: a variant cannot be trained, which is known before the first training; or that one failed.
        KeyboardInterrupt: before the end of the first training. Later ones are given with what was made.
    """
    apart = workers(executor, jobs)
    if apart is not None:
        require_main()
    if apart is not None and out is None:
        raise FacError("`jobs` and `executor` need `out`, a folder that keeps the runs of several processes")
    several: list[Any] = list(specs) if isinstance(specs, list | tuple) else [specs]
    if not several:
        raise FacError("there is no spec to compare")
    allow(allow_code)
    changes = assignments_of(overrides)
    design = Design(
        rules, ranks, seeds, contrasts, {} if rates is None else rates, budget=budget, audit=audit
    )
    asked.of(watch, (Watch, type(None)), "watch", "a `fac.experiments.trainer.Watch`")
    said = bool(rules or ranks or seeds != 3 or contrasts or rates or budget or not audit)
    found = _declared(several, changes, said=said)
    documents: Sequence[Document]
    if found is None:
        documents = [handed.document(spec, changes) for spec in several]
    else:
        documents, design = found.documents, found.design
    dataset = None if data is None else handed.dataset(data)
    where = where_of(backend, device, precision, disable)
    return compared(
        documents,
        design,
        where,
        out=None if out is None else asked.path(out, "out", "the path of a folder"),
        workers=apart,
        dataset=dataset,
        watch=Watched() if watch is None else watch,
    )


def _declared(several: Sequence[Any], changes: Sequence[str], *, said: bool) -> Declared | None:
    """What the one spec declares, if it is a comparison file.

    Raises:
        FacError: it is one of several, or something that it declares is `said` beside it.
    """
    for spec in several:
        found = declared(os.fspath(spec), changes) if isinstance(spec, str | os.PathLike) else None
        if found is None:
            continue
        if len(several) > 1:
            raise FacError(f"`{spec}` declares a comparison, and names its specs itself: give it alone")
        if said:
            raise FacError(
                f"`{spec}` declares the comparison: change its rules, ranks, seeds, contrasts, rates, budget and "
                "audit there"
            )
        return found
    return None


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
    executor: str | None = None,
    overrides: Overrides = (),
    backend: str | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    disable: Collection[str] = (),
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
        executor: see `compare`.
        overrides: see `train`.
        backend: see `train`.
        device: see `train`.
        precision: see `train`.
        disable: see `train`, of every training.
        allow_code: see `train`.
        watch: hears how it goes.

    Raises:
        SpecError: settings at an end of the space are not valid.
        FacError: something cannot be trained or searched over, or there are no validation data, which is known before
            the first trial; or no trial came to its end with a number.
    """
    apart = workers(executor, jobs)
    if apart is not None:
        require_main()
    allow(allow_code)
    design = SweepDesign(over, rules, trials, sampler, seed, prune, seeds, contrasts, audit)
    asked.of(watch, (Watch, type(None)), "watch", "a `fac.experiments.trainer.Watch`")
    document = handed.document(spec, assignments_of(overrides))
    return swept(
        document,
        design,
        where_of(backend, device, precision, disable),
        out=asked.path(out, "out", "the path of a folder"),
        workers=apart,
        dataset=None if data is None else handed.dataset(data),
        watch=Watched() if watch is None else watch,
    )
