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
@click.argument("framework", type=click.Choice(("torch", "onnx")))
@click.argument("source", metavar="SOURCE")
@click.option(
    "--input",
    "shape",
    metavar="SHAPE",
    help="Of one sample, such as 3x224x224; a file mostly says it itself.",
)
@click.option(
    "--classes",
    type=click.IntRange(1),
    help="The input holds whole numbers from 0 to one less, such as those of words.",
)
@click.option(
    "--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="For the callable, as YAML; repeatable."
)
@click.option("--name", callback=not_empty, help="Of the spec. Default: that of the callable or the file.")
@click.option("-o", "--output", type=PATH, help="Folder for the spec and its weights. Default: the name.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.pass_context
def COMMAND(
    context: click.Context,
    framework: str,
    source: str,
    shape: str | None,
    classes: int | None,
    arguments: tuple[str, ...],
    name: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """Write a network of another framework as a spec and a file of its weights.

    `fac import torch PKG.MODULE:CALLABLE --input SHAPE`: the code of the package is run, as it is found from the
    current folder. What comes of it, a `torch.nn.Module`, is traced in training and in evaluation. Layers are called as
    its modules are, so that arrays keep their names. Nothing is written unless outputs, averages and all gradients
    agree in float64.

    `fac import onnx MODEL.onnx`: the graph of a file, as exporters write it. Nothing is written unless outputs agree
    with those of onnxruntime.
    """
    if shape is not None and not SHAPE.fullmatch(shape):
        raise click.UsageError(f"`--input {shape}` is no shape of a sample, such as 3x224x224 or 64")
    sizes = tuple(map(int, shape.split("x"))) if shape else None
    name = name or _name(framework, source)
    output = output or Path(re.sub(r"[^\w.-]+", "-", name).strip("-.") or "imported")
    _require_free(output, force)
    from fac.importing import ListedError, NotImportedError
    from fac.importing.loading import frames

    try:
        found = _found(framework, source, sizes, classes, arguments, name)
    except ListedError as error:
        tell(error.message)
        for line in error.lines:
            say(f"  {line}", err=True)
        context.exit(1 if isinstance(error, NotImportedError) else 2)
    except FacError as error:
        lines = frames(error.__cause__) if framework == "torch" else []  # a file has no code of the user's
        if not lines:
            raise
        tell(str(error))
        for line in lines:
            say(f"  {line}", err=True)
        context.exit(2)
    layers = _written(found, output)
    _tell(found, layers, output)


def _name(framework: str, source: str) -> str:
    """Of the spec: that of the callable, or of the file."""
    return Path(source).stem if framework == "onnx" else source.rpartition(":")[2].rpartition(".")[2]


def _found(
    framework: str,
    source: str,
    sizes: tuple[int, ...] | None,
    classes: int | None,
    arguments: tuple[str, ...],
    name: str,
) -> Imported:
    from fac.importing import from_onnx, from_torch

    if framework == "onnx":
        if arguments:
            raise click.UsageError("`--arg` is for a callable, and a file takes no arguments")
        return from_onnx(source, sizes, classes=classes, name=name)
    if sizes is None:
        raise click.UsageError("a module does not say what it reads: give `--input`, such as 3x224x224")
    from fac.importing.loading import made

    module = made(source, dict(map(_argument, arguments)))
    return from_torch(module, sizes, classes=classes, name=name)


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
    for note in found.notes:
        say(f"note: {note}")
    proof = found.proof
    sides = "network against module" if proof.gradients else "network in float64 against onnxruntime"
    say(f"in {proof.precision}, {sides} on {proof.samples} random samples, with nothing dropped:")
    for part, deviation in proof.parts.items():
        say(f"  {part:<11} differ by up to {deviation.largest:.1e} where they reach {deviation.reach:.3g}")
    if proof.gradients:
        say(f"{proof.parameters} parameters have the gradients that autograd gives them")
