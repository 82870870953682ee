"""A sweep: trials of each rule, and a comparison of the best of each, with other seeds and on test data."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fac.build.threads import allowed
from fac.diagnostics import FacError
from fac.experiments import contrasts, made_with, plan
from fac.experiments.comparing import compared, rows_of
from fac.experiments.executors.pool import make_apart
from fac.experiments.handed import without_data
from fac.experiments.job import ANYWHERE, Where
from fac.experiments.queued import make_here
from fac.experiments.rules import OWN
from fac.experiments.sealing import digest
from fac.experiments.sweeps.planning import Rows, SweepDesign, holding, planned
from fac.experiments.sweeps.resulting import BEST, Sweep, write_trials
from fac.experiments.sweeps.spaces import Point, assignments, corners
from fac.experiments.sweeps.trying import Goal
from fac.experiments.trainer import Trainer, Watch, row_of
from fac.experiments.variants import Variant
from fac.experiments.written import RESULTS
from fac.opening import there
from fac.pipeline import lowered
from fac.render.json_text import json_text
from fac.source import override

if TYPE_CHECKING:
    from fac.experiments.comparison import Comparison
    from fac.experiments.executors import Workers
    from fac.experiments.sweeps.trials import Course
    from fac.source import Document
    from fac.training.dataset import Dataset


def swept(
    document: Document,
    design: SweepDesign,
    where: Where = ANYWHERE,
    *,
    out: Path,
    workers: Workers | None = None,
    dataset: Dataset | None = None,
    watch: Watch | None = None,
) -> Sweep:
    """Search for the settings of each rule, and compare the rules with the best of them.

    Args:
        document: the spec.
        design: what is searched for.
        where: it runs.
        out: a folder that keeps all of it, or has kept a part of it: then that is not made again.
        workers: train in the place of this process.
        dataset: in the place of what the spec names.
        watch: hears how it goes.

    Raises:
        FacError: something cannot be trained or searched over, or there are no validation data, which is known before
            the first trial; or no trial came to an end with a number; or `out` is another sweep.
    """
    _require_optuna()
    if dataset is not None:
        document = without_data(document)
    seed = lowered(document).spec.train.seed
    # its luck is a part of what made a setting the best: the seeds of the result are others
    final = override(document, [f"train.seed={seed + 1}"])
    # names first: a framework takes seconds to import, and data longer to load
    rows = planned(document, design)
    arms = _require_contrasts(final, design, rows)
    trainer = Trainer(where, probes=False, audit=False, dataset=dataset, watch=watch)
    whole = trainer.settled(document)[0]
    if arms:
        # with settings of their own, as every rule: with those of a rule they would be as good as these let them be
        added = tuple(dict.fromkeys(arm.rule for arm in arms))
        design = replace(design, rules=(*(design.rules or (OWN,)), *added), arms=added)
    if arms or whole is not document:
        rows = planned(whole, design)
    starts = [row.at(next(corners(row.space))) for row in rows.rows]
    programs = [trainer.checked(variant, seed) for variant in starts]
    data = [trainer.dataset(v.document, p) for v, p in zip(starts, programs, strict=True)]
    if any(each.validation is None and each.held_out is None for each in data):
        remedy = (
            "add `validation: 0.1` to its `data:`, or `--set data.validation=0.1`"
            if dataset is None
            else 'hand some over, `{"train": ..., "validation": ..., "test": ...}`'
        )
        whose = f"`{document.name}` holds none out" if dataset is None else "there are none"
        raise FacError(f"a sweep chooses by validation data, and {whose}: {remedy}")
    goal = Goal("accuracy" if row_of(starts[0], programs[0]).classifies else "loss")
    judging = [
        path for path in design.over if goal.metric == "loss" and path.split(".")[0] in ("loss", "losses")
    ]
    if judging:
        raise FacError(
            f"`--over {judging[0]}` changes the loss by which trials are judged, so that the least of them would be no "
            "best: search over what the network does to lower it, or compare losses with `fac compare`"
        )
    trainer.device = trainer.device_of(starts[0], seed)
    meant: dict[str, Any] = {
        "goal": goal.name,
        **_said(design, rows),
        "specs": [plan.expanded(program) for program in programs],
        "plugins": plan.plugged(programs),
        "data": plan.digests(data),
        "backend": trainer.backend.name,
        "device": trainer.device,
        "precision": where.precision,
        **plan.without(where.disable),
        "threads": allowed() if workers is None else 1,
        "version": plan.version(),
        "optuna": version("optuna"),
    }
    meant = json.loads(json_text(meant))
    with holding(out, meant) as (here, versions), ExitStack() as stack:
        if workers is not None and not there(here / BEST / f"{RESULTS}.json"):
            stack.enter_context(workers.held())
        courses = _searched(here, trainer, rows, design, goal, seed, workers, digest(meant))
        write_trials(here, courses, goal, meant)
        made = (tried.versions for course in courses for tried in course.made.values())
        found = Sweep(here, goal, tuple(courses), (*rows.notes, *made_with.changed(versions, made, "trials")))
        if found.made < found.meant:
            return found
        return found.with_comparison(_final(final, design, rows, found, where, here, workers, dataset, watch))


def _searched(
    here: Path,
    trainer: Trainer,
    rows: Rows,
    design: SweepDesign,
    goal: Goal,
    seed: int,
    workers: Workers | None,
    meant: str,
) -> list[Course]:
    from fac.experiments.sweeps import trials
    from fac.experiments.sweeps.searching import Search, opened

    journal, storage = opened(here)
    courses = []
    for number, row in enumerate(rows.rows, 1):
        label = row.variant.label
        search = Search(
            journal,
            storage,
            label,
            goal.direction,
            row.space,
            row.points,
            row.trials,
            design.sampler,
            design.seed,
        )
        courses.append(trials.Course(row, search, here / trials.folder(number, label), goal, seed, meant))
    queue = trials.Trials(trainer, courses, prune=design.prune)
    left = sum(course.searched.trials - len(course.tried) for course in courses)
    if left and workers is None:
        make_here(trainer, queue)
    elif left and workers is not None:
        make_apart(trainer, queue, f"{left} trials", workers, here)
    return courses


def _final(
    document: Document,
    design: SweepDesign,
    rows: Rows,
    found: Sweep,
    where: Where,
    here: Path,
    workers: Workers | None,
    dataset: Dataset | None,
    watch: Watch | None,
) -> Comparison:
    settings = {label: assignments(point) for label, point in found.best.items()}
    if not settings:
        raise FacError(
            f"no trial came to its end with a number, see `{here}/trials.csv`: search over smaller values"
        )
    left_out = {row.variant.label for row in rows.rows} - {*settings}
    pairs = [text for text in design.contrasts if not left_out & {name.strip() for name in text.split(":")}]
    of = replace(design, contrasts=pairs).compared(settings, _budget(design, found), rows.rank)
    return compared([document], of, where, out=here / BEST, workers=workers, dataset=dataset, watch=watch)


def _budget(design: SweepDesign, found: Sweep) -> str:
    pruned = ", pruned by the median" * design.prune
    rows = [course.searched for course in found.courses]
    drawn = f"{design.trials} trials ({design.sampler}{pruned})"
    if all(row.points is None for row in rows):
        many = f"{design.trials} trials for each rule ({design.sampler}{pruned})"
    else:
        many = "; ".join(
            f"{row.variant.label}: {drawn if row.points is None else f'each setting, {row.trials} in all{pruned}'}"
            for row in rows
        )
    over = ", ".join(f"{path}={text}" for path, text in design.over.items())
    told = f"{many} over {over}, by {found.goal.name.replace('_', ' ')} of one seed that is not among these"
    tuned = {row.variant.label: len(row.space) for row in rows if row.points is None}
    if len({*tuned.values()}) > 1:
        numbers = ", ".join(f"{label} {count}" for label, count in tuned.items())
        told += f"; rules tune unlike numbers of settings with as many trials: {numbers}"
    return told


def _said(design: SweepDesign, rows: Rows) -> dict[str, Any]:
    """What the design says, as plain data."""
    spaces = {row.variant.label: [dimension.path for dimension in row.space] for row in rows.rows}
    return asdict(design) | {"rules": [*spaces], "spaces": spaces}


def _require_contrasts(document: Document, design: SweepDesign, rows: Rows) -> list[Variant]:
    """Refuse before the first trial what the comparison would refuse after the last one; give the arms that it adds."""
    first: dict[str, Point] = {row.variant.label: next(corners(row.space)) for row in rows.rows}
    settings = {label: assignments(point) for label, point in first.items()}
    named, arms = rows_of([document], design.compared(settings, "", rows.rank))
    contrasts.declared(design.contrasts, [variant.label for variant in (*named, *arms)], design.seeds)
    return arms


def _require_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise FacError('a sweep needs Optuna: `pip install "fac-compiler[sweep]"`') from error
