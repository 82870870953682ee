"""Files of time series with a class each: `.ts`, the format of the UEA archive and of aeon.

A header of lines `@key value`, then `@data` and a line for each sample: channels with `:` between them, the numbers of
a channel with `,`, and the class last. Lines that begin with `#` or `%` are comments. Channels of one sample are of one
length, samples need not be (https://www.aeon-toolkit.org/en/stable/examples/datasets/data_loading.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from fac.diagnostics import FacError
from fac.training.data.incoming import opened_data, read_data
from fac.training.data.table import listed, short

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ROOM = 6
"""Bytes of memory that a byte of text takes, as such, by line, and as numbers of a few digits each."""


@dataclass(frozen=True, slots=True)
class Series:
    """What a file holds."""

    place: str
    """What messages call the file."""
    samples: Sequence[NDArray[np.float64]]
    """[steps, channels] each."""
    labels: Sequence[str]
    """The class of each."""
    lines: Sequence[int]
    """Where each stands, from 1."""
    classes: Sequence[str]
    """In the order of the header, by which they are numbered."""

    @property
    def channels(self) -> int:
        """How many numbers there are of each step."""
        channels: int = self.samples[0].shape[1]
        return channels

    @property
    def lengths(self) -> list[int]:
        """How many steps each sample has."""
        return [len(sample) for sample in self.samples]

    def at(self, index: int) -> str:
        """What messages call the place of a sample."""
        return _at(self.place, self.lines[index])

    def scaled(
        self, mean: NDArray[np.float64], deviation: NDArray[np.float64], classes: Sequence[str]
    ) -> Series:
        """The same with each channel less its mean, over its deviation, and classes in another order."""
        samples = [(sample - mean) / deviation for sample in self.samples]
        return replace(self, samples=samples, classes=classes)


def read(base: Path, written: str, place: str) -> Series:
    """A file.

    Args:
        base: the folder of the spec, from which relative paths start.
        written: the path in the spec.
        place: what messages call it.

    Raises:
        FacError: it cannot be read, is not in the format, or holds what no sample with a class is: with its line.
    """
    raw = read_data(opened_data(base, written, place), place, ROOM)
    try:
        # line ends of all systems are one
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise FacError(f"{place} is no `.ts` file: byte {error.start} is not text in UTF-8") from error
    lines = (
        (number, line.strip())
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and not line.lstrip().startswith(("#", "%"))
    )
    header, last = _header(lines, place)
    classes = _classes(header, place, last)
    told = _channels(header, place)
    found = [(number, *_sample(line, classes, _at(place, number))) for number, line in lines]
    if not found:
        raise FacError(f"{_at(place, last)}: no sample stands behind `@data`: give a line for each")
    channels = told or found[0][1].shape[1]
    for number, sample, _ in found:
        if sample.shape[1] != channels:
            said = "its `@dimensions` say" if told else f"line {found[0][0]} has"
            raise FacError(
                f"{_at(place, number)}: the sample has {counted(sample.shape[1], 'channel')}, and {said} {channels}: "
                "give all samples equally many, with `:` between them and before the class"
            )
    numbers, samples, labels = zip(*found, strict=True)
    return Series(place, samples, labels, numbers, classes)


def counted(number: int, word: str) -> str:
    """`1 channel`, `2 channels`."""
    return f"{number} {word}{'s' * (number != 1)}"


def _at(place: str, line: int) -> str:
    return f"{place}, line {line}"


def _header(lines: Iterator[tuple[int, str]], place: str) -> tuple[Mapping[str, tuple[int, list[str]]], int]:
    """For each key, in small letters, its line and its words; and the line of `@data`, where the header ends."""
    found: dict[str, tuple[int, list[str]]] = {}
    for number, line in lines:
        if not line.startswith("@"):
            # Of a file that is none of these, whatever it may be, no word is shown.
            told = f"`{short(line)}`" if found else "something else"
            raise FacError(
                f"{_at(place, number)}: {told} stands before `@data`: a `.ts` file begins with lines such as "
                "`@classLabel true a b`, and `@data` before its samples"
            )
        key, *words = line[1:].split() or [""]
        if key.lower() == "data":
            return found, number
        found[key.lower()] = number, words
    raise FacError(
        f"{place} has no line `@data`: a `.ts` file has a header, `@data`, and a line for each sample"
    )


def _classes(header: Mapping[str, tuple[int, list[str]]], place: str, last: int) -> list[str]:
    """The names of the classes."""
    for key, line in header.items():
        number, words = line
        if key == "timestamps" and words[:1] and words[0].lower() == "true":
            raise FacError(
                f"{_at(place, number)}: samples with time stamps, which are not read: write the values alone, and "
                "`@timeStamps false`"
            )
        if key == "targetlabel" and words[:1] and words[0].lower() == "true":
            raise FacError(
                f"{_at(place, number)}: samples with a target in place of a class: use `source: arrays`"
            )
    number, words = header.get("classlabel", (last, []))
    if not words or words[0].lower() != "true" or len(words) < 2:
        raise FacError(
            f"{_at(place, number)}: the header names no classes: write `@classLabel true` and their names"
        )
    if len(set(words[1:])) < len(words) - 1:
        twice = next(word for word in words[1:] if words[1:].count(word) > 1)
        raise FacError(f"{_at(place, number)}: class `{twice}` is named twice: name each once")
    return words[1:]


def _channels(header: Mapping[str, tuple[int, list[str]]], place: str) -> int | None:
    """How many channels the header says there are; None if it does not."""
    number, words = header.get("dimensions", header.get("dimension", (0, [])))
    if not number:
        return None
    if len(words) != 1 or not (words[0].isdecimal() and len(words[0]) < 10 and int(words[0]) > 0):
        raise FacError(
            f"{_at(place, number)}: `@dimensions {short(' '.join(words))}` is no number of channels: write one, or "
            "leave the line out"
        )
    return int(words[0])


def _sample(line: str, classes: Sequence[str], at: str) -> tuple[NDArray[np.float64], str]:
    """[steps, channels] and the class."""
    import numpy as np

    *parts, label = (part.strip() for part in line.split(":"))
    if not parts:
        raise FacError(
            f"{at}: `{short(line)}` has no `:`: a sample is its channels and its class, with `:` between"
        )
    if label not in classes:
        raise FacError(
            f"{at}: class `{short(label)}`, behind the last `:`, is none of `@classLabel`: {listed(classes)}"
        )
    channels = [_numbers(part, f"{at}, channel {place}") for place, part in enumerate(parts, 1)]
    for place, channel in enumerate(channels, 1):
        if len(channel) != len(channels[0]):
            raise FacError(
                f"{at}: channel {place} has {counted(len(channel), 'step')}, and channel 1 {len(channels[0])}: "
                "give all channels of a sample equally many"
            )
    return np.array(channels).T, label


def _numbers(part: str, at: str) -> list[float]:
    """Of one channel."""
    found = []
    for place, word in enumerate(part.split(","), 1):
        try:
            value = float(word)
        except ValueError as error:
            if word.strip() == "?":
                raise _missing(word, place, at) from error
            raise FacError(
                f"{at}: value {place}, `{short(word.strip())}`, is no number: write numbers with `,` between them"
            ) from error
        if not isfinite(value):
            raise _missing(word, place, at)
        found.append(value)
    return found


def _missing(word: str, place: int, at: str) -> FacError:
    return FacError(
        f"{at}: value {place}, `{word.strip()}`, is missing or not finite: fill it in, or leave the sample "
        "out; only ends are padded"
    )
