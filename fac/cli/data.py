"""`fac data`: what a spec trains on, as a table and a picture, or as files that any program reads."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from fac.cli.output import echo, is_spec, say
from fac.cli.output import write as write_file
from fac.cli.paths import PATH, TEXT
from fac.diagnostics import FacError
from fac.render.json_text import json_text
from fac.render.kinds import STDOUT, picture_kind

if TYPE_CHECKING:
    from fac.backend import Precision
    from fac.training.dataset import Dataset, Split


@click.command("data")
@click.argument("spec")
@click.option("-o", "--output", type=PATH, help="Write the arrays to this folder, made if need be.")
@click.option("--picture", type=TEXT, metavar="FILE", help="Draw samples: .svg, .png or .pdf.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the spec; repeatable.")
@click.option(
    "--precision",
    type=click.Choice(("float32", "float64")),
    default="float32",
    show_default=True,
    help="Of x and of targets: that of the training which they are for.",
)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def data_(
    spec: str,
    output: Path | None,
    picture: str | None,
    overrides: tuple[str, ...],
    precision: Precision,
    as_json: bool,
) -> None:
    """Say what SPEC trains on: shapes, ranges, means, missing values and classes of each split, as its source has them.

    Of a table each column has its row, too. With `-o` the arrays are written to a folder instead: `train.npz` and
    `test.npz`, and `validation.npz` if samples are held out, each with all that the network is fed with: `x` and `y`,
    if the spec gives its inputs no names. The trainer sees the same numbers in that precision. The `run.py` of
    `fac compile --backend onnx` reads these files, and so does a spec with
    `data: {source: arrays, train: A.npz, test: B.npz}`.
    """
    from fac import source
    from fac.cli.progress import logged
    from fac.pipeline import lowered
    from fac.program.feeds import feeds
    from fac.render import samples
    from fac.training import data
    from fac.training.classes import unused_outputs
    from fac.training.fitting import fitted, parted
    from fac.training.met_again import met_again

    kind = None if picture is None else _picture_kind(picture, samples.FORMATS)
    document = source.override(source.read(spec), overrides)
    program = lowered(document)
    if output is not None:
        _require_place(output)
    fed = feeds(program)
    with logged():
        dataset = parted(
            data.load(data.declared(program.spec.data, document.name), document.folder, precision), fed
        )
    if output is None:
        _describe(program.spec.name, dataset, as_json)
    found = fitted(dataset, fed, precision)
    for remark in (*unused_outputs(found, fed), *met_again(found)):
        say(remark, err=True)
    if picture is not None:
        assert kind is not None
        write_file(picture, _drawn(dataset, kind))
        say(f"drew `{picture}`", err=as_json)
    if output is not None:
        _written(program.spec.name, found, output, as_json)


def _picture_kind(picture: str, formats: tuple[str, ...]) -> str:
    if picture == STDOUT:
        raise FacError("a picture of samples goes to a file: give `--picture` a name")
    if is_spec(picture, ()):
        raise FacError(f"a picture would be written to `{picture}`, which is called as a spec is")
    return picture_kind(picture, None, formats, option=False)


def _describe(name: str, dataset: Dataset, as_json: bool) -> None:
    from fac.render.describing import flat, text
    from fac.training.describing import all_described, class_counts, columns_described

    found = (all_described(dataset), columns_described(dataset), class_counts(dataset), dataset.classes)
    if as_json:
        echo(json_text({"spec": name, "source": dataset.name, **flat(*found)}))
        return
    say(f"`{dataset.name}`, on which `{name}` trains:")
    echo(text(*found))


def _drawn(dataset: Dataset, kind: str) -> bytes:
    """The picture of training samples."""
    from fac.render import samples
    from fac.training.describing import are_labels

    arrays = dataset.train.arrays
    x = next(iter(arrays.values()))
    labels = next((array for array in arrays.values() if are_labels(array)), None)
    return samples.render(x, labels, dataset.classes, f"training samples of {dataset.name}", kind)


def _require_place(output: Path) -> None:
    """What would be written has a place.

    Raises:
        FacError: files that this command has not written are in the way.
    """
    from fac.writing import sweep

    sweep(output)
    for part in ("train", "validation", "test"):
        require_replaceable(output / f"{part}.npz")


def _written(name: str, dataset: Dataset, output: Path, as_json: bool) -> None:
    from fac.opening import there

    splits = {f"{part}.npz": split for part, split in dataset.splits.items()}
    sizes = write(output, splits)
    rows: dict[str, Any] = {
        file: {"bytes": sizes[file], "arrays": described(split)} for file, split in splits.items()
    }
    if "validation.npz" not in splits and there(output / "validation.npz"):
        say(f"`{output / 'validation.npz'}` is of an earlier call: now nothing is held out", err=True)
    if as_json:
        echo(json_text({"spec": name, "source": dataset.name, "directory": str(output), "files": rows}))
        return
    say(f"`{dataset.name}` as `{name}` reads it in `{output}`:")
    width = max(map(len, rows))
    for file, row in rows.items():
        kept = (f"{key} {list(of['shape'])} {of['dtype']}" for key, of in row["arrays"].items())
        say(f" {row['bytes']:>12,} bytes  {file:<{width}}  {', '.join(kept)}")


def described(split: Split) -> dict[str, Any]:
    """Shape and type of each array."""
    return {name: {"shape": a.shape, "dtype": str(a.dtype)} for name, a in split.arrays.items()}


def require_replaceable(path: Path) -> None:
    """Refuse to replace what this command did not write, such as the arrays that a spec names.

    Raises:
        FacError: there is such a file, or the folder is none.
    """
    from fac.opening import DATA, opened, there
    from fac.training.data.npz import AS_READ, stored

    if there(path.parent) and not os.path.isdir(path.parent):
        raise FacError(f"`{path.parent}` is a file: give a folder to `-o`")
    if not there(path):
        return
    try:
        with stored(opened(path, DATA, within=path.parent), f"`{path}`") as found:
            ours = found.archive.comment == AS_READ
    except FacError:
        ours = False
    if not ours:
        raise FacError(f"`{path}` is there and was not written by `fac data`: give another folder to `-o`")


def write(folder: Path, splits: Mapping[str, Split]) -> dict[str, int]:
    """Archives of arrays as `numpy.savez` writes them, with our mark, all of them or none; returns their bytes.

    Raises:
        FacError: one cannot be written, or another program has put a file in its place meanwhile.
    """
    from fac.training.data.npz import AS_READ
    from fac.writing import staged, unwritable

    with staged(folder) as place:
        for name, split in splits.items():
            try:
                with zipfile.ZipFile(place / name, "w") as archive:
                    archive.comment = AS_READ
                    for key, array in split.arrays.items():
                        with archive.open(f"{key}.npy", "w", force_zip64=True) as part:
                            _write_array(part, array)
            except OSError as error:
                raise unwritable(folder / name, error) from error
        for name in splits:
            require_replaceable(folder / name)
        return {name: (place / name).stat().st_size for name in splits}


def _write_array(part: IO[bytes], array: Any) -> None:
    """As `numpy.save` does, some samples at a time: what is read from a disk need not fit into memory."""
    import numpy as np
    from numpy.lib import format

    from fac.training.dataset import AT_ONCE

    about = {"descr": format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    format.write_array_header_1_0(part, about)
    for start in range(0, len(array), AT_ONCE):
        part.write(np.ascontiguousarray(array[start : start + AT_ONCE]).tobytes())


COMMAND = data_
