"""Tables as data, of both formats: columns, classes by name, parts, and one message for each kind of wrong file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from fac.diagnostics import FacError
from fac.render import describing
from fac.step.feed import Feed
from fac.training.data import load
from fac.training.data.csv import Csv
from fac.training.data.parquet import Parquet
from fac.training.dataset import Dataset
from fac.training.describing import columns_described
from fac.training.fitting import fitted

COLUMNS: Mapping[str, Sequence[Any]] = {
    "length": [5.1, 7.0, 6.3, 4.9, 6.4, 5.8],
    "width": [3, 3, 2, 4, 3, 2],
    "kind": ["setosa", "versicolor", "virginica", "setosa", "versicolor", "virginica"],
    "part": ["train", "train", "Train", "test", "val", "test"],
}
Make = Callable[..., Dataset]


def write_csv(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\r\n".join(lines) + "\r\n")


def write_parquet(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    parquet.write_table(pyarrow.table({name: list(cells) for name, cells in columns.items()}), path)


@pytest.fixture(params=["csv", "parquet"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Loads a table with some settings."""
    write, spec = {"csv": (write_csv, Csv), "parquet": (write_parquet, Parquet)}[request.param]

    def made(columns: Mapping[str, Sequence[Any]] = COLUMNS, **settings: Any) -> Dataset:
        write(tmp_path / "a", columns)
        return load(spec(**{"train": "a", "y": "kind"} | settings), tmp_path)

    return made


def test_columns_and_classes_by_name(make: Make) -> None:
    data = make(split="part")
    assert data.classes == ("setosa", "versicolor", "virginica")
    np.testing.assert_array_equal(data.train.x, [[5.1, 3], [7, 3], [6.3, 2]])
    np.testing.assert_array_equal(data.train.y, [0, 1, 2])
    np.testing.assert_array_equal(data.test.x, [[4.9, 4], [5.8, 2]])
    assert data.validation is not None
    np.testing.assert_array_equal(data.validation.y, [1])
    assert data.train.y.dtype == np.int64


@pytest.mark.parametrize(
    "labels", [["3", "7", "10"] * 2, ["3", "7", "10", "3.0", "7.0", "1e1"], [3.0, 7.0, 10.0] * 2]
)
def test_whole_numbers_are_classes_by_value_however_they_are_written(make: Make, labels: list[Any]) -> None:
    """As tables write them whose column once had a missing cell."""
    data = make({**COLUMNS, "kind": labels}, split="part")
    assert data.classes == ("3", "7", "10")
    np.testing.assert_array_equal(np.concatenate([data.train.y, data.test.y]), [0, 1, 2, 0, 2])


def test_a_class_that_begins_with_zeros_keeps_them(make: Make) -> None:
    assert make({**COLUMNS, "kind": ["007", "10", "12"] * 2}, split="part").classes == ("007", "10", "12")


def test_columns_in_the_order_that_is_asked_for(make: Make) -> None:
    data = make(split="part", x=("width", "length"))
    np.testing.assert_array_equal(data.train.x, [[3, 5.1], [3, 7], [2, 6.3]])
    assert make(split="part", x=("width",), standardise=False).scale == {}


def test_standardised_by_what_is_trained_on(make: Make) -> None:
    feeds = (Feed("x", (2,)), Feed("y", (), classes=3, loss="cross_entropy"))
    found = fitted(make(split="part"), feeds, "float64")
    raw = np.array([[5.1, 3], [7, 3], [6.3, 2]])
    np.testing.assert_allclose(found.train.x, (raw - raw.mean(0)) / raw.std(0))
    np.testing.assert_allclose(found.test.x[0], ((4.9, 4) - raw.mean(0)) / raw.std(0))


def test_whole_numbers_are_classes_by_their_order(make: Make) -> None:
    columns = {"a": range(6), "kind": [10, 9, 2, 10, 2, 9]}
    data = make(columns, test_share=0.5)
    assert data.classes == ("2", "9", "10")
    assert sorted([*data.train.y, *data.test.y]) == [0, 0, 1, 1, 2, 2]
    whole = make(columns, test_share=0.5, targets=True)
    assert whole.classes == ()
    assert whole.train.y.shape == (3, 1)
    assert make({"a": range(6), "kind": [0.5, 1, 2, 3, 4, 5]}, test_share=0.5).train.y.dtype == np.float64


def test_targets_of_several_columns(make: Make) -> None:
    data = make({"a": [1, 2], "b": [3, 4], "c": [5.5, 6.5]}, y=("c", "a"), test_share=0.5)
    rows = np.concatenate([data.train.y, data.test.y])
    assert sorted(map(tuple, rows.tolist())) == [(5.5, 1), (6.5, 2)]
    assert data.train.x.shape == (1, 1)


def test_a_share_is_drawn_class_by_class(make: Make) -> None:
    columns = {"a": range(100), "kind": ["x"] * 80 + ["y"] * 20}
    data = make(columns, test_share=0.25)
    assert np.bincount(data.test.y).tolist() == [20, 5]
    both = [*data.train.x[:, 0], *data.test.x[:, 0]]
    assert sorted(both) == list(range(100))
    np.testing.assert_array_equal(make(columns, test_share=0.25).test.x, data.test.x)
    assert (make(columns, test_share=0.25, split_seed=1).test.x != data.test.x).any()


def test_files_of_their_own(make: Make, tmp_path: Path) -> None:
    make(split="part")
    for name in ("b", "c"):
        (tmp_path / name).write_bytes((tmp_path / "a").read_bytes())
    data = make(test="b", validation_file="c", x=("length", "width"))
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 6, 6)


@pytest.mark.parametrize(
    ("changed", "settings", "message"),
    [
        ({}, {"y": "kond"}, "has no column `kond` \\(`data.y`\\): did you mean `kind`\\?"),
        ({}, {"x": ("q",)}, "has no column `q` \\(`data.x`\\): it has `length`, `width`, `kind`, `part`"),
        ({}, {"split": "parts"}, "has no column `parts` \\(`data.split`\\): did you mean `part`\\?"),
        ({}, {"x": ("kind",)}, "column `kind` is in `data.x` and in `data.y`: remove it from one of them"),
        ({"part": ["train"] * 6}, {}, "`part` \\(`data.split`\\) is `test` of no sample"),
        ({"part": ["train"] * 5 + ["last"]}, {}, "`data.split`\\) of sample 5 is `last`: write"),
    ],
)
def test_wrong_columns(
    changed: Mapping[str, Any], settings: Mapping[str, Any], message: str, make: Make
) -> None:
    with pytest.raises(FacError, match=message):
        make({**COLUMNS, **changed}, **{"split": "part", **settings})


def test_missing_cells_are_counted(make: Make) -> None:
    columns = {**COLUMNS, "length": [5.1, None, 6.3, None, 1, 2], "width": [3, 3, None, 4, 3, 2]}
    with pytest.raises(FacError) as caught:
        make(columns, split="part")
    message = str(caught.value)
    assert ": 3 cells are missing, 2 in `length` (first in " in message
    assert "), 1 in `width` (first in " in message


def test_cells_that_are_no_numbers(make: Make) -> None:
    columns = {**COLUMNS, "width": ["3", "three", "2", "4", "1_0", "2"]}
    with pytest.raises(
        FacError, match="`three` in column `width` is no finite number, and 4 cells of the col"
    ):
        make(columns, split="part")
    with pytest.raises(FacError, match="`inf` in column `width` is no finite number"):
        make({**COLUMNS, "width": ["3", "inf", "2", "4", "3", "2"]}, split="part")
    with pytest.raises(FacError, match="`\u0663` in column `width` is no finite number"):
        make({**COLUMNS, "width": ["3", "\u0663", "2", "4", "3", "2"]}, split="part")


def test_all_columns_of_text_are_named(make: Make) -> None:
    columns = {**COLUMNS, "city": ["Rome"] * 6, "width": ["1", "wide", *"1111"], "job": ["cook"] * 6}
    with pytest.raises(FacError) as caught:
        make(columns, split="part")
    assert "`wide` in column `width` is no finite number, and 5 cells" in str(caught.value)
    assert "; nor are all cells of `city`, `job`: mend it, or leave the columns out" in str(caught.value)
    with pytest.raises(
        FacError, match=r"; nor are all cells of `job`: make numbers of text, as `pandas.get_dum"
    ):
        make(columns, split="part", x=("length", "city", "job"))
    many = {f"c{n}": ["a"] * 6 for n in range(9)}
    with pytest.raises(FacError, match=r"`c0` is no .* of `c1`, `c2`, `c3`, `c4`, `c5` and 3 more: "):
        make({**many, "kind": COLUMNS["kind"]}, test_share=0.5)


def test_columns_that_nobody_named_are_told(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "fac"):
        make(split="part", x=("width",))
        assert not caplog.messages
        found = make(split="part")
    assert caplog.messages == ["`a` (`data.train`): reads 2 columns: `length`, `width`"]
    described = columns_described(found)
    assert [(name, distinct) for name, (_, distinct) in described.items()] == [("length", 3), ("width", 2)]
    width = described["width"][0]
    assert (width.least, width.most, width.missing) == (2, 3, 0)
    np.testing.assert_allclose(
        np.array([width.mean, width.deviation]), np.array([8 / 3, np.std([3, 3, 2])]), rtol=1e-12
    )
    splits = {"train": {"x": width}}
    assert [row.split() for row in describing.text(splits, described, {}, ()).splitlines()][-1] == [
        *("width", "2", "3", "2.6667", "0.4714", "0", "2")
    ]
    assert describing.flat(splits, described, {}, ())["columns"][1]["distinct"] == 2


def test_a_class_that_was_never_trained_on(make: Make, tmp_path: Path) -> None:
    make({"a": [1, 2], "kind": ["u", "w"]}, test_share=0.5)
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes())
    with pytest.raises(FacError, match="class `w` is none of the training samples, which have `u`, `v`"):
        make({"a": [1, 2], "kind": ["u", "v"]}, test="b")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "nothing says which samples are for testing: write `test`, a file, or `test_share: 0.2`"),
        ({"test": "b", "split": "part"}, "`test` and `split` both say which samples are for testing"),
        (
            {"test": "b", "validation": 0.1, "validation_file": "c"},
            "`validation` and `validation_file` both say what is held out",
        ),
    ],
)
def test_settings_that_contradict(settings: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Csv.model_validate({"train": "a", "y": "kind"} | dict(settings))


# -- text ----------------------------------------------------------------------------------------------------


def text(tmp_path: Path, content: str | bytes, **settings: Any) -> Dataset:
    (tmp_path / "a").write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(Csv.model_validate({"train": "a", "y": "k", "test_share": 0.5} | settings), tmp_path)


def test_quotes_delimiters_and_encodings(tmp_path: Path) -> None:
    rows = 'a;k\n1;"größe; 1"\n\n2;"b\nc"\n'
    for encoding, raw in (("utf-8", b"\xef\xbb\xbf" + rows.encode()), ("cp1252", rows.encode("cp1252"))):
        data = text(tmp_path, raw, delimiter=";", encoding=encoding)
        assert data.classes == ("b\nc", "größe; 1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no line of a sample"),
        ("a,k\n", "has no line of a sample"),
        ("a;k\n1;2\n", 'has a single column, `a;k`: write `delimiter: ";"`'),
        ("a\tk\n1\t2\n", 'has a single column, `a\\tk`: write `delimiter: "\\t"`'),
        ("1,2\n3,4\n", "line 1 holds numbers: put a line with the names"),
        ("a,a\n3,4\n", "line 1 names column `a` twice"),
        ("a, ,k\n3,4,5\n", "line 1: column 2 has no name: give it one, or leave the column out"),
        ("a,k\n3,4\n\n5\n", "line 4: 1 cell, and the first line names 2 columns"),
        ("a,k\n3,4,5\n", "line 2: 3 cells, and the first line names 2 columns"),
        ('a,k\n3,"4\n', "line 2: unexpected end of data: mend the quotes"),
        (
            "a,k\n1,gr\xf6\n".encode("latin-1"),
            "line 2: byte 8 is not text in utf-8: write it so, or name `encoding",
        ),
        ("k\n4\n5\n", "has no column beside those of `data.y`"),
        ("a,k\n1,2\n", "has a single sample, which cannot be parted"),
    ],
)
def test_text_that_is_no_table(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(FacError, match=r"`a` \(`data\.train`\).*") as caught:
        text(tmp_path, content)
    assert message in str(caught.value)


def test_bytes_that_are_no_parquet(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a", COLUMNS)
    whole = (tmp_path / "a").read_bytes()
    spec = Parquet(train="a", y="kind", test_share=0.5)
    for raw in (b"", b"a,b\n1,2\n", whole[: len(whole) // 2], whole[:-1], b"PAR1" + whole[40:]):
        (tmp_path / "a").write_bytes(raw)
        with pytest.raises(FacError, match="is no Parquet file, or is damaged"):
            load(spec, tmp_path)
    write_parquet(tmp_path / "a", {"a": [], "kind": []})
    with pytest.raises(FacError, match="has no row"):
        load(spec, tmp_path)
