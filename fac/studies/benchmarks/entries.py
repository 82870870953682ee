"""What came of a benchmark as plain data: the file that is kept beside a study, and that its page is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from fac.audit import depth, reference
from fac.diagnostics import FacError
from fac.experiments.contrasts import interval
from fac.experiments.kept import require_empty
from fac.opening import LOG, content, there
from fac.render.json_text import json_text
from fac.studies.lab import Measured
from fac.studies.model import Results
from fac.studies.running import judged

if TYPE_CHECKING:
    from fac.experiments.rows import Row
    from fac.experiments.sweeps.resulting import Sweep
    from fac.experiments.sweeps.trials import Course
    from fac.studies.benchmarks.model import Benchmark, Task
    from fac.studies.benchmarks.running import Ready

FILE = "results.json"
FORMAT = 1
ACCURACY, VALIDATION = "test_accuracy", "validation_accuracy"
EXACT = ("bp", *depth.ARMS)
"""Rules whose gradients are exact, so that a cosine with the true ones is 1 and says nothing."""


def missing(task: Task, why: str) -> dict[str, Any]:
    """The entry of a task of which there is nothing to show.

    Args:
        task: the task.
        why: in words.
    """
    return {"title": task.title, "spec": task.spec, "says": task.says, "missing": why}


def entry(ready: Ready, found: Sweep) -> dict[str, Any]:
    """What came of a task.

    Args:
        ready: the task.
        found: its sweep, all of which is made.

    Raises:
        FacError: a claim cannot be judged.
    """
    task, comparison = ready.task, found.comparison
    assert comparison is not None, "it is all made"
    courses = {course.searched.variant.label: course for course in found.courses}
    rows = [_row(row, courses.get(row.variant.label)) for row in comparison.rows]
    known = {row["rule"] for row in rows}
    results = Results({row["rule"]: [*map(_measured, row[ACCURACY])] for row in rows})
    return {
        "title": task.title,
        "spec": task.spec,
        "says": task.says,
        "changes": [*task.changes],
        "samples": ready.samples,
        "over": dict(task.over),
        "seeds": [*comparison.seeds],
        "device": comparison.device,
        "rows": rows,
        "contrasts": [contrast.flat() for contrast in comparison.contrasts],
        # an arm of the audit is trained whatever the task says
        "without": {rule: why for rule, why in task.without.items() if rule not in known},
        "notes": [*found.notes, *_ends(found), *comparison.notes],
        "claims": [{"text": claim.text, "holds": judged(claim, results)} for claim in task.claims],
    }


def _measured(accuracy: float | None) -> Measured:
    return Measured({} if accuracy is None else {ACCURACY: accuracy}, diverged=accuracy is None)


def _row(row: Row, course: Course | None) -> dict[str, Any]:
    values = row.values(ACCURACY)
    return {
        "rule": row.variant.label,
        **_searched(course),
        ACCURACY: [run.value(ACCURACY) for run in row.runs],
        "mean": mean(values) if values else None,
        "interval": interval(values) if len(values) > 1 else None,
        "diverged": [run.seed for run in row.runs if run.diverged],
        "failed": [run.seed for run in row.runs if run.problem and not run.diverged],
        "cosine": None if row.variant.rule in EXACT else _cosine(row),
        "backward_macs_vs_backprop": row.needs.backward_ratio,
        "feedback_words": row.needs.words,
        "weight_transport": row.needs.transport,
    }


def _searched(course: Course | None) -> dict[str, Any]:
    """Of an arm that the audit adds there is no search: it has the settings of the rule that it stands beside."""
    best = None if course is None else course.best
    if course is None or best is None:
        return {"settings": {}, "trials": {}, VALIDATION: None}
    states = [tried.state for tried in course.made.values()]
    return {
        "settings": dict(course.point(best)),
        "trials": {state: states.count(state) for state in dict.fromkeys(states)},
        VALIDATION: course.made[best].value,
    }


def _cosine(row: Row) -> dict[str, Any] | None:
    """Of the lowest layer that learns: its name, and the mean over the runs of which it is a number."""
    looked = [run.audit for run in row.runs if run.audit is not None]
    lowest = next((at[0] for audit in looked if (at := reference.lowest(audit))), "")
    found = [audit.cosine[lowest] for audit in looked if lowest in audit.cosine]
    numbers = [value for value in found if isfinite(value)]
    return {"of": lowest, "mean": mean(numbers), "runs": len(numbers)} if numbers else None


def _ends(found: Sweep) -> list[str]:
    """Rules whose best setting lies at an end of what was searched through: better ones may lie beyond."""
    said = []
    for course in found.courses:
        for dimension in course.searched.space:
            value = found.best.get(course.searched.variant.label, {}).get(dimension.path)
            for end, word in ((min, "lowest"), (max, "highest")):
                if dimension.form != "choice" or all(type(each) in (int, float) for each in dimension.values):
                    numbers: Sequence[Any] = dimension.values
                    if value == end(numbers):
                        said.append(
                            f"the best `{dimension.path}` of `{course.searched.variant.label}`, {value:g}, is the "
                            f"{word} that was tried"
                        )
    return said


def require_own(folder: Path, study: Benchmark) -> bool:
    """Whether a folder has results of a study already.

    Raises:
        FacError: it has others, or other files.
    """
    if not there(folder / FILE):
        require_empty(folder, "benchmark")
        return False
    title = read(folder / FILE)["title"]
    if title != study.title:
        raise FacError(
            f"`{folder}` holds the results of another study, `{title}`: give another folder to `--out`"
        )
    return True


def text(
    study: Benchmark, entries: Sequence[Mapping[str, Any]], command: str, made_on: Mapping[str, str]
) -> str:
    """The file.

    Args:
        study: whose results they are.
        entries: one for each task.
        command: that makes them.
        made_on: see `machine`.
    """
    found = {
        "benchmark": FORMAT,
        "title": study.title,
        "source": study.source,
        "command": command,
        "made_on": dict(made_on),
        "rules": dict(study.rules),
        "tasks": [*entries],
    }
    return json_text(found, indent=1) + "\n"


def read(path: Path) -> dict[str, Any]:
    """What a file of results says.

    Raises:
        FacError: it is none.
    """
    try:
        found: dict[str, Any] = json.loads(content(path, LOG))
        if found["benchmark"] != FORMAT or not isinstance(found["title"], str):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FacError(f"`{path}` is no file of results as `fac study` writes it: make it anew") from error
    return found
