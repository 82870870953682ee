"""Sets of torchvision by name, on a stand-in with its interface: what is asked of a set, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fac.diagnostics import FacError
from fac.training.data import load
from fac.training.data.torchvision import Torchvision
from fac.training.dataset import Augment, Dataset

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 4, 5, 3), np.uint8)
LABELS = np.arange(12) % 3


class VisionDataset:
    """As torchvision has it: n pairs of an image and a label."""

    def __init__(self, root: Any, transform: Any = None, target_transform: Any = None) -> None:
        self.root = root
        self.rows = range(12)

    def __len__(self) -> int:
        return len(self.rows)

    def image(self, row: int) -> Any:
        return Image.fromarray(PIXELS[row])

    def __getitem__(self, index: int) -> Any:
        row = self.rows[index]
        return self.image(row), int(LABELS[row])


class Trained(VisionDataset):
    """With `train`, and all pixels in one array."""

    classes = ("a", "b", "c")

    def __init__(self, root: Any, train: bool = True, transform: Any = None, download: bool = False) -> None:
        super().__init__(root)
        if download:
            raise RuntimeError("Dataset not found or\n corrupted.")
        self.rows = range(8) if train else range(8, 12)
        self.data, self.targets = PIXELS[list(self.rows)], LABELS[list(self.rows)].tolist()
        self.read = 0

    def __getitem__(self, index: int) -> Any:
        self.read += 1
        assert self.read < 2, "all at once, but for the one that is compared"
        return super().__getitem__(index)


class Splits(VisionDataset):
    """With `split`, and other arguments in a class above."""

    def __init__(self, root: Any, split: str, **kwargs: Any) -> None:
        super().__init__(root, **kwargs)
        self.rows = {"train": range(6), "test": range(6, 12), "few": range(2)}[split]


class Whole(VisionDataset):
    """Of one part; an array that is not what it shows."""

    def __init__(self, size: int = 12, grey: int = -1, wide: int = -1, transform: Any = None) -> None:
        super().__init__(None)
        self.rows, self.grey, self.wide = range(size), grey, wide
        self.data, self.targets = 255 - PIXELS, LABELS

    def image(self, row: int) -> Any:
        image = super().image(row)
        if row == self.wide:
            return image.resize((9, 4))
        return image.convert("L") if row == self.grey else image


class Boxes(VisionDataset):
    """Of no labels."""

    def __init__(self, root: Any, train: bool = True) -> None:
        super().__init__(root)

    def __getitem__(self, index: int) -> Any:
        return self.image(index), {"boxes": []}


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module, datasets = ModuleType("torchvision"), ModuleType("torchvision.datasets")
    for each in (VisionDataset, Trained, Splits, Whole, Boxes):
        setattr(datasets, each.__name__, each)
    module.datasets = datasets  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", module)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)


def read(folder: Path, name: str, **settings: Any) -> Dataset:
    return load(Torchvision(name=name, root="r", **settings), folder)


def test_both_parts_by_train(tmp_path: Path) -> None:
    data = read(tmp_path, "Trained", flip=True, crop=2)
    np.testing.assert_array_equal(data.train.x, PIXELS[:8].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(data.test.x, PIXELS[8:].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(data.test.y, LABELS[8:])
    assert (data.classes, data.augment, data.scale) == (("a", "b", "c"), Augment(True, 2), {"x": (1, 2)})


def test_both_parts_by_split(tmp_path: Path) -> None:
    assert len(read(tmp_path, "Splits").train) == len(read(tmp_path, "Splits").test) == 6
    assert len(read(tmp_path, "Splits", parts=("few", "test")).train) == 2
    one = read(tmp_path, "Splits", args={"split": "test"}, test_share=0.5)
    assert (len(one.train), len(one.test)) == (3, 3)


def test_one_by_one_where_the_array_is_not_what_is_shown(tmp_path: Path) -> None:
    data = read(tmp_path, "Whole", test_share=0.25)
    assert np.bincount(data.test.y).tolist() == [1, 1, 1]
    both = {row.tobytes() for row in (*data.train.x, *data.test.x)}
    assert both == {row.transpose(2, 0, 1).tobytes() for row in PIXELS}
    assert read(tmp_path, "Whole", test_share=0.25, size=(2, 2), channels="grey").train.x.shape == (
        9,
        1,
        2,
        2,
    )


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("trained", {}, r"torchvision has no set `trained` \(`data.name`\): did you mean `Trained`\?"),
        ("Cifar", {}, "has no set `Cifar` .*: there are `?Boxes"),
        (
            "Trained",
            {"args": {"fold": 1}},
            r"`Trained` takes no `fold` \(`data.args`\): what it takes is none",
        ),
        (
            "Whole",
            {"args": {"sise": 1}, "test_share": 0.5},
            "takes no `sise` .*: what it takes is `grey`, `size`",
        ),
        ("Trained", {"args": {"train": True}}, "takes no `train`"),
        ("Trained", {"test_share": 0.5}, "has a test part of its own: leave out `data.test_share`"),
        ("Whole", {}, "does not say which samples are for testing: write `test_share: 0.2`"),
        (
            "Whole",
            {"download": True, "test_share": 0.5},
            "`Whole` fetches nothing: leave out `data.download`",
        ),
        (
            "Trained",
            {"download": True},
            "cannot read `Trained` in `r` .*: RuntimeError: Dataset not found or corr",
        ),
        (
            "Splits",
            {"parts": ("all", "test")},
            "KeyError: 'all'; `download: true` lets it fetch what is not there",
        ),
        (
            "Boxes",
            {},
            r"item 0 of `Boxes` \(True\) has dict beside its image: only images with one label each",
        ),
        ("Whole", {"test_share": 0.5, "args": {"size": 0}}, "`Whole` is empty"),
        (
            "Whole",
            {"test_share": 0.5, "args": {"grey": 3}},
            "item 3 of `Whole` is grey, and item 0 .* in colours",
        ),
        (
            "Whole",
            {"test_share": 0.5, "args": {"wide": 3}},
            "item 3 of `Whole` has 4 x 9 pixels, and item 0 of",
        ),
    ],
)
def test_what_is_refused(name: str, settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(FacError, match=message):
        read(tmp_path, name, **settings)


def test_without_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(FacError, match="needs torchvision, of the build of torch that is installed"):
        read(tmp_path, "Trained")
