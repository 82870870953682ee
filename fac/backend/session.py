"""State, and the functions that run on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.backend.block import block, rates_of
from fac.backend.boundary import (
    check_feed,
    check_placed,
    check_state,
    checked_rate,
    held,
    named,
    require_finite,
)
from fac.backend.compiled import STEP, Array, Compiled, Precision, Term, View
from fac.backend.live import Live
from fac.backend.moves import Bytes, Moves
from fac.backend.partial_state import completed
from fac.diagnostics import FacError
from fac.step.feed import Feed

Arrays = Mapping[str, Any]
"""Of a batch: placed arrays by the names of the feeds, in their order, of one number of samples."""
CHUNK = 2048
"""Samples at a time where no state changes, so that memory does not grow with the data."""


class Session(ABC):
    """State, and the functions that run on it. The trainer, checkpoints and logs know nothing else."""

    def __init__(self, compiled: Compiled, precision: Precision, device: str) -> None:
        self.compiled, self.precision, self.device = compiled, precision, device
        self.steps = 0
        """How many steps were made, over all runs that this state has seen."""
        self.other: Session | None = None
        """What makes the steps of anchors, if there are any; its state is what the last one of them left."""
        self._kept: dict[int, dict[Any, Any]] = {}
        """What each of the probes that look back remembers, by its place among `compiled.readings`."""
        self.derived: tuple[str, ...] = ()
        """What the state that came in last did not hold, so that it was derived."""
        self.beside: Callable[[Compiled], Session] | None = None
        """Opens another compiled spec on the same backend and device; `Artifact.open` says how."""
        self._views: dict[View, Session] = {}
        """Those that were asked for: to open one takes as long as to compile it."""

    # -- what a backend writes -------------------------------------------------------------------------------

    @abstractmethod
    def place(self, array: Array) -> Any:
        """The array on the session's device, in its precision; integers become int64. `take` reads from it."""

    @abstractmethod
    def is_placed(self, value: Any) -> bool:
        """Whether this is what `place` and `take` give: on the device, in the precision."""

    @abstractmethod
    def take(self, placed: Any, rows: NDArray[np.int64]) -> Any:
        """Some rows of a placed array, as a placed array."""

    @abstractmethod
    def run_step(self, batch: Arrays, lr: float, step: int) -> Mapping[str, Any]:
        """One call of the step function on placed arrays: moves the state, returns `loss`; of several each, `aux:loss`.

        float() of a loss may be asked for many steps later, so later steps must not overwrite it.
        """

    @abstractmethod
    def run_evaluate(self, batch: Arrays) -> dict[str, float]:
        """`loss`; `hits` for classification, `counted` and `weight` if they are not those of all labels, and samples.

        Hits are a sum over the labels that count, and the loss is the mean over what `weight` says; where that is 0,
        the loss is divided by 1 instead. Of several losses all that for each, with its name in front: `aux:loss`.
        """

    @abstractmethod
    def run_forward(self, batch: Arrays) -> Array:
        """The network's output. The batch has what the network reads."""

    @abstractmethod
    def run_probe(self, batch: Arrays, step: int) -> Mapping[str, Any]:
        """The outputs of the probe function: numbers, and arrays on the host for those of `compiled.readings`."""

    @abstractmethod
    def read(self, names: tuple[str, ...]) -> dict[str, Array]:
        """Copies of state arrays, row by row."""

    @abstractmethod
    def write(self, arrays: Mapping[str, Array]) -> None:
        """Replace state arrays; names and shapes have been checked, and the arrays lie row by row."""

    # -- what a backend may write that makes several steps in one call ----------------------------------------

    at_once = 1
    """How many steps a trainer should ask `block` for: 1 where nothing is gained by more."""

    def run_steps(
        self, batches: Sequence[Arrays], rates: Sequence[float], step: int
    ) -> list[Mapping[str, Any]]:
        """Several calls of the step function, see `run_step`: the same numbers, to the bit."""
        return [
            self.run_step(batch, lr, number)
            for number, (batch, lr) in enumerate(zip(batches, rates, strict=True), step)
        ]

    # -- what a backend may write that has a device of its own ---------------------------------------------------

    def keep_bytes(self, array: Bytes, levels: Array) -> Any | None:
        """Bytes on the session's device as they are, for `take_bytes`; None where the host makes numbers of them.

        Args:
            array: [n, *sample].
            levels: float64 [channels, 256] for the first axis of a sample, or [1, 256] for all: by a byte the number
                that it stands for.
        """
        return None

    def take_bytes(self, kept: Any, moves: Moves, sample: tuple[int, ...]) -> Any:
        """Some of the kept samples as numbers, as `take` gives them: the same bits as of those that the host makes.

        Args:
            kept: what `keep_bytes` gave.
            moves: which, and what is changed in them.
            sample: the shape in which they are read.

        Raises:
            NotImplementedError: the session keeps no bytes: who overrides `keep_bytes` overrides this, too.
        """
        raise NotImplementedError

    # -- what everybody calls --------------------------------------------------------------------------------

    def step(self, x: Any, y: Any = None, lr: float | None = None) -> dict[str, Any]:
        """One training step.

        Args:
            x: the batch: for each name in `compiled.feeds` its array [N, *shape], or the result of `place` or `take`.
                Of a network with one input this may be the input itself.
            y: the target, if x is the input; labels [N] or targets [N, *output].
                What is on the device already is not looked through for numbers that are not finite, all else is.
            lr: the learning rate; the spec's own, without schedule, by default.

        Returns:
            `{"loss": ...}`, the loss before the update. It may live on the device until float() reads it. Of several
            losses that is their sum, and each stands beside it, without its factor: `aux.loss`.

        Raises:
            FacError: the batch does not fit the spec, or holds a number that is not finite; the learning rate is no
                finite number from 0 on; or the spec is solved, and not trained by steps.
        """
        (found,) = self.block([(x, y)], None if lr is None else [lr])
        return found

    def block(
        self, batches: Sequence[Any], lr: float | Sequence[float] | None = None
    ) -> list[dict[str, Any]]:
        """Several training steps, one on each batch: the same numbers as of `step`, to the bit.

        Some backends make them in one call of what they run on; `at_once` says how many are worth that.

        Args:
            batches: of each what `step` takes as `x`, or a pair (x, y).
            lr: a learning rate for all, or one for each; the spec's own, without schedule, by default.

        Returns:
            What `step` gives, of each.

        Raises:
            FacError: see `step`. No step has been made then.
        """
        solution = self.compiled.solution
        if solution is not None:
            raise FacError(
                f"no step trains `{self.compiled.name}`, which is solved by `{solution.rule}`: use `fac train`, or "
                "`fac.training.loop.train`"
            )
        rates = [self.compiled.lr if r is None else checked_rate(r) for r in rates_of(lr, len(batches))]
        placed = [
            self._learned(*given)
            if isinstance(given, tuple) and len(given) == 2
            else self._learned(given, None)
            for given in batches
        ]
        several = [term for term in self.compiled.losses if term.name]
        return [
            {"loss": found["loss"], **{term.told("loss"): found[term.of("loss")] for term in several}}
            for found in block(self, placed, rates)
        ]

    def _learned(self, x: Any, y: Any) -> Arrays:
        """A batch for a step, on the device; what was not there is looked through."""
        batch = self._batch(self.compiled.feeds, x, y)
        if self.is_placed(x) and self.is_placed(y):
            return batch
        given = named(self.compiled, self.compiled.feeds, x, y)
        for feed in self.compiled.feeds:
            if feed.classes is None and not self.is_placed(given[feed.name]):
                require_finite(feed, given[feed.name])
        return batch

    def between(self) -> None:
        """What the core does on the host after the step that was the last, if it is due."""
        for task in self.compiled.tasks:
            if self.steps % task.every == 0:
                set_anew = task.run(self.read(task.reads))
                self.write({name: np.asarray(array, order="C") for name, array in set_anew.items()})

    def moved(self, batch: Arrays, rate: float) -> Mapping[str, Any]:
        """One call of the step function whose turn it is.

        That of anchors is run by a session of its own, which is handed what it reads and hands back what it moves: so a
        backend knows nothing of them, and an artifact is what it would be without.
        """
        if self.compiled.step_at(self.steps) is self.compiled.step:
            return self.run_step(batch, rate, self.steps)
        other, step = self.other, self.compiled.step_at(self.steps)
        assert other is not None, "an artifact opens it"
        names = {slot.name for slot in self.compiled.state}
        other.write(self.read(tuple(v.name for v in step.inputs if v.name in names)))
        found = other.run_step(batch, rate, self.steps)
        self.write(other.read(tuple(name for name, _ in step.outputs if name in names)))
        return found

    def evaluate(self, x: Any, y: Any = None) -> dict[str, float]:
        """Mean loss and, for classification, accuracy in [0, 1], with layers as in inference; batches as in `step`.

        Means are over all samples, of several places over all that count. Of several losses there is the sum, the
        accuracy of the first, and both of each by its name: `aux.loss`, `aux.accuracy`.
        """
        return self._means(
            [(samples(p), self.run_evaluate(p)) for p in parts(self._batch(self.compiled.feeds, x, y))]
        )

    def evaluate_parts(self, batches: Iterable[Arrays]) -> dict[str, float]:
        """As `evaluate`, of samples that come some at a time, `CHUNK` of them as a rule, and are not kept."""
        given = (self._batch(self.compiled.feeds, batch, None) for batch in batches)
        return self._means([(samples(part), self.run_evaluate(part)) for part in given])

    def _means(self, found: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
        """What is found on parts of the samples, for all losses."""
        means = [self._mean(term, found) for term in self.compiled.losses]
        if len(means) == 1:
            return means[0]
        total = {"loss": sum(t.scale * m["loss"] for t, m in zip(self.compiled.losses, means, strict=True))}
        total |= {name: value for name, value in means[0].items() if name != "loss"}
        for term, mean in zip(self.compiled.losses, means, strict=True):
            total |= {term.told(name): value for name, value in mean.items()}
        return total

    def _mean(self, term: Term, parts: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
        """What evaluations of parts of the data, of so many samples, come to for one loss."""
        places = next(prod(feed.shape) for feed in self.compiled.feeds if feed.name == term.target)
        loss = weight = hits = kept = 0.0
        for n, found in parts:
            counts = found.get(term.of("weight"), n)
            # where nothing counts, the loss is a sum that was divided by nothing
            loss, weight = loss + found[term.of("loss")] * (counts or 1.0), weight + counts
            hits += found.get(term.of("hits"), 0.0)
            kept += found.get(term.of("counted"), n * places)
        mean = {"loss": loss / (weight or 1.0)}
        return mean | {"accuracy": hits / (kept or 1.0)} if term.of("hits") in parts[0][1] else mean

    def forward(self, x: Any) -> Array:
        """The network's output, for the batch of `step`; what the network does not read may be missing."""
        batch = self._batch(self.compiled.inputs, x, None)
        return np.concatenate([self.run_forward(part) for part in parts(batch)])

    def probe(self, x: Any, y: Any = None) -> dict[str, float]:
        """What the spec's probes measure on this batch, given as in `step`; changes nothing of the state."""
        found = self.run_probe(self._batch(self.compiled.feeds, x, y), self.steps)
        readings = self.compiled.readings
        taken = {name for reading in readings for name in reading.reads}
        measured = {name: float(value) for name, value in found.items() if name not in taken}
        for place, reading in enumerate(readings):
            kept = self._kept.setdefault(place, {})
            arrays = {called: np.asarray(found[name]) for name, called in reading.reads.items()}
            measured |= reading.run(arrays, self.steps, kept)
        return measured

    def values(self, x: Any) -> dict[str, Array]:
        """What each layer makes of a batch, as in inference: [N, ...] by the names that `fac show` gives layers.

        Args:
            x: see `forward`.
        """
        return self._seen("values", self._batch(self.compiled.inputs, x, None))

    def errors(self, x: Any, y: Any = None, *, true: bool = False) -> dict[str, Array]:
        """The error that reaches the output of each layer in the next step: [N, ...], the shape of that output.

        It is dL/doutput, or what routes bring in its place. Layers whose error a step does not need are left out.

        Args:
            x: the batch, see `step`.
            y: see `step`.
            true: by backpropagation from the same outputs, whatever the routes are.
        """
        batch = self._batch(self.compiled.feeds, x, y)
        return self._seen("errors, true" if true else "errors", batch)

    def gradients(self, x: Any, y: Any = None, *, true: bool = False) -> dict[str, Array]:
        """What each parameter would be moved by in the next step, before the update rule and its limits see it.

        Args:
            x: the batch, see `step`.
            y: see `step`.
            true: those of the loss, by backpropagation, whatever the routes are.

        Returns:
            By the names of `state`, in their shapes. Parameters that do not move, and those that no error reaches, are
            left out.
        """
        batch = self._batch(self.compiled.feeds, x, y)
        return self._seen("gradients, true" if true else "gradients", batch)

    def _seen(self, what: View, batch: Arrays) -> dict[str, Array]:
        if what not in self._views:
            assert self.beside is not None, "an artifact opens it"
            assert self.compiled.views is not None, "a spec stands behind it"
            self._views[what] = self.beside(self.compiled.views(what))
        view = self._views[what]
        view.write(self.read(tuple(slot.name for slot in view.compiled.state)))
        fed = {feed.name: batch[feed.name] for feed in view.compiled.feeds}
        found, (reading,) = view.run_probe(fed, self.steps), view.compiled.readings
        return {called: np.array(found[name]) for name, called in reading.reads.items()}

    @property
    def live(self) -> Mapping[str, Array]:
        """The arrays of the state as it is now, each copied when it is asked for."""
        return Live(self)

    def state(self) -> dict[str, Array]:
        """Copies of all state arrays by name, and the number of steps under `step`."""
        state = self.read(tuple(slot.name for slot in self.compiled.state))
        return state | {STEP: np.array(self.steps, np.int64)}

    def begin(self) -> None:
        """Take over the initial values, at step 0.

        Raises:
            FacError: the precision does not reach one of them.
        """
        # one after the other, so that none is in memory twice for long
        initial = self.compiled.initial(precision=self.precision)
        # the large ones while there is little else: what is drawn last lies beside all others
        for slot in sorted(self.compiled.state, key=lambda slot: -prod(slot.shape)):
            self.write({slot.name: initial[slot.name]})
        self.steps, self.derived = 0, ()
        self._kept.clear()

    def load_state(self, state: Mapping[str, Array], *, derive: bool = False) -> None:
        """Take over a state, as `state()` gives it; `step` may be missing and then is 0.

        Args:
            state: arrays by name.
            derive: whether what a training keeps beside the parameters may be missing. It is derived then, as
                `partial_state.completed` says, and `derived` names it. Feedback that starts from the weights starts
                from those of this state, not from the initial ones.

        Raises:
            FacError: an array is missing, unknown, of another shape, or holds no numbers. The session is then
                unchanged.
        """
        arrays, steps = check_state(self.compiled, state, self.precision, whole=not derive)
        arrays, steps, derived = completed(self.compiled, arrays, steps)
        self.write(arrays)
        self.steps, self.derived = steps, derived
        self._kept.clear()

    def _batch(self, feeds: Sequence[Feed], x: Any, y: Any) -> dict[str, Any]:
        """What was given, on the device, as these feeds. The first says how many samples there are."""
        given, found, n = named(self.compiled, feeds, x, y), dict[str, Any](), None
        for feed in feeds:
            value = given[feed.name]
            if self.is_placed(value):
                check_placed(feed, value, self.precision, n)
            else:
                checked = check_feed(feed, value, n)
                if feed.classes is None:
                    checked = held(feed.name, checked, self.precision, copy=False)
                value = self.place(checked)
            n = len(value)
            found[feed.name] = value
        return found


def samples(batch: Arrays) -> int:
    """How many a batch has."""
    return len(next(iter(batch.values())))


def parts(batch: Arrays) -> Iterator[Arrays]:
    """The samples of a batch, `CHUNK` at a time."""
    for start in range(0, samples(batch), CHUNK):
        yield {name: array[start : start + CHUNK] for name, array in batch.items()}
