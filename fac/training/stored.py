"""Samples that are kept as they were stored, on the disk or as bytes, and become numbers a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.backend import Arrays, Precision, Session
from fac.backend.session import parts
from fac.diagnostics import FacError
from fac.step.shapes import fits
from fac.training.dataset import Augment, Split
from fac.training.scaling import Scaling

Rows = slice | NDArray[np.int64]
STREAM = 1 << 63
"""Added to the number of a step, so that what changes its samples is another stream than the order of an epoch."""


@dataclass(frozen=True, eq=False, slots=True)
class Stored:
    """(n, *sample) numbers, of which those that are asked for are made: scaled, in a precision and a shape.

    It is read as an array is, by rows. What is mapped into memory stays on the disk, and bytes take the room of bytes.
    """

    raw: NDArray[Any]
    scaling: Scaling | None
    precision: Precision
    sample: tuple[int, ...]
    """The shape in which they are read."""
    augment: Augment | None = None
    """What training changes in samples."""

    @property
    def shape(self) -> tuple[int, ...]:
        """That of all."""
        return (len(self.raw), *self.sample)

    @property
    def ndim(self) -> int:
        """How many axes that has."""
        return 1 + len(self.sample)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.raw.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of what is read."""
        return np.dtype(self.precision)

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.raw)

    def __getitem__(self, rows: Rows) -> NDArray[Any]:
        """Some samples."""
        return self._made(self.raw[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All samples."""
        return self[:].astype(dtype or self.dtype, copy=False)

    def trained(self, rows: NDArray[np.int64], seed: int, step: int) -> NDArray[Any]:
        """Some samples as the step of a training sees them: changed as its seed and its number say."""
        found = self.raw[rows]
        return self._made(found if self.augment is None else changed(found, self.augment, seed, step))

    def reshaped(self, sample: tuple[int, ...]) -> Stored:
        """The same in another shape of equally many numbers."""
        return Stored(self.raw, self.scaling, self.precision, sample, self.augment)

    def _made(self, part: NDArray[Any]) -> NDArray[Any]:
        numbers = (
            part.astype(self.precision)
            if self.scaling is None
            else self.scaling.applied(part, self.precision)
        )
        return numbers.reshape(len(part), *self.sample)


def scaled(
    split: Split,
    by: Mapping[str, Scaling],
    what: str,
    precision: Precision,
    read: Mapping[str, tuple[int, ...]],
) -> Split:
    """A split with some of its arrays standardised.

    Samples may have another shape than those that were measured, if that is one as `fits` says: they are brought into
    that of the network or of the means first.

    Args:
        split: as it was loaded.
        by: what is done to the arrays of these names; those of other names stay.
        what: how messages call the split.
        precision: of the floats.
        read: the shape in which the network reads a sample, by the names of the arrays.

    Raises:
        FacError: samples are of a shape to which the means cannot belong.
    """
    made = dict(split.arrays)
    for name, scaling in by.items():
        if name not in made:
            continue
        raw = made[name]
        if scaling.mean.size == 1:  # however many axes it has, it is that of all numbers
            scaling = Scaling(scaling.mean.reshape(()), scaling.deviation.reshape(()))
        sample = _suiting(raw.shape[1:], scaling.mean.shape, read.get(name))
        if sample is None:
            raise FacError(
                f"{name} in {what} has samples of shape {list(raw.shape[1:])}, and the means that the training kept "
                f"have {list(scaling.mean.shape)}: give samples as the training read them"
            )
        raw = raw.reshape(len(raw), *sample)
        made[name] = Stored(raw, scaling, precision, sample) if lazy(raw) else scaling.applied(raw, precision)
    return Split(**made)


def _suiting(
    stored: tuple[int, ...], means: tuple[int, ...], read: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """The shape of a sample to which means of a shape belong: as it is stored, as it is read, or theirs."""
    read = read or stored
    for sample in (stored, read, means):
        suits = len(means) <= len(sample) and all(
            mean in (1, size) for mean, size in zip(means[::-1], sample[::-1], strict=False)
        )
        if suits and fits(stored, sample) and fits(sample, read):
            return sample
    return None


def lazy(raw: NDArray[Any]) -> bool:
    """Whether numbers are made only as they are read: of what is on the disk, and of bytes."""
    return isinstance(raw, np.memmap) or raw.dtype == np.uint8


def changed(images: NDArray[Any], how: Augment, seed: int, step: int) -> NDArray[Any]:
    """Images (n, channels, height, width), flipped and moved, and then transformed, each in a way of its own.

    It depends on the arguments alone. Raw Philox words are used, as for the order of an epoch: a bit of a word flips,
    the remainders of others say from where in the padded image, whose border is 0, a part is taken, and one more is the
    seed of transforms.
    """
    n, (height, width) = len(images), images.shape[2:]
    drawn = np.random.Philox(key=np.array([seed, STREAM + step], np.uint64)).random_raw(3 * n + 1)
    words = drawn[: 3 * n].reshape(3, n)
    span = 2 * how.crop + 1
    down, right = (words[:2] % np.uint64(span)).astype(np.int64)
    flipped = (words[2] >> np.uint64(63)).astype(bool) & how.flip
    border = ((0, 0), (0, 0), (how.crop, how.crop), (how.crop, how.crop))
    padded = np.pad(images, border) if how.crop else images
    made = np.empty_like(images)
    for image, wide, y, x, turn in zip(made, padded, down, right, flipped, strict=True):
        part = wide[:, y : y + height, x : x + width]
        image[:] = part[:, :, ::-1] if turn else part
    return made if how.transforms is None else how.transforms(made, int(drawn[-1]))


class Fed:
    """A split as a session is fed with it: arrays on the device once, and what is stored batch by batch.

    While a step runs, a thread reads the samples of the next one.
    """

    def __init__(self, session: Session, split: Split) -> None:
        """Place what is placed."""
        self.session, self.split = session, split
        self.kept = {name: array for name, array in split.arrays.items() if isinstance(array, Stored)}
        self.data = {
            name: session.place(array) for name, array in split.arrays.items() if name not in self.kept
        }
        self._reader = ThreadPoolExecutor(1, "fac-samples") if self.kept else None
        self._next: tuple[int, Future[Mapping[str, NDArray[Any]]]] | None = None

    def some(self, rows: NDArray[np.int64]) -> Arrays:
        """Some samples, on the device."""
        return self._joined(rows, {name: array[rows] for name, array in self.kept.items()})

    def batch(self, seed: int, step: int, rows: Callable[[int], NDArray[np.int64]]) -> Arrays:
        """The samples of a step of a training, on the device; those of the step after it are read meanwhile.

        Args:
            seed: of the training.
            step: from 0.
            rows: which samples a step reads.
        """
        if self._reader is None:
            return self._joined(rows(step), {})
        if self._next is not None and self._next[0] == step:
            read = self._next[1].result()
        else:
            read = self._read(rows(step), seed, step)
        self._next = step + 1, self._reader.submit(self._read, rows(step + 1), seed, step + 1)
        return self._joined(rows(step), read)

    def host(self, seed: int, step: int, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """The same samples as arrays."""
        read = self._read(rows, seed, step)
        return {
            name: read[name] if name in read else array[rows] for name, array in self.split.arrays.items()
        }

    def evaluated(self) -> dict[str, float]:
        """What an evaluation of all samples finds."""
        return evaluated(self.session, self.data if not self.kept else self.split.arrays)

    def _read(self, rows: NDArray[np.int64], seed: int, step: int) -> Mapping[str, NDArray[Any]]:
        return {name: array.trained(rows, seed, step) for name, array in self.kept.items()}

    def _joined(self, rows: NDArray[np.int64], read: Mapping[str, NDArray[Any]]) -> Arrays:
        """In the order of the feeds."""
        return {
            name: self.session.place(read[name]) if name in read else self.session.take(self.data[name], rows)
            for name in self.split.arrays
        }


def evaluated(session: Session, arrays: Arrays) -> dict[str, float]:
    """As `Session.evaluate`, with no more samples in memory than are looked at at once."""
    if not any(isinstance(array, Stored) for array in arrays.values()):
        return session.evaluate(arrays)
    return session.evaluate_parts(parts(arrays))
