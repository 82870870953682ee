"""`fac data`: what a spec trains on, as files that any program reads."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fac.cli.output import echo, say
from fac.cli.paths import PATH
from fac.diagnostics import FacError
from fac.render.json_text import json_text

if TYPE_CHECKING:
    from fac.backend import Precision
    from fac.program.program import Program
    from fac.training.dataset import Dataset, Split

FILES = ("train.npz", "test.npz")
MARK = b"written by fac data"
"""The comment of the archives, by which a file is known as one that may be replaced."""


@click.command("data")
@click.argument("spec")
@click.option("-o", "--output", type=PATH, required=True, help="Folder, made if need be.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the spec; repeatable.")
@click.option(
    "--precision",
    type=click.Choice(("float32", "float64")),
    default="float32",
    show_default=True,
    help="Of x and of targets: that of the training which they are for.",
)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def data_(spec: str, output: Path, overrides: tuple[str, ...], precision: Precision, as_json: bool) -> None:
    """Write what SPEC trains on to a folder: `train.npz` and `test.npz`, each with all that the network is fed with.

    That is `x` and `y`, if the spec gives its inputs no names. The trainer sees the same numbers in that precision. The
    `run.py` of `fac compile --backend onnx` reads these files, and so does a spec with
    `data: {source: arrays, train: A.npz, test: B.npz}`.
    """
    from fac import source
    from fac.pipeline import lowered
    from fac.writing import sweep

    document = source.override(source.read(spec), overrides)
    program = lowered(document)
    sweep(output)
    for name in FILES:
        require_replaceable(output / name)
    base = Path() if spec == "-" else Path(spec).parent
    dataset = fitted_data(program, document.name, base, precision)
    splits = dict(zip(FILES, (dataset.train, dataset.test), strict=True))
    sizes = write(output, splits)
    rows: dict[str, Any] = {
        name: {"bytes": sizes[name], "arrays": described(split)} for name, split in splits.items()
    }
    if as_json:
        found = {"spec": program.spec.name, "source": dataset.name, "directory": str(output), "files": rows}
        echo(json_text(found))
        return
    say(f"`{dataset.name}` as `{program.spec.name}` reads it in `{output}`:")
    for name, row in rows.items():
        kept = (f"{key} {list(of['shape'])} {of['dtype']}" for key, of in row["arrays"].items())
        arrays = ", ".join(kept)
        say(f" {row['bytes']:>12,} bytes  {name:<9}  {arrays}")


def described(split: Split) -> dict[str, Any]:
    """Shape and type of each array."""
    return {name: {"shape": a.shape, "dtype": str(a.dtype)} for name, a in split.arrays.items()}


def require_replaceable(path: Path) -> None:
    """Refuse to replace what this command did not write, such as the arrays that a spec names.

    Raises:
        FacError: there is such a file, or the folder is none.
    """
    from fac.opening import DATA, opened, there
    from fac.training.data.npz import stored

    if there(path.parent) and not os.path.isdir(path.parent):
        raise FacError(f"`{path.parent}` is a file: give a folder to `-o`")
    if not there(path):
        return
    try:
        with stored(opened(path, DATA, within=path.parent), f"`{path}`") as found:
            ours = found.archive.comment == MARK
    except FacError:
        ours = False
    if not ours:
        raise FacError(f"`{path}` is there and was not written by `fac data`: give another folder to `-o`")


def fitted_data(program: Program, name: str, base: Path, precision: Precision) -> Dataset:
    """The data of a spec, as the trainer sees them.

    Args:
        program: without errors.
        name: of the spec's file.
        base: the folder from which relative paths in `data:` start.
        precision: of the floats.

    Raises:
        FacError: there are none, they cannot be read, or they do not fit the network.
    """
    from fac.cli.progress import logged
    from fac.program.feeds import feeds
    from fac.training import data
    from fac.training.fitting import fitted

    with logged():
        dataset = data.load(data.declared(program.spec.data, name), base, precision)
    return fitted(dataset, feeds(program), precision)


def write(folder: Path, splits: Mapping[str, Split]) -> dict[str, int]:
    """Archives of arrays as `numpy.savez` writes them, with our mark, all of them or none; returns their bytes.

    Raises:
        FacError: one cannot be written, or another program has put a file in its place meanwhile.
    """
    from numpy.lib.format import write_array

    from fac.writing import staged, unwritable

    with staged(folder) as place:
        for name, split in splits.items():
            try:
                with zipfile.ZipFile(place / name, "w") as archive:
                    archive.comment = MARK
                    for key, array in split.arrays.items():
                        with archive.open(f"{key}.npy", "w", force_zip64=True) as part:
                            write_array(part, array, allow_pickle=False)
            except OSError as error:
                raise unwritable(folder / name, error) from error
        for name in splits:
            require_replaceable(folder / name)
        return {name: (place / name).stat().st_size for name in splits}


COMMAND = data_
