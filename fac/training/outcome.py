"""What a training came to beyond its last numbers: a loss that rose, a network that learned nothing.

Both are finite and look like results. So the network is measured beside two that know nothing: itself with its
initial values, and the best constant output. This takes place once, after the last epoch. What is at hand by then
tells for most networks that nothing is wrong; only for the others all training samples are evaluated, for a drawn part
of them may miss the few that carry the loss. The verdict depends on the state and the data, so a training that was
resumed is judged like one without a break.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.backend import Term
from fac.program.kinds import LossKind
from fac.program.program import Shape
from fac.spec.layers import Head, Loss
from fac.step.feed import Feed
from fac.training.dataset import Split
from fac.training.evaluation import which_count
from fac.training.family import Family

RISEN = 2.0
"""How many times the loss of both, the untrained network and the best constant output, one must exceed to have risen.

A network that fails to learn ends near either, within tens of per cent; one that ran away passes them by orders
of magnitude.
"""
SHARE = 0.99
"""What share of the loss of the best constant output still counts as no better than it."""
SHARE_OF_CLASSES = 0.95
"""The same where the accuracy is no better either and no class has the majority. Then the accuracy is the sharper of
the two: what little a network knows of x changes the class that it names. With a majority it may be right to name that
class always, and the loss alone shows what was learned."""
ERRORS = 2.0
"""By how many standard errors an accuracy must exceed the share of the most frequent class to be better than that."""
ROOM = 0.05
"""What part of the way from that share to 1 the accuracy on training samples must make, besides. They only tell a
network that failed from one that learned by heart, and one that answers the same for nearly all samples fits a few."""


@dataclass(frozen=True, slots=True)
class Concern:
    """Why a result is hardly one, with the numbers that say so."""

    kind: str
    """`risen`: the loss ended above that of the untrained network. `chance`: the output tells no more than a constant
    does. `overflow`: the loss on test or training data is not finite, although the parameters are."""
    message: str
    figures: Mapping[str, float]
    of: str = ""
    """The name of the loss, if there are several."""

    def flat(self) -> dict[str, Any]:
        """All of it side by side, as JSON gives it."""
        named = {"loss": self.of} if self.of else {}
        return {"kind": self.kind, "message": self.message, **named, **self.figures}


@dataclass(frozen=True, slots=True)
class _Level:
    """How good the network is on some samples, and how good one is that does not look at x."""

    loss: float
    accuracy: float | None
    constant: float | None
    """Loss of the best constant output; None if the kind of loss does not say."""
    least: float
    """Loss of the best output of all."""
    frequent: float | None
    """Share p of the most frequent class; None without classes."""
    error: float
    """Of an accuracy of p on n samples, (p (1 - p) / n)^1/2."""

    def chance(self, room: float = 0) -> bool:
        """Whether a constant output does as well, in all that is known."""
        if (self.accuracy is None and self.constant is None) or self.frequent == 1 or self._nothing_to_learn:
            return False  # nothing is known, or all targets are one value and there is nothing to learn
        share = SHARE
        if self.accuracy is not None and self.frequent is not None:
            if self.accuracy > self.frequent + max(ERRORS * self.error, room * (1 - self.frequent)):
                return False
            share = SHARE_OF_CLASSES if self.frequent <= 0.5 else SHARE
        return self.constant is None or self.loss - self.least >= share * (self.constant - self.least)

    @property
    def _nothing_to_learn(self) -> bool:
        """Whether no output is better than a constant one, but for rounding."""
        return self.constant is not None and self.constant - self.least <= 1e-9 * self.constant

    def above(self, loss: float) -> bool:
        """Whether the loss has risen above one that knows nothing."""
        return self.loss > RISEN * max(loss, self.constant or 0)


def concerns(
    family: Family,
    losses: Sequence[tuple[LossKind, Loss]],
    test: Split,
    *,
    train: Mapping[str, float],
    tested: Mapping[str, float | None],
) -> tuple[Concern, ...]:
    """What is wrong with the network as it is now; nothing, as a rule. Each of several losses is judged by itself.

    Args:
        family: the training; its session's state is put aside and brought back if need be.
        losses: kind and settings of each, in the order of the spec.
        test: the data that the figures are of.
        train: means over the last epoch, as `Session.step` calls them. NaN, where the log is gone, has all training
            samples looked at.
        tested: what `Session.evaluate` finds now; no accuracy, or None, of a loss that does not classify.
    """
    whole, found = _Whole(family), list[Concern]()
    for term, (kind, loss) in zip(family.session.compiled.losses, losses, strict=True):
        figures = {name: tested.get(term.told(name)) for name in ("loss", "accuracy")}
        for concern in _judged(
            whole, _Asked(term, kind, loss), test, train.get(term.told("loss"), nan), figures
        ):
            named = f"loss `{term.name}`: " if term.name else ""
            found.append(replace(concern, message=named + concern.message, of=term.name))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One loss."""

    term: Term
    kind: LossKind
    loss: Loss

    @property
    def scale(self) -> float:
        """The factor on what is found of it: of several losses that is in their sum alone."""
        return self.loss.scale if isinstance(self.loss, Head) and not self.term.name else 1.0


class _Whole:
    """All training samples, of which most trainings need nothing."""

    def __init__(self, family: Family) -> None:
        self.family, self.session = family, family.session

    @cached_property
    def now(self) -> Mapping[str, float]:
        """What an evaluation of them finds."""
        return self.family.evaluated()

    @cached_property
    def untrained(self) -> Mapping[str, float]:
        """The same with the initial values of the spec."""
        state = self.session.state()
        try:
            self.session.begin()
            return self.family.evaluated()
        finally:
            self.session.load_state(state)


def _judged(
    whole: _Whole, asked: _Asked, test: Split, train_loss: float, found: Mapping[str, float | None]
) -> Iterator[Concern]:
    """What is wrong by one loss, of which these are the figures."""
    term, kind = asked.term, asked.kind
    test_loss = found["loss"]
    assert test_loss is not None
    if not isfinite(test_loss):
        yield _overflow("test data", "test_loss", test_loss)
        return
    compiled = whole.session.compiled
    feed = next(feed for feed in compiled.feeds if feed.name == term.target)
    output = feed.shape if feed.classes is None else (feed.classes,)
    tested, trained = (_counted(asked, split, feed) for split in (test, whole.family.split))
    on_test = _level(asked, output, found, tested)
    # the cheap questions first: few networks are not plainly better than a constant
    quiet = train_loss <= RISEN * (_constant(asked, output, trained) or 0)
    if quiet and not on_test.chance() and not on_test.above(0):
        return
    figures = {name: whole.now.get(term.told(name)) for name in ("loss", "accuracy")}
    on_train = _level(asked, output, figures, trained)
    if not isfinite(on_train.loss):
        yield _overflow("training samples", "train_loss", on_train.loss)
        return
    if on_train.above(0):
        untrained = whole.untrained[term.told("loss")]
        if on_train.above(untrained):
            yield _risen(on_train, on_test, untrained, whole.family.remedy)
    if on_train.chance(ROOM) and on_test.chance():
        yield _chance(on_train, on_test, _score(kind, trained, tested))


def _level(asked: _Asked, output: Shape, found: Mapping[str, float | None], y: NDArray[Any]) -> _Level:
    now = found["loss"]
    assert now is not None
    frequent = float(np.bincount(y).max() / len(y)) if asked.kind.classes else None
    error = 0.0 if frequent is None else (frequent * (1 - frequent) / len(y)) ** 0.5
    constant, least = _constant(asked, output, y), asked.scale * asked.kind.least(asked.loss, y, output)
    return _Level(now, found.get("accuracy"), constant, least, frequent, error)


def _counted(asked: _Asked, split: Split, target: Feed) -> NDArray[Any]:
    """Targets as they are; of labels those that count, of all places, in one row."""
    y: NDArray[Any] = split.arrays[target.name]
    return y[which_count(y, split.arrays, asked.term, target)] if asked.kind.classes else y


def _constant(asked: _Asked, output: Shape, y: NDArray[Any]) -> float | None:
    kind, loss = asked.kind, asked.loss
    # which of numbers count is not known here
    masked = loss.mask is not None and not kind.classes
    return None if kind.constant is None or masked else asked.scale * kind.constant(loss, y, output)


def _score(kind: LossKind, train: NDArray[Any], test: NDArray[Any]) -> float | None:
    """Test accuracy of naming the most frequent class of the training labels always; None without classes."""
    return float((test == np.bincount(train).argmax()).mean()) if kind.classes else None


def _overflow(where: str, figure: str, loss: float) -> Concern:
    message = f"the loss on the {where} is {loss}, although all parameters are finite"
    return Concern("overflow", message, {figure: loss})


def _risen(train: _Level, test: _Level, untrained: float, remedy: str) -> Concern:
    times = f"{train.loss / untrained:.3g} times " if untrained else ""
    message = (
        f"the loss rose to {train.loss:.4g} on training samples, {times}the {untrained:.4g} of the untrained network "
        f"(test loss {test.loss:.4g}): {remedy}"
    )
    return Concern(
        "risen", message, {"train_loss": train.loss, "untrained_loss": untrained, "test_loss": test.loss}
    )


def _chance(train: _Level, test: _Level, score: float | None) -> Concern:
    figures = {"train_loss": train.loss, "test_loss": test.loss}
    parts = []
    if train.constant is not None and test.constant is not None:
        figures |= {"constant_train_loss": train.constant, "constant_test_loss": test.constant}
        parts.append(f"loss {train.loss:.4g} on training samples, where that has {train.constant:.4g}")
    if test.accuracy is None or test.frequent is None or score is None:
        parts.append(f"test loss {test.loss:.4g}, where that has {test.constant:.4g}")
        what = "the same for all samples"
    else:
        figures |= {
            "test_accuracy": test.accuracy,
            "constant_test_accuracy": score,
            "most_frequent_class": test.frequent,
            "standard_error": test.error,
        }
        parts.append(
            f"test accuracy {100 * test.accuracy:.1f} %, where always naming the most frequent class of the training "
            f"data has {100 * score:.1f} %, and any one class at most {100 * test.frequent:.1f} %"
        )
        what = "the class frequencies"
    return Concern("chance", f"no better than predicting {what}: {'; '.join(parts)}", figures)
