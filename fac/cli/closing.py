"""What `fac train` says when a training is over: some lines for people, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fac.escaping import visible

if TYPE_CHECKING:
    from fac.backend import Compiled, Session
    from fac.experiments.job import Job
    from fac.experiments.running import Done
    from fac.training.logs import EpochRecord
    from fac.training.nonfinite import DivergedError


def parameters(compiled: Compiled) -> int:
    """How many numbers the forward pass reads."""
    return sum(prod(slot.shape) for slot in compiled.state if slot.parameter)


def summary(job: Job, session: Session, made: Done | DivergedError, path: Path) -> dict[str, Any]:
    """What `--json` prints. Of a training that diverged only `metrics.jsonl` has figures, those of its good epochs."""
    from fac.experiments.audited import flat
    from fac.experiments.running import Done

    ended = made.report if isinstance(made, Done) else None
    looked = made.audit if isinstance(made, Done) else None
    found = {
        "spec": job.spec.name,
        "spec_hash": session.compiled.spec_hash,
        "backend": job.backend,
        "device": session.device,
        "precision": session.precision,
        "seed": job.spec.train.seed,
        "epochs": ended.epochs if ended else job.spec.train.epochs,
        "steps": ended.steps if ended else session.steps,
    }
    for name in ("test_accuracy", "test_loss", "train_loss", "seconds", "step_ms"):
        found[name] = getattr(ended, name, None)
    if ended is not None and ended.shown.validation:
        found["validation"] = dict(ended.shown.validation)
    if ended is not None and ended.shown.losses:
        found["losses"] = dict(ended.shown.losses)
        found["train_losses"] = dict(ended.shown.train_losses)
    best = ended.best if ended is not None else None
    return found | {
        "best": None if best is None else {"by": best.by, "value": best.value, "epoch": best.epoch},
        "stopped": ended.stopped if ended is not None else None,
        "parameters": parameters(session.compiled),
        "out": str(path),
        "origin": json.loads(job.given or "null"),
        "problem": str(made) if isinstance(made, Exception) else None,
        "warnings": [concern.flat() for concern in ended.concerns] if ended else [],
        **({} if looked is None else {"audit": flat(looked)}),
    }


def _each(record: EpochRecord) -> Iterator[str]:
    """What the sum is made of, if it is one."""
    for name, loss in record.losses.items():
        if name.endswith(".loss"):
            of, trained = name.removesuffix(".loss"), record.train_losses.get(name)
            accuracy = record.losses.get(f"{of}.accuracy")
            rate = "" if accuracy is None else f", accuracy {100 * accuracy:.1f} %"
            before = "" if trained is None else f"train loss {trained:.4g}, "
            yield f"  {of}: {before}test loss {loss:.4g}{rate}"


def closing(job: Job, session: Session, made: Done, path: Path) -> str:
    from fac.experiments.audited import lines as audit_lines

    report = made.report
    result = f"test loss {report.test_loss:.4g}"
    if report.test_accuracy is not None:
        result = f"test accuracy {100 * report.test_accuracy:.1f} %, {result}"
    shown = report.shown
    if held := shown.validation:
        accuracy = f"validation accuracy {100 * held['accuracy']:.1f} %, " if "accuracy" in held else ""
        result += f"; {accuracy}validation loss {held['loss']:.4g}"
    where = f"{job.backend} ({session.device}, {session.precision})"
    speed = f"{report.seconds:.1f} s"
    if isfinite(report.step_ms) and job.spec.solve is None:
        speed += f", {report.step_ms:.2f} ms per step"
    if report.best is not None:
        result += f"; kept: the best by {report.best}"
    lines = (
        f"`{job.spec.name}` on {where}: {result}; {speed}",
        *_each(shown),
        *(f"warning: {concern.message}" for concern in report.concerns),
        *(() if made.audit is None else ("audit:", *audit_lines(made.audit))),
        f"state, log and spec are in `{path}`",
    )
    return "\n".join(map(visible, lines))
