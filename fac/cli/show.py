"""`fac show`: what a spec means, before anything is trained."""

from __future__ import annotations

import json
import os

import click

from fac import pipeline
from fac.diagnostics import FacError


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
@click.option("--after", metavar="PASS", help="Print the step function after a pass; `build` is before any.")
@click.option("--batch", type=click.IntRange(min=1), help="Samples per step. Default: that of the spec.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Edit the spec before it is read."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object that holds everything.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Draw a picture instead; the suffix says how: .svg, .png, .pdf, .dot (Graphviz) or .mmd (Mermaid).",
)
def show(
    spec: str,
    expand: bool,
    updates: bool,
    cost: bool,
    after: str | None,
    batch: int | None,
    overrides: tuple[str, ...],
    as_json: bool,
    output: str | None,
) -> None:
    """Show the layers of a spec, where their errors come from, and what a step costs.

    With options, show what they ask for instead.
    """
    if output is not None:
        if expand or after or updates or cost or as_json or batch:
            raise click.UsageError("-o draws a picture: leave out other options")
        draw(spec, overrides, output)
        return
    from fac.build.costs import cost as count
    from fac.build.costs import optimised_step
    from fac.render import expand as long_form
    from fac.render import show as render
    from fac.render.lineage import Lineage

    if (expand or after) and sum((expand, updates, cost, after is not None, as_json)) > 1:
        raise click.UsageError("--expand and --after print one text each: leave out other options")
    program = pipeline.lowered(spec, overrides)
    if expand:
        click.echo(long_form.expanded(program), nl=False)
        return
    if after is not None:
        click.echo(render.step_after(program, after), nl=False)
        return
    counted = count(program, batch or program.spec.train.batch)
    lineage = Lineage(program, optimised_step(program))
    if as_json:
        click.echo(json.dumps(render.as_json(program, lineage, counted)))
        return
    texts = [render.updates(lineage)] if updates else []
    texts += [render.costs(counted)] if cost else []
    click.echo("\n".join(texts or [render.layers(program, lineage, counted)]), nl=False)


def draw(spec: str, overrides: tuple[str, ...], output: str) -> None:
    """Write the picture of a spec into a file.

    Raises:
        FacError: the suffix says nothing, the file cannot be written, or what draws it is not installed.
        SpecError: the spec has findings of severity `error`.
    """
    from fac.cli.output import write
    from fac.render import graph

    suffix = os.path.splitext(output)[1].removeprefix(".").lower()
    if suffix not in graph.FORMATS:
        known = ", ".join(f"`.{name}`" for name in graph.FORMATS)
        raise FacError(
            f"`{output}` does not say which kind of picture it is: end the name with one of {known}"
        )
    write(output, graph.render(pipeline.lowered(spec, overrides), suffix))
    click.echo(f"drew `{output}`")


COMMAND = show
