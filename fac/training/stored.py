"""Samples that are kept as they were stored, on the disk or as bytes, and become numbers a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.backend import Arrays, Moves, Precision, Session
from fac.backend.session import CHUNK, parts
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

    def tried(self) -> None:
        """Raise FacError if what training changes cannot be, see `Transforms`."""
        if self.augment is not None and self.augment.transforms is not None:
            self.augment.transforms.tried(self.raw)

    def kept(self, session: Session) -> Any | None:
        """The bytes on the device of a session, if that is where numbers are made of them."""
        if self.scaling is None or self.raw.dtype != np.uint8:
            return None
        if self.augment is not None and self.augment.transforms is not None:
            return None  # torchvision's, which the host carries out
        levels = self.scaling.levels()
        return None if levels is None else session.keep_bytes(self.raw, levels)

    def moves(self, rows: NDArray[np.int64], seed: int, step: int) -> Moves:
        """What `trained` changes, for a session that keeps the bytes."""
        if self.augment is None:
            return Moves(rows)
        return Moves(rows, drawn(len(rows), self.augment, seed, step)[0], self.augment.crop)

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

    It depends on the arguments alone, see `drawn`.
    """
    height, width = images.shape[2:]
    (down, right, flipped), word = drawn(len(images), how, seed, step)
    border = ((0, 0), (0, 0), (how.crop, how.crop), (how.crop, how.crop))
    padded = np.pad(images, border) if how.crop else images
    made = np.empty_like(images)
    for image, wide, y, x, turn in zip(made, padded, down, right, flipped, strict=True):
        part = wide[:, y : y + height, x : x + width]
        image[:] = part[:, :, ::-1] if turn else part
    return made if how.transforms is None else how.transforms(made, word)


def drawn(n: int, how: Augment, seed: int, step: int) -> tuple[NDArray[np.int64], int]:
    """What is changed in n images, see `Moves.changes`, and the seed of transforms.

    Raw Philox words are used, as for the order of an epoch: the remainders of some say from where in the padded image a
    part is taken, a bit of others flips it, and one more is the seed.
    """
    words = np.random.Philox(key=np.array([seed, STREAM + step], np.uint64)).random_raw(3 * n + 1)
    changes = words[: 3 * n].reshape(3, n)
    changes[:2] %= np.uint64(2 * how.crop + 1)
    changes[2] = (changes[2] >> np.uint64(63)) & np.uint64(how.flip)
    return changes.astype(np.int64), int(words[-1])


class Fed:
    """A split as a session is fed with it: arrays on the device once, and what is stored batch by batch.

    So are bytes, where the device keeps them: they become numbers there. Of what is left to the host, a thread reads
    the samples of the next step while one runs.
    """

    def __init__(self, session: Session, split: Split) -> None:
        """Place what is placed."""
        self.session, self.split = session, split
        stored = {name: array for name, array in split.arrays.items() if isinstance(array, Stored)}
        kept = {name: array.kept(session) for name, array in stored.items()}
        self.kept = {name: (stored[name], on) for name, on in kept.items() if on is not None}
        self.stored = {name: array for name, array in stored.items() if name not in self.kept}
        self.data = {name: session.place(array) for name, array in split.arrays.items() if name not in stored}
        self._reader = ThreadPoolExecutor(1, "fac-samples") if self.stored else None
        self._next: tuple[int, Future[Mapping[str, NDArray[Any]]]] | None = None

    def some(self, rows: NDArray[np.int64]) -> Arrays:
        """Some samples, on the device."""
        read = {name: array[rows] for name, array in self.stored.items()}
        return self._joined(rows, read, dict.fromkeys(self.kept, Moves(rows)))

    def batch(self, seed: int, step: int, rows: Callable[[int], NDArray[np.int64]]) -> Arrays:
        """The samples of a step of a training, on the device; those of the step after it are read meanwhile.

        Args:
            seed: of the training.
            step: from 0.
            rows: which samples a step reads.
        """
        moves = {name: array.moves(rows(step), seed, step) for name, (array, _) in self.kept.items()}
        if self._reader is None:
            return self._joined(rows(step), {}, moves)
        if self._next is not None and self._next[0] == step:
            read = self._next[1].result()
        else:
            read = self._read(rows(step), seed, step)
        self._next = step + 1, self._reader.submit(self._read, rows(step + 1), seed, step + 1)
        return self._joined(rows(step), read, moves)

    def host(self, seed: int, step: int, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """The same samples as arrays."""
        return {
            name: array.trained(rows, seed, step) if isinstance(array, Stored) else array[rows]
            for name, array in self.split.arrays.items()
        }

    def evaluated(self) -> dict[str, float]:
        """What an evaluation of all samples finds."""
        if self.kept and not self.stored:
            n = len(self.split)
            chunks = (np.arange(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK))
            return self.session.evaluate_parts(self.some(rows) for rows in chunks)
        return evaluated(self.session, self.split.arrays if self.stored else self.data)

    def _read(self, rows: NDArray[np.int64], seed: int, step: int) -> Mapping[str, NDArray[Any]]:
        return {name: array.trained(rows, seed, step) for name, array in self.stored.items()}

    def _joined(
        self, rows: NDArray[np.int64], read: Mapping[str, NDArray[Any]], moves: Mapping[str, Moves]
    ) -> Arrays:
        """In the order of the feeds."""
        return {name: self._one(name, rows, read, moves) for name in self.split.arrays}

    def _one(
        self,
        name: str,
        rows: NDArray[np.int64],
        read: Mapping[str, NDArray[Any]],
        moves: Mapping[str, Moves],
    ) -> Any:
        if name in read:
            return self.session.place(read[name])
        if name in moves:
            array, on = self.kept[name]
            return self.session.take_bytes(on, moves[name], array.sample)
        return self.session.take(self.data[name], rows)


def evaluated(session: Session, arrays: Arrays) -> dict[str, float]:
    """As `Session.evaluate`, with no more samples in memory than are looked at at once."""
    if not any(isinstance(array, Stored) for array in arrays.values()):
        return session.evaluate(arrays)
    return session.evaluate_parts(parts(arrays))
