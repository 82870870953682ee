"""Data sets in memory, and the order of their samples; `fac.training.fitting` fits them to a network.

This module and the data sources import NumPy inside functions only: to check a spec one needs the kinds, and
checking must stay quick and free of NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fac.spec.data import Data, places
from fac.step.feed import Feed
from fac.step.shapes import fits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fac.backend import Precision
    from fac.training.scaling import Scaling
    from fac.training.transforms import Transforms

D = TypeVar("D", bound=Data)
AT_ONCE = 4096
"""Samples that a digest reads at a time."""


class Split:
    """The samples of one purpose, n of them."""

    def __init__(self, x: Any = None, y: NDArray[Any] | None = None, /, **others: Any) -> None:
        """Arrays by the names of the feeds, or what is read as one, see `fac.training.stored`.

        Args:
            x: (n, *sample shape), floats or integers, for a network with one input.
            y: (n,) integer class labels, or (n, *output) targets, for a loss with bounds integers or truth values too.
            others: what else the network and its losses are fed with, likewise.
        """
        given = {name: array for name, array in (("x", x), ("y", y)) if array is not None}
        self.arrays: Mapping[str, Any] = given | others

    @property
    def x(self) -> NDArray[Any]:
        """The array of that name."""
        x: NDArray[Any] = self.arrays["x"]
        return x

    @property
    def y(self) -> NDArray[Any]:
        """The array of that name."""
        y: NDArray[Any] = self.arrays["y"]
        return y

    def __len__(self) -> int:
        """The number of samples."""
        return len(next(iter(self.arrays.values())))


@dataclass(frozen=True, slots=True)
class Augment:
    """What a training changes in images (channels, height, width), each time that it sees one."""

    flip: bool = False
    """Left and right change places in every second one."""
    crop: int = 0
    """Images are moved by up to so many pixels, down or up and right or left; what comes in is black."""
    transforms: Transforms | None = None
    """What is done to them behind that."""

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return self.flip or self.crop > 0 or self.transforms is not None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Training samples that are drawn for validation."""

    share: float
    """Of them, between 0 and 1."""
    seed: int

    def count(self, n: int) -> int:
        """How many of n samples: at least one, and not all of them."""
        return min(max(round(n * self.share), 1), n - 1)


@dataclass(frozen=True, eq=False, slots=True)
class Dataset:
    """What a data source loads."""

    name: str
    """What messages call it."""
    train: Split
    test: Split
    validation: Split | None = field(default=None, kw_only=True)
    """What is evaluated beside the test samples; None if nothing is."""
    held_out: HeldOut | None = field(default=None, kw_only=True)
    """How `validation` is still to be taken from `train`, once the arrays are known that a network reads."""
    scale: Mapping[str, tuple[int, ...] | Scaling] = field(default_factory=dict, kw_only=True)
    """Arrays that are still to be scaled: in a way that is known, or by means and deviations of the training samples
    that are not held out, taken over these axes of a sample."""
    scalings: Mapping[str, Scaling] = field(default_factory=dict, kw_only=True)
    """What was done to them."""
    augment: Augment = field(default_factory=Augment, kw_only=True)
    """What a training changes in the bytes of `x`."""
    classes: tuple[str, ...] = field(default=(), kw_only=True)
    """What the classes are called, in the order of their numbers; empty if they have no names."""
    columns: tuple[str, ...] = field(default=(), kw_only=True)
    """What the numbers of `x` are called, in their order; empty if they have no names."""
    arranged: Callable[[Sequence[Feed]], Dataset] | None = field(default=None, kw_only=True)
    """Makes the arrays that a network is fed with, if samples have no shape of their own, as sequences of unequal
    length have none: what there is in `train` and `test` is not what is read."""

    @property
    def splits(self) -> dict[str, Split]:
        """By their names: `train`, `validation` if there is one, `test`."""
        held = {} if self.validation is None else {"validation": self.validation}
        return {"train": self.train, **held, "test": self.test}

    def each(self, change: Callable[[str, Split], Split]) -> Dataset:
        """The same with other splits, each made of its name and what it was."""
        made = {name: change(name, split) for name, split in self.splits.items()}
        return replace(self, train=made["train"], validation=made.get("validation"), test=made["test"])


def called(dataset: Dataset, part: str) -> str:
    """What messages call a split."""
    return f"the `{part}` split of `{dataset.name}`"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the samples of a source before any is read."""

    sample: tuple[int, ...]
    """Shape of one x."""
    outputs: int
    """Number of classes, or of targets of each sample."""
    classes: bool
    """Whether y holds class labels."""
    train: int | None
    """Number of samples to train on; None if only the data can tell."""
    within: tuple[float, float] | None = None
    """Between which numbers targets lie; None if only the data can tell."""
    whole: int | None = None
    """Whole numbers below this are what x holds; None if it holds real ones."""
    places: tuple[int, ...] = ()
    """Shape of the labels of one sample: none of one label, [T] of one for each token."""
    next: bool = False
    """Whether the label at each place is what x holds at the next one."""

    def fit(self, shape: tuple[int, ...]) -> bool:
        """Whether samples fit an input of that shape, see `fits`."""
        return fits(self.sample, shape)


def named_places(data: Data) -> dict[str, str]:
    """The files and folders that a section names, by field. `./a` and `a` are one; links are not followed."""
    named = {name: getattr(data, name) for name in places(type(data))}
    return {name: normpath(path) for name, path in named.items() if path is not None}


@dataclass(frozen=True)
class DataKind(Generic[D]):
    """One data source: a member of the entry-point group `fac.data`."""

    name: str
    """The value of `source` in the spec."""
    spec: type[D]
    load: Callable[[D, Path, Precision], Dataset]
    """Reads or makes the data. Relative paths in the spec start from the second argument. Floats have at least the
    precision of the third: what is less exact would stay so in a run of float64, and more takes memory for nothing."""
    facts: Callable[[D], Facts | None] = lambda _: None
    """For `fac check`, which reads no data; None if only the data can tell."""
    arrays: Callable[[D], tuple[str, ...]] = lambda _: ("x", "y")
    """How the arrays of a split are called, see `fac.step.feed.matched`."""
    parts: Callable[[D], Mapping[str, str]] = named_places
    """Which samples a spec names for each split: fields, `train` among them, and what is equal for equal samples."""
    masks: bool = False
    """Whether it fills the masks of a network, whatever they are called, see `Dataset.arranged`."""

    def trained_on(self, data: D) -> tuple[str, ...]:
        """The fields that name the training samples once more, for another purpose."""
        parts = self.parts(data)
        train = parts.get("train")
        return tuple(name for name, part in parts.items() if name != "train" and part == train)

    def known(self, data: D) -> Facts | None:
        """`facts`, with the training samples that are left when some are held out for validation."""
        facts = self.facts(data)
        if facts is None or facts.train is None or data.validation is None:
            return facts
        return replace(
            facts, train=facts.train - HeldOut(data.validation, data.split_seed).count(facts.train)
        )


def fingerprint(split: Split, precision: Precision) -> str:
    """A digest of the samples, their order and shapes, floats rounded to a precision: 32 hexadecimal digits.

    Fashion-MNIST (188 MB) takes a quarter of a second, once per training.
    """
    import hashlib

    import numpy as np

    digest = hashlib.blake2b(digest_size=16)
    for array in split.arrays.values():
        dtype = np.dtype(precision) if array.dtype.kind == "f" else array.dtype
        digest.update(f"{dtype.str} {array.shape};".encode())
        # some samples at a time: a rounded copy of all of them can be half the memory that a training takes
        for start in range(0, len(array), AT_ONCE):
            part = array[start : start + AT_ONCE].astype(dtype, copy=False)
            digest.update(np.ascontiguousarray(part).data.cast("B"))
    return digest.hexdigest()


def order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """(n,) permutation of 0..n-1 in which the samples are visited in `epoch`.

    It depends on the three arguments alone, so a resumed training goes on with the same batches. Seed and
    epoch lie in 0..2⁶⁴-1. Raw Philox words are sorted rather than `Generator.permutation` called, because
    NumPy may change the algorithm of the latter between releases.
    """
    import numpy as np

    words = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(n)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)
