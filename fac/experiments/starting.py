"""What a new training starts from other than initial values: given parameters, or the state of another run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from fac.backend import fitting
from fac.diagnostics import FacError
from fac.experiments.job import Job, Later, Where, new
from fac.importing.adapting import merged, unlike
from fac.pipeline import lowered
from fac.program.adapters import DOWN
from fac.program.program import Program
from fac.training import folder
from fac.training.checkpoint import differences, require_epochs
from fac.training.metadata import SPEC
from fac.training.weights import Weights, beyond, listed, matched, origin, read


class UnmatchedError(FacError):
    """Parameters that a training should start from are not those of its network."""

    def __init__(self, message: str, lines: Iterable[str]) -> None:
        super().__init__(message)
        self.lines = tuple(lines)
        """What matched, and what did not."""


def given(job: Job, place: Path | Weights, *, partial: bool = False) -> Job:
    """The same training from the parameters of a file or of a run.

    Feedback that is made of weights is made of these, all else begins as it would.

    Args:
        job: a new training.
        place: of the file, or of the folder of a run; or arrays that were handed over.
        partial: whether parameters may be missing, which are drawn then, or be left out.

    Raises:
        UnmatchedError: nothing of the file fits, or not all of it does.
        FacError: the file cannot be read, or the training would replace the weights.
    """
    if job.spec.train.prealign is not None:
        raise FacError(
            "`train.prealign` sets the weights that `--init` gives: leave one out, as by `--set train.prealign=null`"
        )
    compiled = job.artifact.compiled
    weights, joined = _joined(place if isinstance(place, Weights) else read(place), job.program)
    found = matched(weights, compiled, job.program.adapted)
    whole = sum(slot.parameter for slot in compiled.state)
    lines = (
        f"from {weights.name}: {len(found.taken)} of {whole} parameters of `{compiled.name}`",
        *joined,
        *found.lines(),
    )
    if not found.taken:
        remedy = "call layers as the arrays are called there"
        if start := beyond(weights.arrays, found.missing):
            remedy = (
                f"all names there begin with `{start}`, as of a module that is a part of another (`DataParallel` has "
                f"it as `module`); save the `state_dict()` of that part, `.{start[:-1]}`"
            )
        raise UnmatchedError(f"nothing of {weights.name} fits `{compiled.name}`: {remedy}", lines)
    if not found.whole and not partial:
        raise UnmatchedError(
            f"{weights.name} and `{compiled.name}` do not have the same parameters: add `--init-partial` to take what "
            "fits, and draw the rest as for a new training",
            lines,
        )
    if job.unranked is not None:
        disabled = tuple(job.program.disabled)
        where = Where(job.backend, job.device, job.artifact.precision, disabled, job.tune, job.compile)
        again = new(job.unranked, where, base=job.base, dataset=job.loaded, given=found.taken)
        job = replace(again, data=job.data, origin=job.origin)
    state = job.artifact.compiled.initial(found.taken)
    job = job.starting(found.taken)
    return replace(
        job, state=state, given=json.dumps(weights.origin), kept=weights.kept, starts=(*job.starts, *lines)
    )


def _joined(weights: Weights, program: Program) -> tuple[Weights, tuple[str, ...]]:
    """Weights of a run with those of its adapters in them that a network has not, and a line that says so.

    Of a file of arrays nobody knows by which factor an adapter counts.
    """
    run, known = weights.run, {layer.name for layer in program.adapted}
    downs = {
        name.removesuffix(f".{DOWN}.weight") for name in weights.arrays if name.endswith(f".{DOWN}.weight")
    }
    if run is None or SPEC not in run.about or downs <= known:
        return weights, ()
    there = lowered(run.document())
    tensors = (tensor for node in there.nodes for tensor in node.tensors)
    held = all(t.name in run.state and run.state[t.name].shape == t.shape for t in tensors)
    names = [layer.name for layer in there.adapted if layer.name not in known]
    if not (held and names) or unlike(there) is not None:
        return weights, ()
    row = f"  adapters, merged into the weights beside them ({len(names)}): {listed(f'`{name}`' for name in names)}"
    return replace(weights, arrays=merged(there, run.state, known)), (row,)


def forked(later: Later) -> Job:
    """A training that goes on from the state of another run, which stays as it is.

    Raises:
        FacError: a file was named, its state lacks parameters of the spec or has them in other shapes, or its
            epochs would be others.
    """
    found, run = later.found, later.path
    if not run.is_dir():
        raise FacError(f"`{run}` is no folder of a run: `--init` takes the parameters of a file")
    job = later.job()
    require_epochs(found, job.spec)
    state = fitting(job.artifact.compiled, found.state)
    changed = differences(found, job.spec)
    lines = [f"from `{run}` after step {found.step}{':' if changed else ', with the same spec'}"]
    lines += (f"  {line}" for line in changed)
    left = [name for name in found.state if name not in state]
    if left:
        lines.append(f"  left out ({len(left)}): {listed(f'`{name}`' for name in left)}")
    records = (record for record in folder.logged(run) if record is not None)
    log = "".join(f"{record.to_json()}\n" for record in records)
    return replace(
        job.starting(state),
        state=state,
        given=json.dumps(origin(found, run.resolve().name)),
        log=log,
        starts=(*job.starts, *lines),
    )
