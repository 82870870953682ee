"""What came of a training, in a file of its folder: its figures and what is wrong with them, or why it diverged.

A comparison reads its results there, and whoever uses the network of a run hears what its training said. The file
names the state that it is about by its digest, so that it is not believed of a state that a later training left.
It tells no time: a run that was interrupted has the file of one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from math import nan
from pathlib import Path
from statistics import median
from typing import Any

from fac.audit import Measured
from fac.backend import DIGEST
from fac.diagnostics import FacError
from fac.experiments import made_with
from fac.experiments.forms import Belonging, OutcomeForm
from fac.experiments.rows import TIMES, Run
from fac.experiments.sealing import UnsoundError, digest, sealed, unsealed
from fac.opening import LOG, MANIFEST, content, there
from fac.render.json_text import json_text
from fac.training import checkpoint
from fac.training.best import Best
from fac.training.folder import METRICS, OUTCOME, STATE, logged
from fac.training.holding import Held
from fac.training.logs import EpochRecord
from fac.training.loop import Report
from fac.training.nonfinite import DivergedError
from fac.training.outcome import Concern
from fac.writing import write

TIMED = "times.jsonl"
"""Where a log has no times, those of its epochs."""
_APART = ("history", "concerns", "start", "best", *TIMES)


class ForeignError(FacError):
    """What lies in the place of a training is another one."""


def keep(
    held: Held,
    of: Report | DivergedError,
    audit: Measured | None = None,
    said: Sequence[str] = (),
    belongs: Belonging | None = None,
) -> None:
    """Write the file, once the state is there that it is about.

    Args:
        held: the folder of the run.
        of: what came of the training.
        audit: what was looked at in the trained network, if it was.
        said: warnings of the training beside those in its report.
        belongs: which training of a comparison or a sweep it is.

    Raises:
        FacError: it cannot be written.
    """
    about = held.anywhere(checkpoint.about) if held.anywhere(lambda path: there(path / STATE)) else {}
    found = {
        **_flat(of),
        "audit": None if audit is None else asdict(audit),
        "said": list(said),
        "seed": int(about["seed"]) if about.get("seed", "").isdecimal() else None,
        "state": about.get(DIGEST),
        "log": held.anywhere(log_digest),
        "belongs": None if belongs is None else belongs.model_dump(),
        "versions": made_with.versions(),
    }
    write(held.path / OUTCOME, sealed(found), held.descriptor)


def read(path: Path, belongs: Belonging | None = None) -> Run | None:
    """What came of the run in a folder; None if it is not over, or has gone on since.

    Args:
        path: of the folder.
        belongs: which training it has to be; None takes any.

    Raises:
        ForeignError: it is another one.
        FacError: what lies there is no outcome of a run.
    """
    if not there(path / OUTCOME) or not there(path / STATE):
        return None
    found = _outcome(path)
    if belongs is not None:
        require_own(path, found.belongs, belongs)
    if _is_stale(path, found.state):
        return None
    records = timed(path, tuple(record for record in logged(path) if record is not None))
    history = tuple(record for record in records if record.epoch)
    said, versions = tuple(found.said), found.versions
    seed = found.seed or 0 if belongs is None else belongs.seed
    if found.report is None:
        problem = found.problem or ""
        return Run(seed, None, history, problem, diverged=True, said=said, versions=versions)
    last = history[-1].epoch if history else 0
    if last < found.report.epochs:
        said += (f"lines of its `{METRICS}` are gone, which ends with epoch {last} of {found.report.epochs}",)
    elif log_digest(path) != found.log:
        said += (f"its `{METRICS}` is not as the training left it",)
    audit = None if found.audit is None else Measured(**found.audit.model_dump())
    report = _report(found, records, history)
    return Run(seed, report, history, audit=audit, said=said, versions=versions)


def require_own(path: Path, found: Belonging | None, wanted: Belonging) -> None:
    """Refuse another training than the one that has its place here.

    Args:
        path: of the folder.
        found: what it says that it is.
        wanted: what has to lie there.

    Raises:
        ForeignError: it is another one.
    """
    if found == wanted:
        return
    first = "remove the folder, and it is made anew" if wanted.trial is None else "bring back a copy of it"
    remedy = f"{first}, or give another folder to `--out`"
    if found is None:
        raise ForeignError(
            f"`{path}` is a training by itself, as `fac train --resume` leaves it, and not {wanted}: {remedy}"
        )
    where = "" if found.plan == wanted.plan else " of another plan"
    raise ForeignError(f"`{path}` is {found}{where}, and not {wanted}: {remedy}")


def log_digest(path: Path) -> str:
    """SHA-256 of what the log of a run says, but for its times.

    Raises:
        FacError: it cannot be read.
    """
    lines = [record.flat() for record in logged(path) if record is not None]
    return digest([json_text({name: line[name] for name in line if name not in TIMES}) for line in lines])


def stale(path: Path) -> bool:
    """Whether the folder of a run has such a file, and it is of another state than the one that is there."""
    if not there(path / OUTCOME) or not there(path / STATE):
        return False
    try:
        return _is_stale(path, _outcome(path).state)
    except FacError:
        return False  # who reads it says so


def timed(path: Path, records: tuple[EpochRecord, ...]) -> tuple[EpochRecord, ...]:
    """The records of a log with the times that lie apart from them, if they do.

    Raises:
        FacError: these cannot be read.
    """
    if not there(path / TIMED):
        return records
    times = _times(path)
    return tuple(
        replace(record, seconds=seconds, step_ms=step_ms)
        for record in records
        for seconds, step_ms in [times.get(record.epoch, (nan, nan))]
    )


def told(folder: Path) -> Iterator[str]:
    """What has to be said, in sentences, to whoever uses the network of a run; nothing, as a rule.

    Args:
        folder: of the run, or one that holds a checkpoint alone.
    """
    try:
        found = read(folder)
    except FacError as error:
        yield str(error)
        return
    if found is None:
        if stale(folder):
            yield f"`{folder / OUTCOME}` is of an earlier state of this run, which has gone on since and is not over"
        return
    if found.diverged:
        yield f"this run diverged, and offers its last good state: {found.problem}"
        return
    for kind, _, message in (*found.warned, *found.looked):
        yield f"this run: {kind}: {message}"
    yield from (f"this run: {line}" for line in found.said)


def _outcome(path: Path) -> OutcomeForm:
    """The file, as it was written.

    Raises:
        FacError: it was not, or was changed since.
    """
    try:
        return unsealed(content(path / OUTCOME, MANIFEST, within=path), OutcomeForm)
    except UnsoundError as error:
        raise FacError(
            f"`{path / OUTCOME}` is not what came of a run: remove it, and call again ({error})"
        ) from error


def _is_stale(path: Path, state: str | None) -> bool:
    """Whether a digest is not that of the state."""
    try:
        return checkpoint.about(path).get(DIGEST) != state
    except FacError:
        return False  # who reads the state says so


def _flat(of: Report | DivergedError) -> dict[str, Any]:
    if isinstance(of, DivergedError):
        return {"report": None, "problem": of.why, "step": of.step, "concerns": []}
    figures = {field.name: getattr(of, field.name) for field in fields(Report) if field.name not in _APART}
    figures["best"] = None if of.best is None else asdict(of.best)
    concerns = [
        {"kind": c.kind, "message": c.message, "figures": dict(c.figures), "of": c.of} for c in of.concerns
    ]
    return {"report": figures, "problem": None, "step": of.steps, "concerns": concerns}


def _report(found: OutcomeForm, records: tuple[EpochRecord, ...], history: tuple[EpochRecord, ...]) -> Report:
    assert found.report is not None
    kept = found.report.best
    lasted = [record.seconds for record in history]
    steps = [record.step_ms for record in history if record.step_ms == record.step_ms]
    return Report(
        **found.report.flat,
        history=history,
        concerns=tuple(Concern(**concern.model_dump()) for concern in found.concerns),
        start=next((record for record in records if record.epoch == 0), None),
        best=None if kept is None else Best(kept.by, kept.value, kept.epoch),
        seconds=sum(lasted),
        step_ms=median(steps) if steps else nan,
    )


def _times(path: Path) -> dict[int, tuple[float, float]]:
    """Seconds, and milliseconds of a step, of each epoch, as it was made last."""
    found: dict[int, tuple[float, float]] = {}
    for line in content(path / TIMED, LOG, within=path).decode(errors="replace").splitlines():
        try:
            epoch = json.loads(line)
            found[epoch["epoch"]] = float(epoch["seconds"]), float(epoch["step_ms"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # cut off, as the last line may be
    return found
