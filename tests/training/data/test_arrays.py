"""Own arrays: types, places, and a clear message for each kind of wrong file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from fac.diagnostics import FacError
from fac.step.feed import Feed
from fac.training.data import load
from fac.training.data.arrays import Arrays
from fac.training.fitting import fitted

SPEC = Arrays(train="train.npz", test="sub/test.npz")


def write(folder: Path, **arrays: Any) -> None:
    (folder / "sub").mkdir(exist_ok=True)
    for name in ("train.npz", "sub/test.npz"):
        np.savez(folder / name, **arrays)


def test_labels(tmp_path: Path) -> None:
    write(tmp_path, x=np.arange(6, dtype=np.uint8).reshape(2, 3), y=np.array([1, 0], np.uint8))
    data = load(SPEC, tmp_path, "float32")
    assert data.test.x.dtype == np.uint8, "whole numbers may be classes: `fitted` knows"
    np.testing.assert_array_equal(data.test.x, [[0, 1, 2], [3, 4, 5]])
    assert data.test.y.dtype == np.uint8
    np.testing.assert_array_equal(data.test.y, [1, 0])


def test_truth_values_stay_what_they_are(tmp_path: Path) -> None:
    write(tmp_path, x=np.zeros((2, 3), bool), y=np.array([True, False]))
    data = load(SPEC, tmp_path, "float32")
    assert [data.test.x.dtype.name, data.test.y.dtype.name] == ["bool", "bool"]
    np.testing.assert_array_equal(data.test.y, [True, False])


def test_targets_in_one_column(tmp_path: Path) -> None:
    write(tmp_path, x=np.zeros((2, 3)), y=np.array([0.5, 1.5]))
    data = load(SPEC, tmp_path, "float32")
    assert data.train.y.dtype == np.float32
    np.testing.assert_array_equal(data.train.y, [[0.5], [1.5]])


def test_other_keys_and_absolute_paths(tmp_path: Path) -> None:
    write(tmp_path, image=np.ones((2, 4, 4)), digit=np.array([3, 4]))
    place = str(tmp_path / "train.npz")
    data = load(Arrays(train=place, test=place, x="image", y="digit"))
    assert data.train.x.shape == (2, 4, 4)


def test_compressed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.ones((2, 1)), y=np.array([0, 1]))
    assert load(Arrays(train="a.npz", test="a.npz"), tmp_path).train.x.shape == (2, 1)


def message(folder: Path) -> str:
    with pytest.raises(FacError) as caught:
        load(SPEC, folder)
    return str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    expected = (
        "`train.npz` (`data.train`) is not a file: "
        f"paths in a spec start from its own folder, here `{tmp_path}`"
    )
    assert message(tmp_path) == expected


def test_missing_key_with_a_near_one(tmp_path: Path) -> None:
    write(tmp_path, x=np.ones((1, 1)), yy=np.ones(1))
    assert message(tmp_path) == "`train.npz` (`data.train`) has no array `y`: did you mean `yy`?"


def test_missing_key_lists_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, images=np.ones((1, 1)), labels=np.ones(1))
    assert message(tmp_path) == "`train.npz` (`data.train`) has no array `x`: it has `images`, `labels`"


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    write(tmp_path, x=np.ones((1, 1)), y=np.array([{}], object))
    assert message(tmp_path).startswith(
        "array `y` in `train.npz` (`data.train`) cannot be read as plain numbers"
    )


@pytest.mark.parametrize("y", [np.array(["a"]), np.array([1j]), np.array(1)])
def test_what_is_no_row_of_numbers(tmp_path: Path, y: Any) -> None:
    write(tmp_path, x=np.ones((1, 1)), y=y)
    expected = (
        f"array `y` in `train.npz` (`data.train`) has shape {list(y.shape)} of {y.dtype}: "
        "give numbers with one row for each sample"
    )
    assert message(tmp_path) == expected


def test_overflow_is_left_to_the_fitting(tmp_path: Path) -> None:
    write(tmp_path, x=np.full((1, 1), 1e300), y=np.array([0]))
    assert np.isinf(load(SPEC, tmp_path, "float32").train.x).all()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00"])
def test_not_an_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.npz").write_bytes(content)
    expected = "`train.npz` (`data.train`) is not an npz file: write it with `numpy.savez`"
    assert message(tmp_path) == expected


def test_damaged_npz(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    np.savez(path, x=np.ones((50, 50)), y=np.ones(50))
    content = bytearray(path.read_bytes())
    content[5000] ^= 0xFF
    path.write_bytes(content)
    assert re.match(r"`train\.npz` \(`data\.train`\) cannot be read: Bad CRC-32", message(tmp_path))


# -- other files, and parts of one ---------------------------------------------------------------------------

X, Y = np.arange(24, dtype=np.float32).reshape(6, 2, 2), np.array([0, 1, 1, 0, 2, 2])
PART = np.array([0, 0, 2, 1, 0, 2])


def written(folder: Path, kind: str) -> str:
    """The same arrays in another kind of file."""
    arrays = {"x": X, "y": Y, "part": PART}
    if kind == "npy":
        (folder / "a").mkdir()
        for name, array in arrays.items():
            np.save(folder / "a" / f"{name}.npy", array)
        return "a"
    if kind == "safetensors":
        save_file(arrays, folder / "a.safetensors")
        return "a.safetensors"
    np.savez(folder / "a.npz", **arrays)  # type: ignore[arg-type]
    return "a.npz"


@pytest.mark.parametrize("kind", ["npy", "safetensors", "npz"])
def test_one_file_that_says_which_is_which(kind: str, tmp_path: Path) -> None:
    spec = Arrays(train=written(tmp_path, kind), split="part", class_names=("a", "b", "c"))
    data = load(spec, tmp_path, "float32")
    assert data.validation is not None
    for split, rows in ((data.train, [0, 1, 4]), (data.validation, [3]), (data.test, [2, 5])):
        np.testing.assert_array_equal(split.x, X[rows])
        np.testing.assert_array_equal(split.y, Y[rows])
    assert data.classes == ("a", "b", "c")
    shared = load(Arrays(train=spec.train, test_share=0.5), tmp_path)
    assert np.bincount(shared.test.y).tolist() == [1, 1, 1]


def test_columns_first_and_maps_stay_on_the_disk(tmp_path: Path) -> None:
    place = written(tmp_path, "npy")
    spec = Arrays(train=place, test=place)
    found = load(spec, tmp_path, "float32").train.x
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable
    np.save(tmp_path / "a" / "x.npy", np.asfortranarray(X))
    np.testing.assert_array_equal(load(spec, tmp_path, "float64").train.x, X)


@pytest.mark.parametrize(("how", "axes"), [("each", ()), ("channels", (2,)), ("all", (1, 2))])
def test_standardised(how: Any, axes: tuple[int, ...], tmp_path: Path) -> None:
    place = written(tmp_path, "npz")
    data = load(Arrays(train=place, test=place, standardise=how), tmp_path)
    feeds = (Feed("x", (2, 2)), Feed("y", (), classes=3, loss="cross_entropy"))
    found = fitted(data, feeds, "float64").train.x
    over = (0, *axes)
    np.testing.assert_allclose(
        found, (X - X.mean(over, keepdims=True)) / X.std(over, keepdims=True), rtol=1e-6
    )


@pytest.mark.parametrize("kind", ["npy", "safetensors"])
def test_files_of_other_kinds_that_are_damaged(kind: str, tmp_path: Path) -> None:
    place = written(tmp_path, kind)
    file = tmp_path / place / "x.npy" if kind == "npy" else tmp_path / place
    whole = file.read_bytes()
    for raw in (b"", whole[:5], whole[:-1], whole + b"0", b"x" + whole[1:]):
        file.write_bytes(raw)
        with pytest.raises(FacError, match=r"`a[^`]*` \(`data\.train`\)"):
            load(Arrays(train=place, test_share=0.5), tmp_path)
    file.write_bytes(whole)
    with pytest.raises(FacError, match=r"has no array `yy`: did you mean `y`\?"):
        load(Arrays(train=place, test_share=0.5, y="yy"), tmp_path)


def test_objects_in_npy_are_not_unpickled(tmp_path: Path) -> None:
    place = written(tmp_path, "npy")
    np.save(tmp_path / "a" / "x.npy", np.array([{}] * 6), allow_pickle=True)
    with pytest.raises(FacError, match="only unpickling could read"):
        load(Arrays(train=place, test=place), tmp_path)
    np.save(tmp_path / "a" / "x.npy", np.array(1.0))
    with pytest.raises(FacError, match="give numbers with one row for each sample"):
        load(Arrays(train=place, test=place), tmp_path)
