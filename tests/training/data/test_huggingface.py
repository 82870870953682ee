"""Sets of the hub on this machine, in both layouts: columns, classes, splits, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import ipc, parquet

from fac.diagnostics import FacError, SpecError
from fac.training.data import load
from fac.training.data.huggingface import HuggingFace
from fac.training.dataset import Dataset

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 3), np.uint8)
NAMES = ("cat", "dog")
Write = Callable[[Mapping[str, Mapping[str, Sequence[Any]]]], None]


def embedded(pixels: np.ndarray[Any, Any]) -> dict[str, Any]:
    """As an image stands in a cell."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def table(columns: Mapping[str, Sequence[Any]], names: Sequence[str] = NAMES) -> Any:
    features = {"label": {"names": list(names), "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    made = pyarrow.table({name: list(cells) for name, cells in columns.items()})
    return made.replace_schema_metadata(about if "label" in columns else {})


def saved(folder: Path, splits: Mapping[str, Any]) -> None:
    """As `save_to_disk` does, each split in two files."""
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    for name, made in splits.items():
        (folder / name).mkdir(exist_ok=True)
        files = [f"data-0000{number}-of-00002.arrow" for number in range(2)]
        half = made.num_rows // 2
        for file, part in zip(files, (made.slice(0, half), made.slice(half)), strict=True):
            with (folder / name / file).open("wb") as out, ipc.new_stream(out, made.schema) as writer:
                writer.write_table(part)
        state = {"_data_files": [{"filename": file} for file in files], "_split": name}
        (folder / name / "state.json").write_text(json.dumps(state))


def snapshot(folder: Path, splits: Mapping[str, Any]) -> None:
    """As the hub has it."""
    (folder / "data").mkdir(exist_ok=True)
    for name, made in splits.items():
        parquet.write_table(made, folder / "data" / f"{name}-00000-of-00001.parquet")


@pytest.fixture(params=[saved, snapshot])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    return lambda splits: request.param(tmp_path, {name: table(of) for name, of in splits.items()})


def read(folder: Path, x: str | tuple[str, ...] = "image", **settings: Any) -> Dataset:
    return load(HuggingFace(path=".", x=x, **({"test": "test"} | settings)), folder)


def images(rows: Sequence[int]) -> dict[str, Sequence[Any]]:
    return {"image": [embedded(PIXELS[row]) for row in rows], "label": [row % 2 for row in rows]}


def test_images_and_names_of_classes(write: Write, tmp_path: Path) -> None:
    write({"train": images([0, 1, 2]), "test": images([3, 0]), "dev": images([1, 2])})
    data = read(tmp_path, validation_split="dev")
    np.testing.assert_array_equal(data.train.x, PIXELS[:3].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(data.test.y, [1, 0])
    assert data.validation is not None
    assert (data.classes, len(data.validation), data.scale) == (NAMES, 2, {"x": (1, 2)})
    assert read(tmp_path, size=(2, 2), channels="grey").train.x.shape == (3, 1, 2, 2)
    shared = read(tmp_path, test=None, test_share=0.4)
    assert (len(shared.train), len(shared.test)) == (2, 1)


def test_numbers_lists_and_classes_of_text(write: Write, tmp_path: Path) -> None:
    columns: dict[str, Sequence[Any]] = {
        "a": [1.5, 2.5, 3.5],
        "b": [1, 2, 3],
        "v": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        "kind": ["u", "w", "u"],
    }
    write({"train": columns, "test": columns})
    data = read(tmp_path, ("b", "a"), y="kind")
    np.testing.assert_array_equal(data.train.x, [[1, 1.5], [2, 2.5], [3, 3.5]])
    np.testing.assert_array_equal(data.train.y, [0, 1, 0])
    assert (data.classes, data.scale) == (("u", "w"), {"x": ()})
    lists = read(tmp_path, "v", y="a", standardise=False)
    np.testing.assert_array_equal(lists.train.x, [[1, 2], [3, 4], [5, 6]])
    assert (lists.train.y.shape, lists.scale) == ((3, 1), {})
    with pytest.raises(
        FacError, match=r"`data\.crop` changes images, and `data\.x` names no column of images"
    ):
        read(tmp_path, "v", y="a", crop=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"x": "pixels"},
            r"split `train` of .* has no column `pixels` \(`data.x`\): it has `image`, `label`",
        ),
        ({"y": "kind"}, r"has no column `kind` \(`data.y`\)"),
        ({"train": "training"}, "has no split `training`: "),
    ],
)
def test_columns_and_splits_that_are_not_there(
    settings: dict[str, Any], message: str, write: Write, tmp_path: Path
) -> None:
    write({"train": images([0, 1]), "test": images([2])})
    with pytest.raises(FacError, match=message):
        read(tmp_path, **settings)


def test_cells_that_are_not_what_they_should_be(write: Write, tmp_path: Path) -> None:
    grey: dict[str, Sequence[Any]] = {
        "image": [embedded(PIXELS[0]), embedded(PIXELS[1, :, :, 0])],
        "label": [0, 1],
    }
    cut: dict[str, Sequence[Any]] = {
        "image": [{"bytes": embedded(PIXELS[0])["bytes"][:60], "path": None}],
        "label": [0],
    }
    away: dict[str, Sequence[Any]] = {"image": [{"bytes": None, "path": "a.png"}], "label": [0]}
    gone: dict[str, Sequence[Any]] = {"image": [embedded(PIXELS[0])] * 2, "label": [0, None]}
    for columns, message in (
        (grey, "the image in row 2 of split `train` of .* is grey, and .* is in colours"),
        (cut, "the image in row 1 of split `train` .* is no image, or is damaged"),
        (away, "is not in its file: embed the images, as `push_to_hub` does"),
        (gone, r"1 cell is missing, 1 in `label` \(first in row 2\)"),
    ):
        write({"train": columns, "test": images([0])})
        with pytest.raises(FacError, match=message):
            read(tmp_path)
    write({"train": {"v": [[1.0], [1.0, 2.0]], "k": ["u", "w"]}, "test": {"v": [[1.0]], "k": ["z"]}})
    with pytest.raises(FacError, match=r"holds lists that are no arrays of one shape"):
        read(tmp_path, "v", y="k")
    write({"train": {"v": [1.0, 2.0], "k": ["u", "w"]}, "test": {"v": [1.0], "k": ["z"]}})
    with pytest.raises(
        FacError, match=r"row 1: class `z` is none of the training samples, which have `u`, `w`"
    ):
        read(tmp_path, "v", y="k")


def test_a_set_that_is_made_by_a_script(write: Write, tmp_path: Path) -> None:
    write({"train": images([0]), "test": images([1])})
    (tmp_path / "mine.py").write_text("raise SystemExit")
    with pytest.raises(FacError, match=r"holds `mine.py`, a script that makes the set: no such code is run"):
        read(tmp_path)


def test_what_is_not_on_this_machine(tmp_path: Path) -> None:
    with pytest.raises(
        FacError, match=r"`ylecun/mnist` .* is no folder, and nothing is fetched: `hf download"
    ):
        load(HuggingFace(path="ylecun/mnist", x="image", test="test"), tmp_path)
    with pytest.raises(FacError, match=r"has no split `train`: it holds no Parquet file"):
        read(tmp_path)


def test_files_that_are_damaged(tmp_path: Path) -> None:
    saved(tmp_path, {name: table(images([0, 1])) for name in ("train", "test")})
    file, state = tmp_path / "train" / "data-00000-of-00002.arrow", tmp_path / "train" / "state.json"
    whole, text = file.read_bytes(), state.read_text()
    for raw in (b"", whole[:40], b"x" + whole[1:]):
        file.write_bytes(raw)
        with pytest.raises(FacError, match=r"is damaged or of another format|has a split without rows"):
            read(tmp_path)
    file.write_bytes(whole)
    for wrong, message in (
        ("{", "`train/state.json` in .* is no JSON"),
        ("[]", "is no mapping"),
        ("{}", "names no files"),
        (json.dumps({**json.loads(text), "_indices_data_files": []}), "is a selection of rows"),
        (json.dumps({"_data_files": [{"filename": "../../x.arrow"}]}), "does not exist|leads out of"),
    ):
        state.write_text(wrong)
        with pytest.raises(FacError, match=message):
            read(tmp_path)


def test_settings_that_contradict() -> None:
    contradictions: tuple[dict[str, Any], ...] = ({}, {"test": "test", "test_share": 0.1})
    for settings in contradictions:
        with pytest.raises(SpecError, match=r"one of `test`, the name of a split, and `test_share`"):
            HuggingFace(path=".", x="image", **settings)
    with pytest.raises(SpecError, match=r"both say what is held out"):
        HuggingFace(path=".", x="image", test="t", validation=0.1, validation_split="v")
