"""What a report says of a trained network on its test samples: classes, and the samples with the highest losses."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fac.experiments.job import Where
from fac.experiments.samples import as_read, loaded, network
from fac.program.lower import kind_of
from fac.render.png import png
from fac.render.report import Measured, Worst
from fac.render.samples import pixels
from fac.training.evaluation import COLUMNS, answers, evaluated, probabilities, which_count

if TYPE_CHECKING:
    from fac.backend import Array, Session
    from fac.training.dataset import Split

SHOWN = 12
"""Samples of the highest losses."""
LISTED = 20
"""Classes, where there are too many for a matrix."""
SINGLY = 2000
"""Samples whose losses are measured one by one, where a loss makes no probabilities: the first ones."""
SIDE = 64
"""Pixels up to which a picture is shown whole; of a larger one every second, third, ... pixel."""


def measured(run: Path, backend: str) -> Measured:
    """The network of a run on the test samples that its spec names.

    Raises:
        FacError: there is no such network, its data are not at hand, or an output is not finite.
    """
    net = network(run, Where(backend))
    precision = net.session.precision
    source = loaded(net.program, net.checkpoint, None, precision)
    split = as_read(source, net.program, net.checkpoint, precision).test
    kind = kind_of("fac.losses", net.program.spec.minimised[0])
    found = evaluated(net.session, split, kind, net.kept.classes)
    of = found.classes
    sure = of is not None and of.calibration is not None
    losses = _by_label(net.session, split, found.names) if sure else _singly(net.session, split)
    first = sorted(losses, key=lambda each: (-each[1], each[0]))[:SHOWN]
    images = _images(net.session, split, source.test, [number for number, *_ in first])
    worst = [
        Worst(number, loss, about, image) for (number, loss, about), image in zip(first, images, strict=True)
    ]
    if of is None:
        return Measured(str(run), found.samples, dict(found.means), worst=worst)
    least = sorted((i for i, many in enumerate(of.labels) if many), key=lambda i: (of.recall[i], i))[:LISTED]
    return Measured(
        str(run),
        found.samples,
        dict(found.means),
        found.names,
        () if of.confusion is None else of.confusion.tolist(),
        of.rows(least, found.names),
        COLUMNS,
        worst,
    )


Losing = tuple[int, float, str]
"""The number of a sample, its loss, and what it is about."""


def _by_label(session: Session, split: Split, names: Any) -> Iterator[Losing]:
    """-log p of the label; of samples with several the mean over those that count."""
    term = session.compiled.losses[0]
    target = next(feed for feed in session.compiled.targets if feed.name == term.target)
    start = 0
    for batch, output in answers(session, split):
        y = batch[term.target]
        counts = which_count(y, batch, term, target)
        p = probabilities(np.moveaxis(output, 1 + term.axis, -1))
        label = np.where(counts, y, 0)
        of_label = np.take_along_axis(p, label[..., None], -1)[..., 0]
        losses = np.where(counts, -np.log(np.maximum(of_label, np.finfo(np.float64).tiny)), 0.0)
        many = counts.reshape(len(y), -1).sum(1)
        means = losses.reshape(len(y), -1).sum(1) / np.maximum(many, 1)
        for i in np.flatnonzero(many).tolist():
            yield start + i, float(means[i]), _named(y[i], p[i], names)
        start += len(y)


def _named(label: NDArray[Any], p: NDArray[np.float64], names: Any) -> str:
    if p.ndim > 1:
        return f"{p[..., 0].size} labels"
    named = int(p.argmax())

    def called(number: int) -> str:
        return str(names[number]) if 0 <= number < len(names) else str(number)

    return f"{called(int(label))} taken for {called(named)} with p = {p[named]:.2f}"


def _singly(session: Session, split: Split) -> Iterator[Losing]:
    n = min(len(split), SINGLY)
    about = "" if n == len(split) else f"of the first {n:,}"
    for i in range(n):
        one = {name: np.asarray(array[i : i + 1]) for name, array in split.arrays.items()}
        yield i, float(session.evaluate(one)["loss"]), about


def _images(session: Session, split: Split, source: Split, numbers: list[int]) -> list[bytes | None]:
    """The first input of each of these samples, if it is of numbers; in the shape that its source gives it."""
    feed = next(feed for feed in session.compiled.feeds if feed.loss is None)
    if feed.classes is not None or feed.mask or not numbers:
        return [None] * len(numbers)
    whole = source.arrays.get(feed.name)
    if whole is None or len(whole) != len(split):
        whole = split.arrays[feed.name]
    x: Array = np.stack([np.asarray(whole[i : i + 1])[0] for i in numbers])
    return [png(np.ascontiguousarray(_small(image))) for image in pixels(x)]


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    every = max(1, ceil(max(image.shape[:2]) / SIDE)) if image.shape[0] > 1 else 1
    return image[::every, ::every]
