"""Tables in Apache Parquet files, read by pyarrow."""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from fac.diagnostics import FacError
from fac.training.data.incoming import opened_data, read_data
from fac.training.data.table import Table
from fac.training.data.tabular import Tabular, loaded
from fac.training.dataset import DataKind, Dataset

if TYPE_CHECKING:
    from fac.backend import Precision

ROOM = 24
"""Bytes of memory that a byte of a file takes: columns are packed."""


class Parquet(Tabular):
    """A file of columns with a row for each sample. All that is no class has to be a number; no cell may be missing."""

    source: Literal["parquet"] = Field(
        default="parquet", description="Tables in Parquet files; needs `fac-compiler[parquet]`."
    )


def load(data: Parquet, base: Path, precision: Precision) -> Dataset:
    """x (n, columns) in the precision, y (n,) classes or (n, columns) targets.

    Raises:
        FacError: pyarrow is not installed, a file is missing or none, a column is missing, or a cell is not what it has
            to be.
    """

    def read(folder: Path, written: str, place: str) -> Table:
        return table(opened_data(folder, written, place), place)

    return loaded(data, "parquet", read, base, precision)


def table(file: BufferedReader, place: str, *, trained: bool = False) -> Table:
    """The cells of a file: numbers, and text.

    Args:
        file: at its start; it is closed.
        place: what messages call it.
        trained: see `Table`.

    Raises:
        FacError: pyarrow is not installed, or it is no such file.
    """
    from io import BytesIO

    raw = read_data(file, place, ROOM)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise FacError(f'{place} needs pyarrow: pip install "fac-compiler[parquet]"') from error
    try:
        found = parquet.read_table(BytesIO(raw))
    except (pyarrow.ArrowException, OSError) as error:
        raise FacError(f"{place} is no Parquet file, or is damaged: {str(error)[:200]}") from error
    if not found.num_rows:
        raise FacError(f"{place} has no row: give it at least one sample")
    columns = {name: _cells(found.column(name)) for name in found.column_names}
    return Table(place, columns, range(1, found.num_rows + 1), "row", trained)


def _cells(column: Any) -> list[Any]:
    """Numbers, truth values as 0 and 1, and all else as text."""
    return [
        cell
        if cell is None or isinstance(cell, str | float)
        else int(cell)
        if isinstance(cell, int)
        else str(cell)
        for cell in column.to_pylist()
    ]


KIND = DataKind("parquet", Parquet, load)
