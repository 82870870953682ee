"""`fac bench`: how long a training step takes beside others, and what bounds it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from fac.cli.output import echo, say, write
from fac.cli.paths import PATH, TEXT
from fac.diagnostics import FacError


@click.command(short_help="Time training steps beside eager torch and beside their floor.")
@click.argument("cases", nargs=-1, type=TEXT, metavar="[CASE]...")
@click.option("--all", "every", is_flag=True, help="All cases: hours, on a machine that does nothing else.")
@click.option("--list", "listed", is_flag=True, help="Say what the cases are, and time nothing.")
@click.option("--rules", type=TEXT, metavar="RULE,...", help="Default: all that the case has.")
@click.option("--rounds", type=click.IntRange(1), default=11, show_default=True, help="Each times all once.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of torch.")
@click.option(
    "--no-peers", is_flag=True, help="Leave out `torch.compile` and other packages; eager torch stays."
)
@click.option("--no-memory", is_flag=True, help="Start no process for each contender to see its peak.")
@click.option(
    "--out",
    type=PATH,
    metavar="FILE.json",
    help="Keep all seconds here, the page and its picture beside it. Other cases that it has stay; one that is timed "
    "again is replaced.",
)
@click.option(
    "--compare",
    nargs=2,
    type=PATH,
    metavar="OLD.json NEW.json",
    help="Time nothing: compare two such files. Exit status 1 if a ratio of fac is lower by more than 10 %.",
)
@click.pass_context
def bench(
    context: click.Context,
    cases: tuple[str, ...],
    every: bool,
    listed: bool,
    rules: str | None,
    rounds: int,
    threads: int,
    no_peers: bool,
    no_memory: bool,
    out: Path | None,
    compare: tuple[Path, Path] | None,
) -> None:
    """Time one training step of a network, by each rule of fac and by others.

    CASE is a network, such as `mlp-1024` (the default) or `vgg8`; `--list` says which there are. Its step is made by
    backpropagation in eager torch, under its default flags and under those that fac uses, by `torch.compile`, by fac
    with each rule, and by other packages that are installed. All of them, and the bare products of the step (its
    floor), take turns in rounds; what is printed are medians of ratios within the rounds.

    Who differs from the same step in float64 is not timed. Close other programs first, or ratios scatter. A spec of
    your own has no module of torch to be held against: `fac compare` says what its steps take by each rule.

    `fac bench --out bench.json`, later `fac bench --out now.json` and `fac bench --compare bench.json now.json` show
    whether anything became slower. On another kind of processor that is said and nothing fails.
    """
    from fac.bench.cases import CASES, QUICK

    if compare is not None:
        if cases or any(
            _given(context, name) for name in context.params.keys() - {"compare", "cases", "plugin"}
        ):
            raise click.UsageError("`--compare` takes two files, and times nothing: leave out all else")
        _compare(context, *compare)
        return
    if listed:
        if cases or any(
            _given(context, name) for name in context.params.keys() - {"listed", "cases", "plugin"}
        ):
            raise click.UsageError("`--list` says what the cases are, and times nothing: leave out all else")
        for name, entry in CASES.items():
            echo(f"{name:<12} {entry.says}")
        return
    unknown = [name for name in cases if name not in CASES]
    if unknown:
        raise click.BadParameter(
            f"no case is called `{unknown[0]}`; there are {', '.join(CASES)}", param_hint="'CASE'"
        )
    names = tuple(CASES) if every else cases or QUICK
    options = [*(["--rules", rules] if rules else []), "--rounds", str(rounds)]
    options += ["--no-peers"] * no_peers + ["--no-memory"] * no_memory
    _measure(names, rules, rounds, threads, not no_peers, not no_memory, out, options)


def _given(context: click.Context, name: str) -> bool:
    """Whether somebody wrote that option."""
    return context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def _compare(context: click.Context, before: Path, after: Path) -> None:
    from fac.bench.against import compared, text
    from fac.bench.results import read

    found = compared(read(before), read(after))
    echo(text(found), nl=False)
    for name in found.alone:
        say(f"{name} was timed in `{before}` alone", err=True)
    for told in found.lost:
        say(f"{told} (`{after}`)", err=True)
    for told in found.others:
        say(f"{told}: not compared", err=True)
    if found.alike and not found.rows and not found.lost:
        raise FacError("the two files have no contender of fac in common, so nothing was compared")
    if not found.alike:
        say(f"{', '.join(found.unlike)}: no ratio counts as fallen", err=True)
    if found.failed:
        context.exit(1)


def _measure(
    names: tuple[str, ...],
    rules: str | None,
    rounds: int,
    threads: int,
    peers: bool,
    memory: bool,
    out: Path | None,
    options: list[str],
) -> None:
    import os

    from fac.bench.cases import RULES
    from fac.bench.page import page
    from fac.bench.picture import drawn
    from fac.bench.results import Results, require_place, text
    from fac.studies.benchmarks.machine import machine

    wanted = RULES if rules is None else tuple(rule.strip() for rule in rules.split(","))
    unknown = [rule for rule in wanted if rule not in RULES]
    if unknown:
        raise click.BadParameter(
            f"no rule of a case is called `{unknown[0]}`; there are {', '.join(RULES)}",
            param_hint="'--rules'",
        )
    # before any library that computes is imported, each of which would begin as many threads as there are cores
    os.environ["OMP_NUM_THREADS"] = str(threads)
    made_on = machine(("fac-compiler", "torch", "numpy", "onnxruntime", "biotorch"))
    clock = "CPU time of the process" if threads == 1 else "time of the wall"
    results = Results(machine=made_on, threads=threads, clock=clock, cases={})
    if out is not None:
        results = require_place(out, results)
    try:
        from fac.bench.running import measured
    except ImportError as error:
        raise FacError(
            f'`fac bench` times steps of torch, which cannot be imported ({error}): pip install "fac-compiler[torch]"'
        ) from error
    for name in names:
        if name in results.cases:
            had = results.cases[name].rounds
            say(f"`{out}` has {name}, {had} rounds of it: they will be replaced by {rounds}", err=True)
        try:
            found = measured(
                name,
                wanted,
                rounds,
                threads,
                command=shlex.join(["fac", "bench", name, *options]),
                peers=peers,
                memory=memory,
                say=lambda told: say(told, err=True),
            )
        except KeyboardInterrupt:
            kept = "" if out is None else f"; `{out}` is as it was"
            say(f"no round of {name} is kept{kept}", err=True)
            raise
        results = results.model_copy(update={"cases": {**results.cases, name: found}})
        if out is None:
            continue
        write(str(out), text(results))  # first: all else is made of it
        picture = drawn(results)
        if picture is not None:
            write(str(out.with_suffix(".svg")), picture)
        write(
            str(out.with_suffix(".md")),
            page(results, "" if picture is None else out.with_suffix(".svg").name),
        )
    echo(page(results), nl=False)


COMMAND = bench
