"""Sets of the Hugging Face hub that lie on this machine: what `save_to_disk` writes, and folders of Parquet files.

`save_to_disk` makes `dataset_dict.json` and, for each split, a folder with `state.json`, which names files of the
Arrow stream format. A snapshot of the hub has files `data/train-00000-of-00001.parquet`. Both have the names of classes
in the metadata of their schema, and are read by pyarrow; no code of a set is run, and nothing is fetched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from fac.diagnostics import FacError
from fac.opening import DATA, MANIFEST, content, opened, placed, there
from fac.spec.data import Place
from fac.training.data.images import Alike, Resized
from fac.training.data.incoming import read_data
from fac.training.data.table import Table, listed, short
from fac.training.dataset import DataKind, Dataset, HeldOut, Split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fac.backend import Precision

ROOM = 8
"""Bytes of memory that a byte of a file takes."""
SAVED = "dataset_dict.json"


class HuggingFace(Resized):
    """A folder with a set of the hub: `x` is a column of images, or of numbers; `y` one of classes or targets.

    `hf download --repo-type dataset NAME --local-dir FOLDER` makes such a folder, and so does `save_to_disk`.
    """

    source: Literal["huggingface"] = Field(
        default="huggingface",
        description="A set of the Hugging Face hub that lies on this machine; needs `fac-compiler[parquet]`, and for "
        "images `fac-compiler[images]`.",
    )
    path: Annotated[str, Place()] = Field(description="Its folder; relative to the folder of the spec.")
    x: str | tuple[str, ...] = Field(
        description="Column of images, or columns of numbers or of lists of them."
    )
    y: str = Field(default="label", description="Column of classes, by number or name, or of targets.")
    train: str = Field(default="train", description="What the training split is called.")
    test: str | None = Field(default=None, description="What the test split is called.")
    test_share: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Which part of the training split is for testing, where no split is.",
    )
    validation_split: str | None = Field(
        default=None, description="What the split is called that is evaluated beside the test samples."
    )

    @model_validator(mode="after")
    def _tested_once(self) -> HuggingFace:
        if (self.test is None) == (self.test_share is None):
            raise ValueError(
                "one of `test`, the name of a split, and `test_share` says which samples are for testing"
            )
        if self.validation is not None and self.validation_split is not None:
            raise ValueError("`validation` and `validation_split` both say what is held out: remove one")
        return self


@dataclass(frozen=True, slots=True)
class Part:
    """The files of a split, each a table."""

    place: str
    tables: Sequence[Any]

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        """Of the classes of columns that hold their numbers."""
        raw = (self.tables[0].schema.metadata or {}).get(b"huggingface", b"{}")
        try:
            features = json.loads(raw).get("info", {}).get("features", {})
            return {
                name: of["names"] for name, of in features.items() if isinstance(of, dict) and "names" in of
            }
        except (ValueError, AttributeError, RecursionError):
            return {}

    def column(self, name: str, field: str) -> list[Any]:
        """Its cells as Python has them."""
        known = self.tables[0].column_names
        if name not in known:
            raise FacError(f"{self.place} has no column `{name}` (`data.{field}`): it has {listed(known)}")
        return [cell for table in self.tables for cell in table.column(name).to_pylist()]


def load(data: HuggingFace, base: Path, precision: Precision) -> Dataset:
    """x (n, channels, height, width), bytes that are still to be scaled, or (n, numbers) in the precision.

    Raises:
        FacError: pyarrow is not installed, the folder is none, holds a script, lacks a split or a column, or a cell is
            not what it has to be.
    """
    from fac.training.holdout import parted

    place = f"`{data.path}` (`data.path`)"
    folder = _folder(data, base, place)
    alike = Alike()
    wanted = {"train": data.train, "test": data.test, "validation": data.validation_split}
    parts = {part: _part(folder, name, place) for part, name in wanted.items() if name is not None}
    known = parts["train"].names.get(data.y)
    labels = {part: of.column(data.y, "y") for part, of in parts.items()}
    names = tuple(known) if known else _named(labels["train"])
    splits = {
        part: _split(data, of, labels[part], names, alike, precision, numbered=known is not None)
        for part, of in parts.items()
    }
    if data.test_share is not None:
        y = splits["train"].y
        held = HeldOut(data.test_share, data.split_seed)
        splits["train"], splits["test"] = parted(splits["train"], held, y if y.dtype.kind == "i" else None)
    images = splits["train"].x.dtype.kind == "u"
    if data.changes and not images:
        raise FacError(
            f"`data.{data.by_step[0]}` changes images, and `data.x` names no column of images: leave it out"
        )
    return Dataset(
        "huggingface",
        splits["train"],
        splits["test"],
        validation=splits.get("validation"),
        scale=data.scale if images else {"x": ()} if data.standardise else {},
        augment=data.changes,
        classes=names or (),
    )


def _folder(data: HuggingFace, base: Path, place: str) -> Path:
    folder = Path(placed(base, data.path, place))
    if not os.path.isdir(folder):
        raise FacError(
            f"{place} is no folder, and nothing is fetched: `hf download --repo-type dataset NAME --local-dir FOLDER` "
            "puts a set of the hub into one"
        )
    scripts = sorted(name for name in os.listdir(folder) if name.endswith(".py"))
    if scripts:
        raise FacError(
            f"{place} holds `{short(scripts[0])}`, a script that makes the set: no such code is run; take its Parquet "
            "files, by `--revision refs/convert/parquet`"
        )
    return folder


def _part(folder: Path, name: str, place: str) -> Part:
    what = f"split `{name}` of {place}"
    if there(folder / SAVED):
        return Part(what, _saved(folder, name, place))
    files = sorted(
        file
        for file in folder.glob("**/*.parquet")
        if file.name.startswith((f"{name}-", f"{name}.")) or file.parent.name == name
    )
    if not files:
        found = sorted(
            {file.name.partition("-")[0].removesuffix(".parquet") for file in folder.glob("**/*.parquet")}
        )
        raise FacError(
            f"{place} has no split `{name}`: "
            + (f"its files are of {listed(found)}" if found else "it holds no Parquet file")
        )
    return Part(what, _tables(files, folder, place))


def _saved(folder: Path, name: str, place: str) -> list[Any]:
    known = _json(folder / SAVED, folder, place).get("splits")
    if not isinstance(known, list) or name not in known:
        has = listed([str(each) for each in known]) if isinstance(known, list) else "none"
        raise FacError(f"{place} has no split `{name}`: it has {has}")
    state = _json(folder / name / "state.json", folder, place)
    if state.get("_indices_data_files") is not None:
        raise FacError(
            f"split `{name}` of {place} is a selection of rows: write it anew, after `flatten_indices()`"
        )
    files = state.get("_data_files")
    sound = (
        isinstance(files, list)
        and files
        and all(isinstance(of, dict) and isinstance(of.get("filename"), str) for of in files)
    )
    if not sound:
        raise FacError(
            f"`{name}/state.json` in {place} names no files: write the set anew with `save_to_disk`"
        )
    return _tables([folder / name / of["filename"] for of in files or ()], folder, place)


def _json(path: Path, folder: Path, place: str) -> dict[str, Any]:
    name = f"`{path.relative_to(folder).as_posix()}` in {place}"
    try:
        found = json.loads(content(path, MANIFEST, place=name, within=folder))
    except (ValueError, RecursionError) as error:
        raise FacError(f"{name} is no JSON: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise FacError(f"{name} is no mapping: write the set anew with `save_to_disk`")
    return found


def _tables(files: Sequence[Path], folder: Path, place: str) -> list[Any]:
    try:
        import pyarrow
        from pyarrow import ipc, parquet
    except ImportError as error:
        raise FacError(f'{place} needs pyarrow: pip install "fac-compiler[parquet]"') from error
    tables: list[Any] = []
    before = 0
    for path in files:
        name = f"`{os.path.relpath(path, folder)}` in {place}"
        raw = read_data(opened(path, DATA, place=name, within=folder), name, ROOM, before)
        before += len(raw)
        try:
            arrow = path.suffix == ".arrow"
            table = ipc.open_stream(raw).read_all() if arrow else parquet.read_table(BytesIO(raw))
        except (pyarrow.ArrowException, OSError) as error:
            raise FacError(f"{name} is damaged or of another format: {str(error)[:200]}") from error
        if tables and table.schema.names != tables[0].schema.names:
            raise FacError(f"{name} has other columns than the files before it")
        tables.append(table)
    if not sum(table.num_rows for table in tables):
        raise FacError(f"{place} has a split without rows: give each at least one sample")
    return tables


def _named(labels: Sequence[Any]) -> tuple[str, ...] | None:
    """The names of classes that are text; None of numbers."""
    return tuple(sorted(set(labels))) if all(isinstance(label, str) for label in labels) else None


def _split(
    data: HuggingFace,
    part: Part,
    labels: list[Any],
    names: Sequence[str] | None,
    alike: Alike,
    precision: Precision,
    *,
    numbered: bool,
) -> Split:
    import numpy as np

    columns = (data.x,) if isinstance(data.x, str) else data.x
    cells = {name: part.column(name, "x") for name in columns}
    table = Table(part.place, {**cells, data.y: labels}, range(1, len(labels) + 1), "row")
    table.require_filled((*columns, data.y))
    y = _labels(table, labels, None if numbered else names, data.y, precision)
    first = cells[columns[0]][0]
    if len(columns) == 1 and isinstance(first, dict):
        return Split(_images(data, cells[columns[0]], alike, part.place), y)
    if len(columns) == 1 and isinstance(first, list):
        try:
            x = np.array(cells[columns[0]], precision)
        except (ValueError, TypeError) as error:
            raise FacError(
                f"column `{columns[0]}` of {part.place} holds lists that are no arrays of one shape"
            ) from error
        return Split(x, y)
    return Split(table.numbers(columns).astype(precision), y)


def _labels(
    table: Table, labels: list[Any], names: Sequence[str] | None, column: str, precision: Precision
) -> NDArray[Any]:
    import numpy as np

    if names is None:
        numbers = table.numbers((column,))[:, 0]
        whole = all(isinstance(label, int) for label in labels)
        return numbers.astype(np.int64) if whole else numbers.astype(precision)[:, None]
    known = {name: number for number, name in enumerate(names)}
    for row, label in enumerate(labels):
        if label not in known:
            raise FacError(
                f"{table.place}, row {row + 1}: class `{short(str(label))}` is none of the training samples, which "
                f"have {listed(names)}"
            )
    return np.array([known[label] for label in labels], np.int64)


def _images(data: HuggingFace, cells: list[Any], alike: Alike, place: str) -> NDArray[np.uint8]:
    import numpy as np

    found = []
    for row, cell in enumerate(cells, 1):
        name = f"the image in row {row} of {place}"
        raw = cell.get("bytes") if isinstance(cell, dict) else None
        if not isinstance(raw, bytes):
            raise FacError(f"{name} is not in its file: embed the images, as `push_to_hub` does")
        found.append(alike.required(data.pixels(raw, name), name))
    return np.stack(found)


def _parts(data: HuggingFace) -> dict[str, str]:
    named = {"train": data.train, "test": data.test, "validation_split": data.validation_split}
    return {field: name for field, name in named.items() if name is not None}


KIND = DataKind("huggingface", HuggingFace, load, parts=_parts)
