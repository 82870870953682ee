"""Own arrays: types, places, and a clear message for each kind of wrong file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.diagnostics import FacError
from fac.training.data import load
from fac.training.data.arrays import Arrays

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
