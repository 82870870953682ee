"""Sets of labelled images that torchvision knows, by the names of `torchvision.datasets`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from fac.diagnostics import FacError
from fac.opening import placed
from fac.spec.data import Place
from fac.training.data.images import Alike, Resized, of_image
from fac.training.dataset import DataKind, Dataset, HeldOut, Split
from fac.training.vision import accepted, class_of, listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fac.backend import Precision

Value = bool | int | float | str | None
OURS = frozenset(("root", "train", "download", "transform", "target_transform", "transforms"))
"""What its sets are called with that `args` does not say."""


class Torchvision(Resized):
    """A set of `torchvision.datasets` with one label for each image. A sample is [channels, height, width].

    Which part is which, a set is told by `train` or by `split`; of one that knows neither, `test_share` is for testing.
    """

    source: Literal["torchvision"] = Field(
        default="torchvision",
        description="Labelled images by the names of `torchvision.datasets`; needs torchvision.",
    )
    name: str = Field(description="Which set, such as `CIFAR10`.")
    root: Annotated[str, Place()] = Field(
        description="Folder in which torchvision has its sets; relative to the folder of the spec."
    )
    download: bool = Field(default=False, description="Whether torchvision may fetch what is not there.")
    args: Mapping[str, Value] = Field(
        default_factory=dict,
        description="What else the set is made with, such as `{split: letters}`, by name.",
    )
    parts: tuple[str, str] = Field(
        default=("train", "test"),
        description="What its `split` calls the training and the test part, if it has one.",
    )
    test_share: float | None = Field(
        default=None, gt=0, lt=1, description="Which part is for testing, of a set that does not say so."
    )


def load(data: Torchvision, base: Path, precision: Precision) -> Dataset:
    """x (n, channels, height, width), bytes that are still to be scaled; y (n,) classes.

    Raises:
        FacError: torchvision is not installed, has no such set, or not with these arguments; the set is not there; or
            its items are no images with one label each.
    """
    from fac.training.holdout import parted

    make = class_of("datasets", "VisionDataset", "set", data.name, "`data.name`")
    known = _arguments(make, data)
    root = placed(base, data.root, f"`{data.root}` (`data.root`)")
    common: dict[str, Any] = dict(data.args)
    if "root" in known:
        common["root"] = root
    if "download" in known:
        common["download"] = data.download
    alike, splits = Alike(), []
    names: tuple[str, ...] = ()
    for choice in _choices(data, known):
        with _blamed(data):
            found = make(**common, **choice)
        splits.append(_read(found, data, alike, ", ".join(map(str, choice.values()))))
        names = names or _names(found)
    if len(splits) == 1:
        splits = [*parted(splits[0], HeldOut(data.test_share or 0.0, data.split_seed), splits[0].y)]
    classes = max(int(split.y.max()) for split in splits) + 1
    return Dataset(
        f"torchvision {data.name}",
        *splits,
        scale=data.scale,
        augment=data.changes,
        classes=names if len(names) >= classes else (),
    )


def _arguments(make: Any, data: Torchvision) -> frozenset[str]:
    """What a set may be made with; what the spec says of it has to be among that."""
    known = frozenset(accepted(make))
    for name in data.args:
        if name not in known or name in OURS:
            raise FacError(
                f"`{data.name}` takes no `{name}` (`data.args`): what it takes is {listed(sorted(known - OURS))}"
            )
    if data.download and "download" not in known:
        raise FacError(f"`{data.name}` fetches nothing: leave out `data.download`")
    return known


def _choices(data: Torchvision, known: frozenset[str]) -> list[dict[str, Any]]:
    """How its parts are asked for: both, or all of it."""
    if "train" in known:
        ways: list[dict[str, Any]] = [{"train": True}, {"train": False}]
    elif "split" in known and "split" not in data.args:
        ways = [{"split": part} for part in data.parts]
    else:
        ways = []
    if bool(ways) == (data.test_share is not None):
        raise FacError(
            f"`{data.name}` has a test part of its own: leave out `data.test_share`"
            if ways
            else f"`{data.name}` does not say which samples are for testing: write `test_share: 0.2`"
        )
    return ways or [{}]


@contextmanager
def _blamed(data: Torchvision) -> Iterator[None]:
    """Whatever torchvision says is one message."""
    try:
        yield
    except Exception as error:
        remedy = "" if data.download else "; `download: true` lets it fetch what is not there"
        if isinstance(error, TypeError):
            remedy = "; `data.args` says what else it is made with"
        said = " ".join(str(error).split())[:300]
        raise FacError(
            f"torchvision cannot read `{data.name}` in `{data.root}` (`data.root`): {type(error).__name__}: "
            f"{said}{remedy}"
        ) from error


def _read(found: Any, data: Torchvision, alike: Alike, part: str) -> Split:
    import numpy as np

    from fac.memory import require_room

    place = f"`{data.name}`" + (f" ({part})" if part else "")
    n = len(found)
    if not n:
        raise FacError(f"{place} is empty: name another `root`, or other `args`")
    first = _image(found, 0, data, alike, place)[0]
    require_room(
        f"{n:,} images of {list(first.shape)} in {place}", first.size * n, "give a smaller `data.size`"
    )
    whole = _whole(found, first, data)
    if whole is not None:
        return Split(*whole)
    x, y = np.empty((n, *first.shape), np.uint8), np.empty(n, np.int64)
    for number in range(n):
        x[number], y[number] = _image(found, number, data, alike, place)
    return Split(x, y)


def _image(
    found: Any, number: int, data: Torchvision, alike: Alike, place: str
) -> tuple[NDArray[np.uint8], int]:
    """One item: its pixels and its label."""
    with _blamed(data):
        item = found[number]
    image: Any
    label: Any
    image, label = item if isinstance(item, tuple) and len(item) == 2 else (None, None)
    if not hasattr(image, "convert") or isinstance(label, bool) or not hasattr(label, "__index__"):
        what = "no image" if not hasattr(image, "convert") else f"{type(label).__name__} beside its image"
        raise FacError(f"item {number} of {place} has {what}: only images with one label each are read")
    return alike.required(
        of_image(image, data.channels, data.size), f"item {number} of {place}"
    ), label.__index__()


def _whole(
    found: Any, first: NDArray[np.uint8], data: Torchvision
) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    """All at once, of a set that has its pixels in one array: some hundred times as fast as one by one."""
    import numpy as np

    pixels, labels = getattr(found, "data", None), getattr(found, "targets", None)
    if data.size or data.channels or pixels is None or labels is None or isinstance(pixels, list):
        return None
    x, y = np.asarray(pixels), np.asarray(labels)
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or y.shape != x.shape[:1] or y.dtype.kind not in "iu":
        return None
    x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    if x.shape[1:] != first.shape or not np.array_equal(x[0], first):
        return None  # it makes its images in another way
    return np.ascontiguousarray(x), y.astype(np.int64)


def _names(found: Any) -> tuple[str, ...]:
    names = getattr(found, "classes", None)
    sound = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return tuple(names) if sound and names else ()


KIND = DataKind("torchvision", Torchvision, load)
