"""Transforms of torchvision: on a stand-in what is drawn and what is refused, and on torchvision itself what comes out.

The tests pass without torchvision, which `make` installs: then those that need it are left out.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import Enum
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import fac
from fac.diagnostics import FacError, SpecError
from fac.training.data.cifar import Cifar
from fac.training.dataset import Augment, Split
from fac.training.scaling import of_bytes
from fac.training.stepping import Stepping
from fac.training.stored import Stored, changed
from fac.training.transforms import Transforms

SHAPE = (3, 4, 5)
SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "small",
    "input": {"shape": list(SHAPE)},
    "layers": [{"kind": "flatten"}, {"kind": "linear", "out": 2}],
    "loss": {"kind": "cross_entropy"},
    "feedback": {"rule": "bp"},
    "update": {"rule": "sgd", "lr": 0.1},
    "train": {"batch": 4},
}


class Transform:
    """As torchvision has it: called with an image, draws from the generator of torch."""

    def __call__(self, image: torch.Tensor) -> Any:
        return image


class Add(Transform):
    """One number, drawn anew for each image."""

    def __init__(self, most: int = 256, way: int = 1) -> None:
        if most < 1:
            raise ValueError("most should be\n positive")
        self.most = most

    def __call__(self, image: torch.Tensor) -> Any:
        return image + torch.randint(0, self.most, (), dtype=torch.uint8)


class Colours(Enum):
    WARM, COLD = "warm", "cold"


class Tint(Transform):
    def __init__(self, colours: Colours = Colours.WARM) -> None:
        self.colours = colours

    def __call__(self, image: torch.Tensor) -> Any:
        return torch.full_like(image, 1 if self.colours is Colours.WARM else 2)


class Each(Transform):
    def __init__(self, transforms: Any) -> None:
        self.transforms = transforms

    def __call__(self, image: torch.Tensor) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image


class Narrow(Transform):
    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, image: torch.Tensor) -> Any:
        return image[..., : self.width]


class Number(Transform):
    def __call__(self, image: torch.Tensor) -> Any:
        return image / 255


class Nothing(Transform):
    def __call__(self, image: torch.Tensor) -> Any:
        return None


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.v2")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for each in (Transform, Add, Tint, Each, Narrow, Number, Nothing, Colours):
        setattr(sys.modules[names[-1]], each.__name__, each)


def images(n: int = 9) -> NDArray[np.uint8]:
    return np.random.default_rng(n).integers(0, 256, (n, *SHAPE), np.uint8)


# -- what is drawn -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("stand_in")
def test_each_image_is_changed_in_a_way_of_its_own_that_the_seed_decides() -> None:
    """Against the same numbers drawn from a generator of their own."""
    found = Transforms(["Add", {"Add": {"most": 7}}])(images(), 5)
    own = torch.Generator().manual_seed(5)
    for before, after in zip(images(), found, strict=True):
        first, second = (
            int(torch.randint(0, most, (), dtype=torch.uint8, generator=own)) for most in (256, 7)
        )
        np.testing.assert_array_equal(after, (before.astype(int) + first + second) % 256)


@pytest.mark.usefixtures("stand_in")
def test_they_come_behind_flips_and_moves_which_stay_as_they_are() -> None:
    raw, plain = images(), Augment(flip=True, crop=2)
    both = replace(plain, transforms=Transforms([{"Add": {"most": 1}}]))
    np.testing.assert_array_equal(changed(raw, both, 3, 4), changed(raw, plain, 3, 4))
    drawn = replace(plain, transforms=Transforms(["Add"]))
    shifts = changed(raw, drawn, 3, 4) - changed(raw, plain, 3, 4)
    assert (shifts == shifts[:, :1, :1, :1]).all(), "one number an image"
    assert len(np.unique(shifts)) > 1
    np.testing.assert_array_equal(changed(raw, drawn, 3, 4), changed(raw, drawn, 3, 4))
    for seed, step in ((3, 5), (4, 4)):
        assert (changed(raw, drawn, seed, step) != changed(raw, drawn, 3, 4)).any()


@pytest.mark.usefixtures("stand_in")
def test_whoever_else_draws_goes_on_as_if_nothing_had_been_drawn() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    Transforms(["Add"])(images(), 5)
    with pytest.raises(FacError, match="fails"):
        Transforms(["Add", {"Narrow": {"width": "a"}}])(images(), 5)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


@pytest.mark.usefixtures("stand_in")
def test_threads_that_read_at_the_same_time_read_the_same() -> None:
    change, raw = Transforms(["Add"]), images(200)
    alone = [change(raw, seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for found, expected in zip(pool.map(lambda seed: change(raw, seed), range(4)), alone, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("stand_in")
def test_what_they_are_made_with() -> None:
    assert (Transforms([{"Tint": {"colours": "cold"}}])(images(), 0) == 2).all()
    nested = Transforms([{"Each": {"transforms": ("Add", {"Each": {"transforms": ("Tint",)}})}}])
    assert (nested(images(), 0) == 1).all()


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ad", r"^torchvision has no transform `ad` \(`data.augment\[1\]`\): did you mean `Add`\?"),
        ("zzz", "there are Add, Each, Narrow"),
        ("Transform", "no transform `Transform`"),
        ("Colours", "no transform `Colours`"),
        ({"Add": {"mots": 1}}, r"^`Add` \(`data.augment\[1\]`\) takes no `mots`: did you mean `most`\?"),
        ({"Add": {"p": 1}}, "takes no `p`: what it takes is `most`, `way`"),
        ({"Add": {"most": 0}}, "cannot be made so: ValueError: most should be positive; what it takes is"),
        ({"Add": {"most": "a"}}, "cannot be made so: TypeError"),
        ("Narrow", r"needs `width`: write `{Narrow: {width: \.\.\.}}`"),
        ({"Tint": {"colours": "hot"}}, r"`data.augment\[1\].Tint.colours` is `hot`: .* `warm`, `cold`"),
        ({"Each": {"transforms": "Add"}}, "`data.augment.*transforms` is a list of transforms"),
        ({"Each": {"transforms": (3,)}}, r"transforms\[0\]` is no transform"),
        ({"Each": {"transforms": ("MixUp",)}}, r"`MixUp` mixes labels.*transforms\[0\]"),
        ({"Each": {"transforms": ({"Add": {"mots": 1}},)}}, r"`Add` \(`.*transforms\[0\]`\) takes no `mots`"),
    ],
)
def test_what_no_transform_can_be_made_of(setting: Any, message: str) -> None:
    with pytest.raises(FacError, match=message):
        assert Transforms(["Add", setting]).made


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"Narrow": {"width": 3}},
            r"make images of \[3, 4, 3\] out of \[3, 4, 5\].* the last one make \[4, 5\]",
        ),
        (
            {"Narrow": {"width": "a"}},
            r"^`Narrow` \(`data.augment\[0\]`\) fails on an image of \[3, 4, 5\]: Type",
        ),
        ("Number", "`Number` .* make torch.float32 of bytes"),
        ("Nothing", "`Nothing` .* make NoneType of an image"),
    ],
)
def test_what_does_not_go_with_the_images_is_told_before_a_training(setting: Any, message: str) -> None:
    raw, spec = images(), fac.load(SPEC)
    stored = Stored(raw, of_bytes(), "float64", SHAPE, Augment(transforms=Transforms([setting])))
    session = fac.compile(spec, backend="reference").open()
    with pytest.raises(FacError, match=message):
        Stepping(session, Split(stored, np.arange(9) % 2), spec)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("MixUp", "`MixUp` mixes labels"),
        ({"CutMix": {"alpha": 1}}, "`CutMix` mixes labels"),
        ("ToTensor", "numbers are made of them behind all transforms"),
        ({}, "an empty mapping where one transform is named"),
        ({"A": {}, "B": {}}, "`A` and `B` where one transform is named"),
        (3, "expected text or a mapping"),
        ({"A": 3}, "expected a mapping for `A`"),
    ],
)
def test_what_is_refused_without_asking_torchvision(item: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Cifar(root="r", augment=(item,))


def test_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but a training needs it."""
    changes = Cifar(root="r", augment=("RandomHorizontalFlip",)).changes
    assert changes.transforms is not None
    for name in ("torchvision.transforms.v2", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(FacError, match=r"^`data.augment\[0\]` needs torchvision, of the build of torch"):
        changes.transforms.tried(images())


# -- torchvision itself --------------------------------------------------------------------------------------


@pytest.fixture
def torchvision() -> None:
    """It, beside a torch of any build: one for CPUs lacks two operators that a build for CUDA asks for on import."""
    if torch.version.cuda is None and not hasattr(torch.ops.torchvision, "nms"):
        for name in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )


@pytest.mark.usefixtures("torchvision")
def test_flips_and_crops_of_torchvision() -> None:
    """Against the numbers that it draws: whether to flip, then where the part begins in the image with its border."""
    raw = images(40)
    change = Transforms(["RandomHorizontalFlip", {"RandomCrop": {"size": (4, 5), "padding": 1, "fill": 7}}])
    found, own = change(raw.copy(), 11), torch.Generator().manual_seed(11)
    flips = 0
    for before, after in zip(raw, found, strict=True):
        turn = float(torch.rand(1, generator=own)) < 0.5
        down, right = (int(torch.randint(0, 3, (1,), generator=own)) for _ in range(2))
        wide = np.pad(before[..., ::-1] if turn else before, ((0, 0), (1, 1), (1, 1)), constant_values=7)
        np.testing.assert_array_equal(after, wide[:, down : down + 4, right : right + 5])
        flips += turn
    assert 10 < flips < 30


@pytest.mark.usefixtures("torchvision")
def test_settings_as_files_say_them() -> None:
    settings: list[Any] = [
        {"RandomApply": {"transforms": ({"ColorJitter": {"brightness": 0.2}},), "p": 0.3}},
        {"RandomAffine": {"degrees": 10, "interpolation": "bilinear"}},
        {"AutoAugment": {"policy": "cifar10"}},
        {"RandomErasing": {"p": 0.25}},
    ]
    first, again = (Transforms(settings)(images(30), 2) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != images(30)).any()
