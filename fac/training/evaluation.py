"""What a trained network does on samples: its losses, and what becomes of each class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fac.backend import Array, Session, Term
from fac.backend.session import parts
from fac.diagnostics import FacError
from fac.escaping import visible
from fac.program.kinds import LossKind
from fac.render.html import table
from fac.step.feed import Feed
from fac.training.dataset import Split
from fac.training.stored import evaluated as measured

if TYPE_CHECKING:
    from fac.audit import Measured

COLUMNS = ("class", "labels", "recall %", "precision %", "mostly mistaken for")
BINS = 15
"""Equal parts of [0, 1] by which confidence is sorted."""
SHOWN = 1000
"""Classes up to which it is counted which one was taken for which: their number grows with its square."""


@dataclass(frozen=True, eq=False, slots=True)
class Calibration:
    """Whether the network is right as often as it says, by how sure it is (Guo et al. 2017, arXiv 1706.04599)."""

    count: NDArray[np.int64]
    """[BINS] labels whose class was named with a probability in ((b - 1) / BINS, b / BINS]."""
    confidence: NDArray[np.float64]
    """[BINS] sum of these probabilities."""
    right: NDArray[np.int64]
    """[BINS] how many of them were right."""

    @property
    def error(self) -> float:
        """Expected calibration error: the mean of |share right - mean probability| over labels, bin by bin."""
        return float(np.abs(self.right - self.confidence).sum() / max(self.count.sum(), 1))


@dataclass(frozen=True, eq=False, slots=True)
class Classes:
    """What becomes of labels that count, class by class."""

    labels: NDArray[np.int64]
    """[C] how many there are."""
    named: NDArray[np.int64]
    """[C] how often the network names the class."""
    right: NDArray[np.int64]
    """[C] how often rightly."""
    confusion: NDArray[np.int64] | None
    """[C, C] by label and by what is named; None of more than `SHOWN` classes."""
    calibration: Calibration | None
    """None if the loss makes no probabilities of outputs."""

    @property
    def recall(self) -> NDArray[np.float64]:
        """[C] the share of each class that is found; NaN of one that is not there."""
        return _share(self.right, self.labels)

    @property
    def precision(self) -> NDArray[np.float64]:
        """[C] the share of what is named so that is so; NaN of one that is never named."""
        return _share(self.right, self.named)

    def rows(self, labels: Sequence[int], names: Sequence[str]) -> list[tuple[str, ...]]:
        """A line of text under `COLUMNS` for each of these classes, which may have names."""
        return [self._row(label, names) for label in labels]

    def _row(self, label: int, names: Sequence[str]) -> tuple[str, ...]:
        def called(number: int) -> str:
            return names[number] if number < len(names) else str(number)

        mistaken = self.mistaken(label)
        return (
            called(label),
            f"{self.labels[label]:,}",
            f"{100 * self.recall[label]:.1f}" if self.labels[label] else "–",
            f"{100 * self.precision[label]:.1f}" if self.named[label] else "–",
            "–" if mistaken is None else f"{called(mistaken[0])} ({mistaken[1]:,})",
        )

    def mistaken(self, label: int) -> tuple[int, int] | None:
        """For which other class a label is taken most often, and how often; None if never, or not known."""
        if self.confusion is None:
            return None
        others = self.confusion[label].copy()
        others[label] = 0
        most = int(others.argmax())
        return (most, int(others[most])) if others[most] else None


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Evaluation:
    """All of it."""

    samples: int
    means: Mapping[str, float]
    """As `Session.evaluate` gives them: `loss`, `accuracy` in [0, 1], and of several losses each by its name."""
    classes: Classes | None
    """Of the network's output under the first loss; None if that does not classify."""
    names: Sequence[str] = ()
    """What the classes are called, in the order of their numbers; empty if they have no names."""
    audit: Measured | None = None
    """What was looked at in the network, where somebody asked for it."""

    def __repr__(self) -> str:
        """How many samples, and what they come to."""
        told = ", ".join(f"{name} {mean:.6g}" for name, mean in self.means.items())
        return visible(f"<evaluation of {self.samples:,} samples: {told}>")

    def _repr_html_(self) -> str:
        means = [(name, f"{mean:.6g}") for name, mean in self.means.items()]
        told = table((f"{self.samples:,} samples", ""), means)
        if self.classes is None:
            return told
        return told + table(COLUMNS, self.classes.rows(range(len(self.classes.labels)), self.names))


def evaluated(session: Session, split: Split, kind: LossKind, names: Sequence[str] = ()) -> Evaluation:
    """The network as in inference, a part of the samples at a time.

    Args:
        session: with the state.
        split: samples that fit it, see `fac.training.fitting.fitted`.
        kind: of the first loss.
        names: what its classes are called.

    Raises:
        FacError: an output is not finite, or nothing counts.
    """
    term = session.compiled.losses[0]
    target = next(feed for feed in session.compiled.targets if feed.name == term.target)
    if target.classes is None:
        means = measured(session, split.arrays)
        for name, mean in means.items():
            if not isfinite(mean):
                raise FacError(f"`{name}` of these samples is not finite in {session.precision}")
        return Evaluation(len(split), means, None)
    count = _Count(target.classes, kind.inside == "softmax")
    for batch, output in answers(session, split):
        count.take(*_rows(output, batch, term, target))
    if not count.labels.any():
        raise FacError("no label of these samples counts: each is ignored or masked")
    return Evaluation(len(split), measured(session, split.arrays), count.found(), names)


def answers(session: Session, split: Split) -> Iterator[tuple[Mapping[str, Array], Array]]:
    """Some samples at a time, and what the network makes of them.

    Raises:
        FacError: that is no number, which would pass for some class.
    """
    start = 0
    for batch in parts(split.arrays):
        output = session.forward(batch)
        wrong = ~np.isfinite(output).reshape(len(output), -1).all(1)
        if wrong.any():
            lossless = "" if session.precision == "float64" else ", or `--precision float64`"
            raise FacError(
                f"the network's output for sample {start + int(wrong.argmax())} is not finite in {session.precision}: "
                f"give numbers of the size of those that it was trained on{lossless}"
            )
        yield batch, output
        start += len(output)


def probabilities(outputs: Array) -> NDArray[np.float64]:
    """softmax along the last axis, in float64."""
    shifted = outputs.astype(np.float64)
    shifted -= shifted.max(-1, keepdims=True)
    powers = np.exp(shifted)
    made: NDArray[np.float64] = powers / powers.sum(-1, keepdims=True)
    return made


def _rows(
    outputs: Array, batch: Mapping[str, Array], term: Term, target: Feed
) -> tuple[Array, NDArray[np.int64]]:
    """[M, C] outputs and [M] labels of what counts."""
    y = batch[term.target]
    kept = which_count(y, batch, term, target)
    return np.moveaxis(outputs, 1 + term.axis, -1)[kept], y[kept]


def which_count(y: Array, batch: Mapping[str, Array], term: Term, target: Feed) -> NDArray[np.bool_]:
    """Which labels [N, *places] count for a loss over classes: those that are neither ignored nor masked."""
    kept = np.full(y.shape, True) if target.ignored is None else y != target.ignored
    return kept if term.mask is None else kept & (batch[term.mask] == 1)


@dataclass(slots=True)
class _Count:
    """What was seen so far."""

    classes: int
    sure: bool
    labels: NDArray[np.int64] = field(init=False)
    named: NDArray[np.int64] = field(init=False)
    right: NDArray[np.int64] = field(init=False)
    confusion: NDArray[np.int64] | None = field(init=False)
    bins: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        n = self.classes
        self.labels, self.named, self.right = (np.zeros(n, np.int64) for _ in range(3))
        self.confusion = np.zeros((n, n), np.int64) if n <= SHOWN else None
        self.bins = np.zeros((3, BINS))

    def take(self, outputs: Array, labels: NDArray[np.int64]) -> None:
        """Some more."""
        n, named = self.classes, outputs.argmax(-1)
        hit = named == labels
        self.labels += np.bincount(labels, minlength=n)
        self.named += np.bincount(named, minlength=n)
        self.right += np.bincount(labels[hit], minlength=n)
        if self.confusion is not None:
            self.confusion += np.bincount(labels * n + named, minlength=n * n).reshape(n, n)
        if self.sure and len(labels):
            p = np.take_along_axis(probabilities(outputs), named[:, None], -1)[:, 0]
            # a probability on the edge of two bins belongs to the lower one
            at = np.clip(np.ceil(p * BINS).astype(np.int64) - 1, 0, BINS - 1)
            for row, weights in zip(self.bins, (None, p, hit), strict=True):
                row += np.bincount(at, weights, minlength=BINS)

    def found(self) -> Classes:
        """All of it."""
        count, confidence, right = self.bins
        whole = Calibration(count.astype(np.int64), confidence, right.astype(np.int64))
        return Classes(self.labels, self.named, self.right, self.confusion, whole if self.sure else None)


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    shares = np.full(len(part), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares
