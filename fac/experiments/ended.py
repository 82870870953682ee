"""What came of a training, in a file of its folder: its figures and what is wrong with them, or why it diverged.

A comparison reads its results there, and whoever uses the network of a run hears what its training said. The file
names the state that it is about by its digest, so that it is not believed of a state that a later training left.
It tells no time: a run that was interrupted has the file of one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from math import nan
from pathlib import Path
from statistics import median
from typing import Any

from fac.audit import Measured
from fac.backend import DIGEST
from fac.diagnostics import FacError
from fac.experiments.rows import TIMES, Run
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


def keep(
    held: Held, of: Report | DivergedError, audit: Measured | None = None, said: Sequence[str] = ()
) -> None:
    """Write the file, once the state is there that it is about.

    Args:
        held: the folder of the run.
        of: what came of the training.
        audit: what was looked at in the trained network, if it was.
        said: warnings of the training beside those in its report.

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
    }
    write(held.path / OUTCOME, (json_text(found, indent=1) + "\n").encode(), held.descriptor)


def read(path: Path, seed: int = 0) -> Run | None:
    """What came of the run in a folder; None if it is not over, or has gone on since.

    Args:
        path: of the folder.
        seed: of the run.

    Raises:
        FacError: what lies there is no outcome of a run.
    """
    if not there(path / OUTCOME) or not there(path / STATE):
        return None
    try:
        found = json.loads(content(path / OUTCOME, MANIFEST, within=path))
        if _is_stale(path, found.get("state")):
            return None
        records = timed(path, tuple(record for record in logged(path) if record is not None))
        history = tuple(record for record in records if record.epoch)
        said = tuple(map(str, _listed(found.get("said", []))))
        if found["report"] is None:
            return Run(seed, None, history, str(found["problem"]), diverged=True, said=said)
        report = _report(found, records, history)
        audit = _looked(found["audit"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise FacError(f"`{path / OUTCOME}` is not what came of a run: remove it, and call again") from error
    last = history[-1].epoch if history else 0
    if last < report.epochs:
        said += (f"lines of its `{METRICS}` are gone, which ends with epoch {last} of {report.epochs}",)
    return Run(seed, report, history, audit=audit, said=said)


def stale(path: Path) -> bool:
    """Whether the folder of a run has such a file, and it is of another state than the one that is there."""
    if not there(path / OUTCOME) or not there(path / STATE):
        return False
    try:
        return _is_stale(path, json.loads(content(path / OUTCOME, MANIFEST, within=path)).get("state"))
    except (FacError, ValueError, AttributeError, RecursionError):
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


def _is_stale(path: Path, digest: object) -> bool:
    """Whether a digest is not that of the state; earlier versions named none."""
    if digest is None:
        return False
    try:
        return checkpoint.about(path).get(DIGEST) != digest
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


def _report(
    found: Mapping[str, Any], records: tuple[EpochRecord, ...], history: tuple[EpochRecord, ...]
) -> Report:
    figures: dict[str, Any] = {
        field.name: _figure(str(field.type), found["report"][field.name])
        for field in fields(Report)
        if field.name not in _APART
    }
    concerns = tuple(
        Concern(str(c["kind"]), str(c["message"]), dict(c["figures"]), str(c["of"]))
        for c in found["concerns"]
    )
    kept = found["report"]["best"]
    best = None if kept is None else Best(kept["by"], float(kept["value"]), int(kept["epoch"]))
    lasted = [record.seconds for record in history]
    steps = [record.step_ms for record in history if record.step_ms == record.step_ms]
    return Report(
        **figures,
        history=history,
        concerns=concerns,
        start=next((record for record in records if record.epoch == 0), None),
        best=best,
        seconds=sum(lasted),
        step_ms=median(steps) if steps else nan,
    )


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("no list")
    return value


def _figure(kind: str, value: Any) -> Any:
    """A figure as `Report` declares it; null stands for what is no number."""
    if value is None and kind != "int":
        return nan if kind == "float" else None
    if kind.startswith("float"):
        return float(value)
    if kind == "int" and not (type(value) is int and 0 <= value < 1 << 63):
        raise ValueError("no count")
    return value if kind == "int" else str(value)


def _looked(found: Mapping[str, Any] | None) -> Measured | None:
    """As JSON has it, where no number is null."""
    if found is None:
        return None
    parts = {name: found[name] for name in ("scale", "routed", "true", "cosine")}
    numbers = {
        name: {key: nan if v is None else float(v) for key, v in of.items()} for name, of in parts.items()
    }
    if not numbers["routed"].keys() == numbers["true"].keys() == numbers["cosine"].keys():
        raise ValueError("not all are of the same layers")
    return Measured(**numbers, stacked=nan if found["stacked"] is None else float(found["stacked"]))


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
