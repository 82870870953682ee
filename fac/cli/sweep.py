"""`fac sweep`: settings are searched for on validation data, as many trials for each rule; the best are compared."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from fac.cli.backends import not_empty
from fac.cli.compare import listed, watching
from fac.cli.output import echo, say
from fac.cli.passes import disabling
from fac.cli.paths import PATH
from fac.experiments.executors import EXECUTORS, workers
from fac.render.json_text import json_text
from fac.signals import ended_by

if TYPE_CHECKING:
    from pathlib import Path

    from fac.backend import Precision


def _over(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """`update.lr=log:0.001:0.1` as a path and its values.

    Raises:
        BadParameter: one is no such pair, or names a path again.
    """
    found: dict[str, str] = {}
    for text in given:
        path, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not path:
            raise click.BadParameter(f"`{text}` is no path and its values, such as `update.lr=log:0.001:0.1`")
        if path in found:
            raise click.BadParameter(f"`{path}` is named twice")
        found[path] = values
    return tuple(found.items())


@click.command(short_help="Search for settings of each rule on validation data, and compare the best.")
@click.argument("spec")
@click.option(
    "--over",
    multiple=True,
    required=True,
    callback=_over,
    metavar="PATH=VALUES",
    help="A setting and its values: `update.lr=log:0.001:0.1`, `lin:0:0.9`, `int:1:16`, or choices, `1,2,4,8`. "
    "Repeatable.",
)
@click.option(
    "--rules",
    multiple=True,
    callback=listed,
    metavar="RULE,...",
    help="Short-hands that replace the feedback, as of `fac compare`; `own`, the default, is what the spec itself "
    "declares. Repeatable.",
)
@click.option("--trials", type=click.IntRange(1), default=30, show_default=True, help="Of each rule.")
@click.option(
    "--sampler",
    type=click.Choice(("tpe", "random")),
    default="tpe",
    show_default=True,
    help="Draws settings: by what the trials before came to, or whatever they did.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="Of the sampler."
)
@click.option("--no-prune", is_flag=True, help="Make all epochs of a trial, also where others did better.")
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Trainings of each rule with its best settings.",
)
@click.option(
    "--contrast", "contrasts", multiple=True, metavar="ROW:ROW", help="As of `fac compare`, of the best."
)
@click.option("--no-audit", is_flag=True, help="As of `fac compare`, of the best.")
@click.option(
    "--out",
    type=PATH,
    help="A folder that keeps all of it; the same call goes on there. Default: `sweeps/NAME`.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="So many processes train at a time, of one thread each.",
)
@click.option(
    "--executor",
    type=click.Choice(tuple(EXECUTORS)),
    help="Whose processes train, as many at a time as there are CPUs, or as `--jobs` says: of this machine or of a Ray "
    "cluster, that which `RAY_ADDRESS` names or that runs here, or else one for this call.",
)
@click.option("--backend", callback=not_empty, help="Default: the first usable of torch, onnx, reference.")
@click.option("--device", callback=not_empty, help="Such as `cpu` or `cuda`. Default: the backend's first.")
@click.option("--precision", type=click.Choice(("float32", "float64")), help="Default: the backend's own.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the spec; repeatable.")
@disabling
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
@click.pass_context
def sweep(
    context: click.Context,
    spec: str,
    over: tuple[tuple[str, str], ...],
    rules: tuple[str, ...],
    trials: int,
    sampler: str,
    seed: int,
    no_prune: bool,
    seeds: int,
    contrasts: tuple[str, ...],
    no_audit: bool,
    out: Path | None,
    jobs: int | None,
    executor: str | None,
    backend: str | None,
    device: str | None,
    precision: Precision | None,
    overrides: tuple[str, ...],
    disable: tuple[str, ...],
    as_json: bool,
) -> None:
    """Search for settings of SPEC on validation data, with as many trials for each rule, and compare the best.

    A trial is a training with the seed of the spec. The best settings of each rule are trained anew, with other
    seeds, and tested once: a comparison, as `fac compare` makes it, in the folder `best`.

    A trial that diverges is one that came to nothing. After Ctrl-C the same call goes on.
    """
    from fac.experiments.job import Where, document_of
    from fac.experiments.sweeps.planning import SweepDesign
    from fac.experiments.sweeps.sweeping import swept

    document = document_of(spec, overrides)
    design = SweepDesign(
        dict(over),
        rules,
        trials,
        sampler,
        seed,
        prune=not no_prune,
        seeds=seeds,
        contrasts=contrasts,
        audit=not no_audit,
    )
    where = Where(backend, device, precision, disable)
    found = swept(
        document,
        design,
        where,
        out=out or _default(document.data),
        workers=workers(executor, jobs),
        watch=watching(),
    )
    echo(json_text(found.flat()) if as_json else found.table())
    failed = any(course.failures for course in found.courses)
    compared = found.comparison
    if not failed and (compared is None or compared.made < compared.meant):
        say("the same call goes on from here", err=True)
        context.exit(ended_by())
    runs = [run for row in compared.rows for run in row.runs] if compared else []
    if failed or any(run.problem and not run.diverged for run in runs):
        context.exit(2)


def _default(data: object) -> Path:
    """A folder for a spec that is called so."""
    from pathlib import Path

    name = data.get("name") if isinstance(data, dict) else None
    return Path("sweeps") / (re.sub(r"[^A-Za-z0-9.-]+", "-", str(name or "")).strip("-.")[:40] or "spec")


COMMAND = sweep
