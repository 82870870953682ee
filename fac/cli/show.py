"""`fac show`: what a spec means, before anything is trained."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from fac import pipeline
from fac.cli.backends import not_empty
from fac.cli.output import echo, pass_on, say
from fac.cli.passes import disabling
from fac.diagnostics import FacError
from fac.render.json_text import json_text
from fac.render.kinds import STDOUT, picture_kind

if TYPE_CHECKING:
    from fac.backend import Backend
    from fac.build.costs import Taken
    from fac.program.program import Program


@click.command("show", short_help="Show layers, routes, updates and cost of a spec.")
@click.argument("spec", type=click.Path(allow_dash=True))
@click.option(
    "--expand", is_flag=True, help="Print the long form of the spec: short-hands as routes, in YAML."
)
@click.option(
    "--updates", is_flag=True, help="For every parameter, the operators that its update comes from."
)
@click.option(
    "--cost", is_flag=True, help="Multiply-adds, bytes, feedback words and memory, beside backprop."
)
@click.option("--all", "every", is_flag=True, help="Every layer by itself: blocks and equal copies unfolded.")
@click.option(
    "--after", metavar="PASS", help="Print the step after a pass, see docs/passes.md; `build` is before any."
)
@disabling
@click.option("--batch", type=click.IntRange(min=1), help="Samples per step. Default: that of the spec.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Edit the spec before it is read."
)
@click.option(
    "--backend",
    "on",
    metavar="NAME",
    multiple=True,
    help="With --after or --disable-pass: whose passes may be named, beside those of the core. With --cost: the memory "
    "of a process that trains on it; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object that holds everything.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    callback=not_empty,
    help="Draw a picture instead; the suffix says how: .svg, .png, .pdf, .dot (Graphviz) or .mmd (Mermaid). "
    "`-` is standard output.",
)
@click.option(
    "--format", "kind", metavar="KIND", help="Of the picture: svg, png, pdf, dot or mmd. Default: the suffix."
)
@click.option("--bare", is_flag=True, help="The picture without title, legend and ground, for a paper.")
@click.option("--light", is_flag=True, help="SVG that stays light where the reader's setting is dark.")
def show(
    spec: str,
    expand: bool,
    updates: bool,
    cost: bool,
    every: bool,
    after: str | None,
    disable: tuple[str, ...],
    batch: int | None,
    overrides: tuple[str, ...],
    on: tuple[str, ...],
    as_json: bool,
    output: str | None,
    kind: str | None,
    bare: bool,
    light: bool,
) -> None:
    """Show the layers of a spec, where their errors come from, and what a step costs; or what is solved for.

    With options, show what they ask for instead.
    """
    if output is not None:
        if expand or after or updates or cost or as_json or batch or disable or on:
            raise click.UsageError("-o draws a picture: leave out other options")
        draw(spec, overrides, output, kind, bare=bare, light=light)
        return
    if kind is not None or bare or light:
        raise click.UsageError("--format, --bare and --light are for pictures: add -o FILE")
    if on and not (cost or as_json or after or disable):
        raise click.UsageError(
            "--backend says whose passes are meant, or on what memory is predicted: add --cost, or "
            "add --after PASS or --disable-pass NAME"
        )
    if len(on) > 1 and (after or disable):
        raise click.UsageError("passes are those of one backend: name one with --backend")
    from fac.build.costs import cost as count
    from fac.build.disabling import without
    from fac.render import expand as long_form
    from fac.render import facts, solving
    from fac.render import show as render
    from fac.render.blocks import Tree
    from fac.render.lineage import Lineage

    if (expand or after) and sum((expand, updates, cost, after is not None, as_json)) > 1:
        raise click.UsageError("--expand and --after print one text each: leave out other options")
    if after is not None and after in disable:
        raise click.UsageError(f"there is no step after `{after}`, which --disable-pass leaves out")
    chosen = pipeline.find_backend(on[0]) if on and (after or disable) else None
    program = without(pipeline.lowered(spec, overrides), disable, chosen)
    if expand:
        pass_on(long_form.expanded(program, blocks=not every))
        return
    if program.spec.solve is not None:
        asked = {
            "--updates": updates,
            "--cost": cost,
            "--after": after is not None,
            "--batch": batch is not None,
        }
        for option in (option for option, given in asked.items() if given):
            raise FacError(f"`{program.spec.name}` is solved, and has no step for `{option}` to show")
        echo(json_text(solving.as_json(program)) if as_json else solving.layers(program), nl=as_json)
        return
    if after is not None:
        echo(_after(program, after, chosen), nl=False)
        return
    tree = Tree(program) if program.blocks and not (every or as_json) else None
    lineage = Lineage(program, tree.landmarks if tree else frozenset())
    texts = [render.updates(lineage, tree)] if updates else []
    if cost or as_json or not texts:
        counted = count(program, batch or program.spec.train.batch, built=lineage.built)
        # of a backend whose passes are meant nobody may have asked for its memory
        asked_for = on if cost or (as_json and chosen is None) else ()
        taken = tuple(predicted(program, name, counted.batch) for name in dict.fromkeys(asked_for))
        if as_json:
            echo(json_text(facts.as_json(program, lineage, counted, taken)))
            return
        texts += [render.costs(counted, tree, taken)] if cost else []
        texts = texts or [render.layers(program, lineage, counted, tree)]
    echo("\n".join(texts), nl=False)


def predicted(program: Program, name: str, batch: int) -> Taken:
    """What a process takes that trains on a backend, in the precision in which it does if nobody says another.

    Raises:
        FacError: there is no such backend, it cannot run the spec, or it predicts no memory.
    """
    from fac.build.costs import Taken

    backend = pipeline.find_backend(name)
    found = pipeline.emit(program, backend).peak_bytes(batch)
    if found is None:
        raise FacError(f"backend `{name}` does not say what memory it takes: leave out `--backend {name}`")
    return Taken(name, pipeline.precision_of(program, backend), found)


def _after(program: Program, name: str, backend: Backend | None) -> str:
    """The step after a pass: of the core in step IR, of a backend in what it makes of it without those behind.

    Raises:
        FacError: there is no such pass.
    """
    from dataclasses import replace

    from fac.build.after import behind, is_core, step_after

    if is_core(name) or backend is None:
        return step_after(program, name)
    disabled = program.disabled.union(behind(name, backend))
    return pipeline.emit(replace(program, disabled=disabled), backend).listing()


def draw(
    spec: str, overrides: tuple[str, ...], output: str, kind: str | None, *, bare: bool, light: bool
) -> None:
    """Write the picture of a spec into a file, or to standard output.

    A spec with errors is drawn, too: that is when a picture is wanted most. The errors are told, and the exit
    status is 1.

    Raises:
        FacError: nothing says which kind of picture, the file cannot be written, or what draws it is not installed.
        SpecError: the text is no spec: there is nothing to draw.
    """
    from fac import source
    from fac.checks import run_checks
    from fac.cli.output import is_spec, write
    from fac.diagnostics import Severity
    from fac.render import graph
    from fac.render.findings.full import full

    kind = picture_kind(output, kind, graph.FORMATS)
    if output != STDOUT and is_spec(output, (spec,)):
        raise FacError(f"a picture would be written over `{output}`, which is a spec")
    document = source.override(source.read(spec), overrides)
    program = pipeline.resolved(pipeline.load(document), document)
    errors = tuple(d for d in run_checks(program) if d.rule.severity is Severity.ERROR)
    picture = graph.render(program, kind, bare=bare, light=light)
    if errors:
        echo(full(document, errors), err=True)
    if output == STDOUT:
        pass_on(picture)
    else:
        write(output, picture)
        say(f"drew `{output}`{', of a spec with errors' * bool(errors)}")
    if errors:
        sys.exit(1)


COMMAND = show
