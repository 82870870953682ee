"""`fac predict`: what a trained network says of the samples of a file."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fac.cli.backends import not_empty
from fac.cli.output import say, write
from fac.cli.paths import PATH
from fac.cli.runs import network
from fac.diagnostics import FacError
from fac.escaping import cell

if TYPE_CHECKING:
    from fac.backend import Array

ENDINGS = (".npz", ".csv")
COLUMNS = 1000
"""Outputs of a sample up to which each is a column of a table."""


@click.command()
@click.argument("run", type=PATH)
@click.argument("file", type=PATH)
@click.option(
    "-o", "--output", type=PATH, required=True, help="The file: `.npz` for arrays, `.csv` for a table."
)
@click.option("--backend", callback=not_empty, help="Default: the first usable of torch, onnx, reference.")
@click.option("--device", callback=not_empty, help="Such as `cpu` or `cuda`. Default: the backend's first.")
@click.option("--precision", type=click.Choice(("float32", "float64")), help="Default: that of the training.")
def predict(
    run: Path, file: Path, output: Path, backend: str | None, device: str | None, precision: Any
) -> None:
    """Write what the network of RUN says of each sample of FILE.

    FILE holds arrays by the names of what it reads, such as `x` (`.npz`, `.npy`, `.safetensors`), or is what its
    training read: a table (`.csv`, `.parquet`), an image, or a folder of images.

    For each sample: `output` (in a `.csv` a column for each class, `output_NAME`, before the softmax), and of a network
    that classifies `label`, the class with the largest output, `class`, its name if the data of the training have names
    for them, and `probability` of that. Before these stands the `name` of the file of each image, or the `line` of a
    table (`row` of a `.parquet`). In a `.csv`, text that a spreadsheet would take for a formula has an apostrophe
    before it.
    """
    from fac.experiments.job import Where
    from fac.experiments.samples import of_file
    from fac.opening import there
    from fac.training.prediction import predicted
    from fac.writing import require_writable

    if output.suffix not in ENDINGS:
        raise FacError(
            f"`{output}` is no file that can be written: give `-o` a name that ends in `.npz` or `.csv`"
        )
    if there(output) and there(file) and os.path.samefile(output, file):  # hard links, too
        raise FacError(f"`{output}` is the file with the samples: give another name to `-o`")
    require_writable(output)
    trained = network(run, Where(backend, device, precision))
    given = of_file(file, trained.program, trained.session.precision, trained.kept, targets=False)
    for remark in given.told.splitlines():
        say(remark, err=True)
    answers = predicted(trained.session, given.split, trained.program, trained.kept.classes)
    found = {**given.marks, **answers}
    write(
        str(output),
        _archive(found) if output.suffix == ".npz" else _table(found, output, trained.kept.classes),
    )
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in found.items())
    losses = trained.program.losses
    whose = f", of `{losses[0].of}`, which the first loss reads" if len(losses) > 1 else ""
    say(f"`{output}`: {shapes}{whose}{trained.checkpoint.whose}")


def _archive(found: dict[str, Array]) -> bytes:
    import numpy as np

    file = BytesIO()
    np.savez(file, **found)  # type: ignore[arg-type]  # numpy types names as its own options
    return file.getvalue()


def _table(found: dict[str, Array], output: Path, classes: Sequence[str]) -> str:
    """One line for each sample; numbers as Python writes them, which lose no digit.

    Outputs are called after `classes`, if these have names and each has its output.
    """
    flat = {name: array.reshape(len(array), -1) for name, array in found.items()}
    most = max(array.shape[1] for array in flat.values())
    if most > COLUMNS:
        raise FacError(
            f"`{output}` would have {most:,} columns for the outputs of a sample: an `.npz` holds arrays of any shape"
        )
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["sample"]
        + [
            name if array.ndim == 1 else f"{name}_{part}"
            for name, array in found.items()
            for part in (
                classes
                if name == "output" and array.shape[1:] == (len(classes),)
                else range(flat[name].shape[1])
            )
        ]
    )
    for sample, row in enumerate(zip(*(array.tolist() for array in flat.values()), strict=True)):
        table.writerow([sample, *(_cell(value) for part in row for value in part)])
    return text.getvalue()


def _cell(value: float | str) -> float | str:
    return cell(value) if isinstance(value, str) else value


COMMAND = predict
