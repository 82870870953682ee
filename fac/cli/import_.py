"""`fac import`: a network of another framework as a spec and its weights, proved equal before they are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fac.cli.backends import not_empty
from fac.cli.output import say, tell
from fac.cli.paths import PATH
from fac.diagnostics import FacError

if TYPE_CHECKING:
    from fac.importing import Imported

SPEC, WEIGHTS = "spec.fac.yaml", "weights.safetensors"
SHAPE = re.compile(r"[1-9][0-9]*(x[1-9][0-9]*)*", re.ASCII)


@click.command("import")
@click.argument("framework", type=click.Choice(("torch",)))
@click.argument("callable", metavar="PKG.MODULE:CALLABLE")
@click.option("--input", "shape", required=True, metavar="SHAPE", help="Of one sample, such as 3x224x224.")
@click.option(
    "--classes",
    type=click.IntRange(1),
    help="The input holds whole numbers from 0 to one less, such as those of words.",
)
@click.option(
    "--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="For the callable, as YAML; repeatable."
)
@click.option("--name", callback=not_empty, help="Of the spec. Default: that of the callable.")
@click.option("-o", "--output", type=PATH, required=True, help="Folder for the spec and its weights.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.pass_context
def COMMAND(
    context: click.Context,
    framework: str,
    callable: str,
    shape: str,
    classes: int | None,
    arguments: tuple[str, ...],
    name: str | None,
    output: Path,
    force: bool,
) -> None:
    """Write the network that a callable makes as a spec and a file of its weights.

    The code of the package that CALLABLE names is run, as it is found from the current folder. What comes of it, a
    `torch.nn.Module`, is traced in training and in evaluation. Layers are called as its modules are, so that arrays
    keep their names. Nothing is written unless outputs, averages and all gradients agree in float64.
    """
    if not SHAPE.fullmatch(shape):
        raise click.UsageError(f"`--input {shape}` is no shape of a sample, such as 3x224x224 or 64")
    _require_free(output, force)
    from fac.importing import ListedError, NotImportedError, imported
    from fac.importing.loading import made

    name = name or callable.rpartition(":")[2].rpartition(".")[2]
    sizes = tuple(map(int, shape.split("x")))
    try:
        module = made(callable, dict(map(_argument, arguments)))
        found = imported(module, sizes, classes=classes, name=name, framework=framework)
    except ListedError as error:
        tell(error.message)
        for line in error.lines:
            say(f"  {line}", err=True)
        context.exit(1 if isinstance(error, NotImportedError) else 2)
    layers = _written(found, output)
    _tell(found, layers, output)


def _argument(text: str) -> tuple[str, Any]:
    from fac.source.plain import load

    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise click.UsageError(f"`--arg {text}` is not of the form `name=value`, such as `classes=10`")
    found, walk = load(value)
    if walk.diagnostics:
        raise FacError(f"`--arg {text}`: {walk.diagnostics[0].message}")
    return name, found


def _require_free(output: Path, force: bool) -> None:
    """Refuse to overwrite a spec that somebody may have edited."""
    from fac.opening import there

    for file in (output / SPEC, output / WEIGHTS):
        if there(file) and not force:
            raise FacError(f"`{file}` exists: `--force` overwrites it")


def _written(found: Imported, output: Path) -> int:
    """How many layers are written, those in blocks counted one by one."""
    import numpy as np

    from fac.backend import STEP, to_bytes, write_files
    from fac.pipeline import compiled, lowered
    from fac.render.yaml import dump

    program = lowered(found.spec)
    about = compiled(program).about
    state = {**found.state, STEP: np.array(0, np.int64)}
    write_files(output, {SPEC: dump(found.spec), WEIGHTS: to_bytes(state, about)})
    return len(program.nodes)


def _tell(found: Imported, layers: int, output: Path) -> None:
    numbers = sum(array.size for array in found.state.values())
    say(f"`{found.spec['name']}`: {layers} layers, {numbers:,} numbers of state")
    for file in (SPEC, WEIGHTS):
        say(f"  {output / file}")
    proof = found.proof
    say(f"in float64, network against module on {proof.samples} random samples, with nothing dropped:")
    for part, deviation in proof.parts.items():
        say(f"  {part:<11} differ by up to {deviation.largest:.1e} where they reach {deviation.reach:.3g}")
    say(f"{proof.parameters} parameters have the gradients that autograd gives them")
