"""Tables in files of separated values (RFC 4180), with a line of names first."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import BufferedReader, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fac.diagnostics import FacError
from fac.escaping import visible
from fac.training.data.incoming import opened_data, read_data
from fac.training.data.table import Table, is_number, short
from fac.training.data.tabular import Tabular, loaded
from fac.training.dataset import DataKind, Dataset

if TYPE_CHECKING:
    from fac.backend import Precision

ROOM = 12
"""Bytes of memory that a byte of text takes, as such, as cells, and as numbers."""
SEPARATORS = {";": ";", "\t": "\\t", "|": "|", ",": ","}
"""What else may stand between cells, and how YAML has it within double quotes."""
NO_TEXT = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"PK\x03\x04": "an archive, such as `.npz` or `.xlsx`,",
    b"PAR1": "a Parquet file",
    b"\x93NUMPY": "a NumPy array",
    b"\x1f\x8b": "gzip",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of old, `.xls`,",
    b"%PDF": "a PDF",
}
"""How files of other kinds begin."""

Encoding = Literal["utf-8", "latin-1", "cp1252", "utf-16"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is written."""

    delimiter: str = ","
    encoding: Encoding = "utf-8"


class Csv(Tabular):
    """A file of text with a line for each sample. All that is no class has to be a number; no cell may be missing."""

    source: Literal["csv"] = Field(
        default="csv", description="Tables in files of separated values, with a line of names first."
    )
    delimiter: str = Field(
        default=",",
        min_length=1,
        max_length=1,
        description='What stands between cells, such as `";"` or `"\\t"`.',
    )
    encoding: Encoding = Field(default="utf-8", description="How the file writes letters.")

    @property
    def layout(self) -> Layout:
        """How its files are written."""
        return Layout(self.delimiter, self.encoding)


def load(data: Csv, base: Path, precision: Precision) -> Dataset:
    """x (n, columns) in the precision, y (n,) classes or (n, columns) targets.

    Raises:
        FacError: a file is missing or no such text, a column is missing, or a cell is not what it has to be.
    """

    def read(folder: Path, written: str, place: str) -> Table:
        return table(opened_data(folder, written, place), place, data.layout)

    return loaded(data, "csv", read, base, precision)


def table(file: BufferedReader, place: str, layout: Layout, *, trained: bool = False) -> Table:
    """The cells of a file, as text.

    Args:
        file: at its start; it is closed.
        place: what messages call it.
        layout: how it is written.
        trained: see `Table`.

    Raises:
        FacError: it is no such text.
    """
    raw = read_data(file, place, ROOM)
    if other := next((what for start, what in NO_TEXT.items() if raw.startswith(start)), None):
        raise FacError(f"{place} is no text, but {other} by its first bytes: give separated values")
    try:
        text = raw.decode("utf-8-sig" if layout.encoding == "utf-8" else layout.encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        other = "`encoding: cp1252`, or the one" if layout.encoding == "utf-8" else "the one"
        remedy = "as the training data are" if trained else f"or name {other} that it has"
        raise FacError(
            f"{place}, line {line}: byte {error.start} is not text in {layout.encoding}: write it so, {remedy}"
        ) from error
    reader = csv.reader(StringIO(text, newline=""), delimiter=layout.delimiter, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise FacError(f"{place}, line {reader.line_num}: {error}: mend the quotes around cells") from error
    if len(rows) < 2:
        raise FacError(f"{place} has no line of a sample: the first names the columns, and the others follow")
    (_, header), *body = rows
    names = [name.strip() for name in header]
    _require_header(names, layout.delimiter, place, trained)
    for line, row in body:
        if len(row) != len(names):
            raise FacError(
                f"{place}, line {line}: {len(row)} cell{'s' * (len(row) != 1)}, and the first line names {len(names)} "
                "columns: give each a cell, with quotes around one that holds the delimiter"
            )
    columns = zip(*(row for _, row in body), strict=True)
    lines = [line for line, _ in body]
    return Table(place, dict(zip(names, columns, strict=True)), lines, trained=trained)


def _require_header(names: list[str], delimiter: str, place: str, trained: bool) -> None:
    if len(names) == 1 and (other := next((c for c in SEPARATORS if c != delimiter and c in names[0]), None)):
        remedy = f'write `delimiter: "{SEPARATORS[other]}"`'
        if trained:
            remedy = f"the training data have `{visible(delimiter)}` between cells, write it so"
        raise FacError(f"{place} has a single column, `{short(names[0])}`: {remedy}")
    if all(map(is_number, names)):
        raise FacError(f"{place}, line 1 holds numbers: put a line with the names of the columns before it")
    if "" in names:
        raise FacError(
            f"{place}, line 1: column {names.index('') + 1} has no name: give it one, or leave the column out"
        )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise FacError(f"{place}, line 1 names column `{short(twice)}` twice: name each once")


KIND = DataKind("csv", Csv, load)
