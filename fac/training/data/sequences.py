"""Sequences of unequal length from two `.ts` files, padded with zeros, and a mask that says where each of them ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fac.diagnostics import FacError
from fac.spec.data import Data, Place
from fac.step.feed import Feed
from fac.training.data.table import listed
from fac.training.data.time_series import Series, counted, read
from fac.training.dataset import DataKind, Dataset, Split

if TYPE_CHECKING:
    from fac.backend import Precision


class Sequences(Data):
    """Two `.ts` files of sequences, of equal length or not, each with a class: the format of the UEA archive and aeon.

    The network reads [T, channels], one row for each step, and sequences shorter than T are filled up with zeros. Every
    input with `mask: true` and shape [T] then says where they end: 1 up to there, 0 behind. Each channel is
    standardised with its mean and deviation over all steps to train on. Classes are numbered as the header of `train`
    lists them.
    """

    source: Literal["sequences"] = Field(
        default="sequences", description="Sequences with a class each, in `.ts` files."
    )
    train: Annotated[str, Place()] = Field(
        description="`.ts` file of the training split; relative to the folder of the spec."
    )
    test: Annotated[str, Place()] = Field(
        description="`.ts` file of the test split; relative to the folder of the spec."
    )


@dataclass(frozen=True, slots=True)
class _Ragged:
    """Both splits before they have a shape; called with what a network is fed with, it makes the data set."""

    splits: dict[str, Series]
    precision: Precision

    def __call__(self, feeds: Sequence[Feed]) -> Dataset:
        """Arrays by the names of the feeds.

        Raises:
            FacError: the network reads no sequences of so many channels, they are longer than what it reads, or they
                have to be padded and it has no mask.
        """
        read = [feed for feed in feeds if feed.loss is None and not feed.mask]
        masks = [feed for feed in feeds if feed.mask]
        if len(read) != 1:
            names = ", ".join(f"`{feed.name}`" for feed in read)
            raise FacError(
                f"`sequences` fill one input beside masks, and the network has {len(read)}: {names or 'masks alone'}"
                "; use `arrays`, which may have several"
            )
        (feed,) = read
        length = self._length(feed)
        for mask in masks:
            if mask.shape != (length,):
                raise FacError(
                    f"`sequences` fill masks with one number for each of {length} steps, and `{mask.origin}.shape` is "
                    f"{list(mask.shape)}: write `shape: [{length}]`"
                )
        for split in self.splits.values():
            self._require_room(split, feed, length, bool(masks))
        return Dataset(
            "sequences",
            *(_padded(split, feed, masks, self.precision) for split in self.splits.values()),
            classes=tuple(self.splits["train"].classes),
        )

    def _length(self, feed: Feed) -> int:
        """How many steps the network reads."""
        channels, longest = self.splits["train"].channels, max(max(s.lengths) for s in self.splits.values())
        if feed.classes is not None:
            raise FacError(
                f"`sequences` hold real numbers, and `{feed.origin}.classes` asks for whole ones: leave `classes` out"
            )
        if feed.shape[1:] == (channels,) or (channels == 1 and len(feed.shape) == 1):
            return feed.shape[0]
        turned = feed.shape[:1] == (channels,) and len(feed.shape) == 2
        also = ", and a `permute` layer behind it for channels in front" if turned else ""
        raise FacError(
            f"{self.splits['train'].place} has {counted(channels, 'channel')}, and `{feed.origin}.shape` is "
            f"{list(feed.shape)}: write [steps, channels], here `shape: [{longest}, {channels}]`{also}"
        )

    def _require_room(self, split: Series, feed: Feed, length: int, masked: bool) -> None:
        for index, steps in enumerate(split.lengths):
            found = f"{split.at(index)}: the sequence has {counted(steps, 'step')}"
            if steps > length:
                most = max(max(s.lengths) for s in self.splits.values())
                raise FacError(
                    f"{found}, and `{feed.origin}.shape` has room for {length}: write "
                    f"`{[most, *feed.shape[1:]]}`, for the longest one"
                )
            if steps < length and not masked:
                raise FacError(
                    f"{found} of {length}, and no input of the network is a mask, so that what is filled up would "
                    f"count: declare `inputs` with one such as `valid: {{shape: [{length}], mask: true}}`, and name it "
                    "in the layers that go along the steps"
                )


def load(data: Sequences, base: Path, precision: Precision) -> Dataset:
    """A data set that is padded once it is known what a network reads, see `Dataset.arranged`.

    Until then x is [n, longest, channels] with zeros behind the ends, and y (n,) numbers classes.

    Raises:
        FacError: a file is missing, or is not in the format; the test split has other channels or other classes.
    """
    import numpy as np

    train, test = (
        read(base, name, f"`{name}` (`data.{part}`)")
        for part, name in (("train", data.train), ("test", data.test))
    )
    if train.channels != test.channels:
        raise FacError(
            f"{test.place} has {counted(test.channels, 'channel')}, and {train.place} {train.channels}: "
            "give two files of one task"
        )
    for index, label in enumerate(test.labels):
        if label not in train.classes:
            raise FacError(
                f"{test.at(index)}: class `{label}` is not among those of {train.place}, {listed(train.classes)}: "
                "give two files of one task"
            )
    steps = np.concatenate(train.samples)
    mean, deviation = steps.mean(0), steps.std(0)
    deviation[deviation == 0] = 1  # a channel that never moves becomes 0
    splits = {
        part: split.scaled(mean, deviation, train.classes)
        for part, split in (("train", train), ("test", test))
    }
    arranged = _Ragged(splits, precision)
    longest = max(max(split.lengths) for split in splits.values())
    whole = Feed("x", (longest, train.channels))
    return Dataset(
        "sequences",
        *(_padded(s, whole, (), precision) for s in splits.values()),
        classes=tuple(train.classes),
        arranged=arranged,
    )


def _padded(split: Series, feed: Feed, masks: Sequence[Feed], precision: Precision) -> Split:
    """[n, *feed shape] with zeros behind the ends, and the masks [n, T]."""
    import numpy as np

    x = np.zeros((len(split.samples), feed.shape[0], split.channels), precision)
    for row, sample in zip(x, split.samples, strict=True):
        row[: len(sample)] = sample
    kept = (np.arange(feed.shape[0]) < np.array(split.lengths)[:, None]).astype(precision)
    y = np.array([split.classes.index(label) for label in split.labels], np.int64)
    return Split(**{feed.name: x.reshape(-1, *feed.shape)} | {mask.name: kept for mask in masks} | {"y": y})


KIND = DataKind("sequences", Sequences, load, masks=True)
