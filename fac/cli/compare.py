"""`fac compare`: variants of a network on the same data order and from the same initial forward weights."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from fac.cli.backends import not_empty
from fac.cli.output import echo, say
from fac.cli.passes import disabling
from fac.cli.paths import PATH
from fac.diagnostics import FacError
from fac.experiments.executors import EXECUTORS, workers
from fac.render.json_text import json_text
from fac.signals import ended_by, on_signals

if TYPE_CHECKING:
    from pathlib import Path

    from fac.backend import Precision
    from fac.experiments.declared import Declared
    from fac.experiments.rows import Run
    from fac.experiments.trainer import Watch


def listed(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """`--rules bp,fa --rules dfa` as three; what is given twice counts once, and that is said."""
    names = [name.strip() for name in ",".join(given).split(",")] if given else []
    for name, times in Counter(names).items():
        if times > 1:
            say(f"`{name}` stands {times} times in `{option.opts[0]}`: it is trained once", err=True)
    return tuple(dict.fromkeys(names))


def _ranks(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[int, ...]:
    """Those of `--rank`.

    Raises:
        BadParameter: one is no positive integer.
    """
    kind: Any = click.IntRange(1)
    return tuple(
        dict.fromkeys(kind.convert(rank, option, context) for rank in listed(context, option, given))
    )


def _rates(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[tuple[str, float], ...]:
    """`bp=0.1` as a name and a number; labels may have equals signs of their own.

    Raises:
        BadParameter: one is no such pair.
    """
    kind: Any = click.FLOAT
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if not name:
            raise click.BadParameter(f"`{text}` is no rule and its learning rate, such as `bp=0.1`")
        rate, name = kind.convert(number, option, context), name.strip()
        if not isfinite(rate):
            raise click.BadParameter(f"`{text}`: a learning rate is a finite number")
        if name in found:
            raise click.BadParameter(
                f"`{name}` stands there twice, with {found[name]:g} and {rate:g}: leave one out"
            )
        found[name] = rate
    return tuple(found.items())


@click.command()
@click.argument("specs", nargs=-1, required=True)
@click.option(
    "--rules",
    multiple=True,
    callback=listed,
    metavar="RULE,...",
    help="Short-hands that replace the feedback, such as `bp,fa,ldfa`, with their default settings or with those "
    "behind the name, `fa scale=2`; `own` is what a spec itself declares. Repeatable.",
)
@click.option(
    "--rank",
    "ranks",
    multiple=True,
    callback=_ranks,
    metavar="RANK,...",
    help="A row for each, of the low-rank rules. Default: the spec's own. Repeatable.",
)
@click.option("--seeds", type=click.IntRange(1), help="Trainings per variant. Default: 3.")
@click.option(
    "--contrast",
    "contrasts",
    multiple=True,
    metavar="ROW:ROW",
    help="Two rows, such as `ldfa:bp`, whose paired difference is wanted, with its interval. Repeatable.",
)
@click.option(
    "--rate",
    "rates",
    multiple=True,
    callback=_rates,
    metavar="RULE=LR",
    help="The learning rate of a rule, or of a row. Repeatable.",
)
@click.option(
    "--no-audit",
    is_flag=True,
    help="Train no arms `shallow` and `frozen` beside the rules, and do not look at trained networks.",
)
@click.option(
    "--out",
    type=PATH,
    help="A folder that keeps all of it, with tables as CSV, Markdown and LaTeX; the same call goes on there.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="So many processes train at a time, of one thread each; needs `--out`.",
)
@click.option(
    "--executor",
    type=click.Choice(tuple(EXECUTORS)),
    help="Whose processes train, as many at a time as there are CPUs, or as `--jobs` says: of this machine or of a Ray "
    "cluster, that which `RAY_ADDRESS` names or that runs here, or else one for this call; needs `--out`.",
)
@click.option("--backend", callback=not_empty, help="Default: the first usable of torch, onnx, reference.")
@click.option("--device", callback=not_empty, help="Such as `cpu` or `cuda`. Default: the backend's first.")
@click.option("--precision", type=click.Choice(("float32", "float64")), help="Default: the backend's own.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change every spec; repeatable.")
@disabling
@click.option(
    "--json", "as_json", is_flag=True, help="End with one JSON object, which holds every epoch of each run."
)
@click.pass_context
def compare(
    context: click.Context,
    specs: tuple[str, ...],
    rules: tuple[str, ...],
    ranks: tuple[int, ...],
    seeds: int | None,
    contrasts: tuple[str, ...],
    rates: tuple[tuple[str, float], ...],
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
    """Train variants on equal terms and print mean and standard deviation.

    Several SPECS are compared as they are. One is set beside backpropagation, feedback alignment and other rules
    on the same network; or it is a comparison file, which declares all of it. Seeds count up from that of the first
    spec.

    A run that diverges or fails, or Ctrl-C, does not lose the others: they are printed.

    On a busy machine small networks train fastest with OMP_NUM_THREADS=1.
    """
    apart = workers(executor, jobs)
    if apart is not None and out is None:
        raise click.UsageError(
            f"`--{'jobs' if executor is None else 'executor'}` trains in several processes, which needs a folder that "
            "keeps the runs: add `--out`"
        )
    from fac.experiments.comparing import Design, compared
    from fac.experiments.job import Where, document_of

    declared = _declared(specs, overrides)
    if declared is None:
        documents = tuple(document_of(spec, overrides) for spec in specs)
        design = Design(
            rules, ranks, 3 if seeds is None else seeds, contrasts, dict(rates), audit=not no_audit
        )
    elif rules or ranks or seeds is not None or contrasts or rates or no_audit:
        raise click.UsageError(
            f"`{specs[0]}` declares the comparison, so that it can be read before: change its rules, ranks, seeds, "
            "contrasts, rates and audit there"
        )
    else:
        documents, design = declared.documents, declared.design
    where = Where(backend, device, precision, disable)
    found = compared(
        documents, design, where, out=out, workers=apart, probes=as_json or out is not None, watch=watching()
    )
    if as_json:
        echo(json_text(found.flat()))
    else:
        echo(found.table())
    if found.made < found.meant:
        if out is not None:
            say("the same call goes on from here", err=True)
        context.exit(ended_by())
    if any(run.problem and not run.diverged for row in found.rows for run in row.runs):
        context.exit(2)


def _declared(specs: tuple[str, ...], overrides: tuple[str, ...]) -> Declared | None:
    """What the one argument declares, if it is a comparison file.

    Raises:
        FacError: it is one of several.
    """
    from fac.experiments.declared import declared

    for spec in specs:
        # a pipe can be read once, and is a spec
        found = declared(spec, overrides) if os.path.isfile(spec) else None
        if found is not None and len(specs) > 1:
            raise FacError(f"`{spec}` declares a comparison, and names its specs itself: give it alone")
        if found is not None:
            return found
    return None


def watching() -> Watch:
    """One that shows each training, and what became of it, on standard error."""
    from fac.cli.progress import logged, shown
    from fac.experiments.trainer import Heard, Watch

    told: set[str] = set()

    class Shown(Watch):
        @contextmanager
        def training(self, label: str) -> Iterator[Heard]:
            with shown(err=True, label=label, told=told) as listener, on_signals() as stop:
                yield listener, stop

        def loading(self) -> AbstractContextManager[None]:
            return logged()

        def ended(self, number: int, of: int, label: str, run: Run) -> None:
            say(f"{number}/{of}  {label}  {_result(run)}", err=True)

        def tried(self, number: int, of: int, label: str, result: str) -> None:
            say(f"{number}/{of}  {label}  {result}", err=True)

    return Shown()


def _result(run: Run) -> str:
    from fac.experiments.rows import MARK

    if run.report is None:
        return f"{'diverged' if run.diverged else 'failed'}: {run.problem}"
    accuracy = run.report.test_accuracy
    result = f"test loss {run.report.test_loss:.4g}" if accuracy is None else f"acc {100 * accuracy:.1f} %"
    if run.report.stopped:
        result += f", {run.report.stopped.partition(':')[0]}"
    # What they warn of stands below the table.
    return f"{result}  ({run.report.seconds:.1f} s){f' {MARK}' * bool(run.report.concerns)}"


COMMAND = compare
