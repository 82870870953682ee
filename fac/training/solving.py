"""Training by solving: one pass over the layers, each of which is set from all training samples.

What a state counts as its steps are the layers that are solved, so that a training which was interrupted goes on with
the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isfinite, nan
from time import perf_counter

from fac.backend import Array, Session, Solution, holding
from fac.diagnostics import FacError
from fac.training.dataset import Split
from fac.training.logs import Listener, Plan, Progress
from fac.training.stepping import NonFiniteError, Note, Pass, probed

HELD = 1 << 27
"""Bytes of rows that are kept at a time; what is larger is made anew as often as it is read. With that, 60,000 samples
of 1,000 numbers are solved in less than 1 GB, data and libraries and all."""


class Solving:
    """The one pass of a solve rule over a network. Samples stay on the host, and are read block by block."""

    epochs = 1

    def __init__(self, session: Session, split: Split, solution: Solution) -> None:
        """Solve from the state that a session is in.

        Raises:
            FacError: the session is not in float64, or its backend opens no others.
        """
        if session.precision != "float64":
            raise FacError(
                f"`{solution.rule}` solves in float64, and the training is in {session.precision}: "
                "leave `--precision` out"
            )
        self.session, self.split, self.solution = session, split, solution
        self.remedy = solution.remedy
        self.data: Mapping[str, Array] = split.arrays
        self.steps_per_epoch = len(solution.layers)
        self.own: dict[str, Array] = {}
        """What the rule keeps while it solves, beside the state."""
        self.room = HELD
        self.held: dict[str, list[Array]] = {}
        """Rows of layers and pieces, block by block."""

    @property
    def plan(self) -> Plan:
        """What is ahead."""
        return Plan(self.epochs, self.steps_per_epoch, len(self.split), self.session.steps, 0, solves=True)

    @property
    def done(self) -> int:
        """1 once all layers are solved."""
        return self.session.steps // self.steps_per_epoch

    def rate(self, step: int) -> float:
        """There is no learning rate."""
        return nan

    def run(
        self, listener: Listener, stop: Callable[[], bool], carried: Mapping[str, float], note: Note
    ) -> Pass:
        """Solve the layers that are left.

        Args:
            listener: hears of each layer.
            stop: asked after each, whether to end here.
            carried: nothing.
            note: hears of nothing: there are no steps.

        Raises:
            NonFiniteError: the loss is not finite in the end.
            FacError: a layer cannot be solved.
        """
        session, times = self.session, list[float]()
        began = mark = perf_counter()
        for solved in self.solution.run(self, session.steps):
            session.steps += 1
            now = perf_counter()
            times.append(1000 * (now - mark))
            mark = now
            listener.moved(Progress(1, session.steps, solved.error, times[-1]))
            listener.said(
                f"solved `{solved.node}`: {solved.rows:,} rows of {solved.features:,} features, rank {solved.rank:,}, "
                f"{solved.outputs:,} outputs, mean squared error {solved.error:.4g}"
            )
            for sentence in solved.says:
                listener.said(f"`{solved.node}`: {sentence}")
            if session.steps < self.steps_per_epoch and stop():
                return Pass(False, {"loss": 0.0}, nan, perf_counter() - began, tuple(times))
        seconds = perf_counter() - began
        loss = self.evaluated()["loss"]
        if not isfinite(loss):
            raise NonFiniteError(session.steps - 1, loss)
        # a pass is told the sum over its steps
        return Pass(True, {"loss": loss * self.steps_per_epoch}, nan, seconds, tuple(times))

    def fixed(self) -> Mapping[str, Array]:
        """The first samples."""
        return next(self._blocks())

    def probed(self) -> dict[str, float]:
        """What probes measure on the first samples; nothing where there are none."""
        return probed(self.session, self.fixed())

    def evaluated(self) -> dict[str, float]:
        """What an evaluation of all training samples finds."""
        total: dict[str, float] = {}
        for batch in self._blocks():
            share = len(next(iter(batch.values()))) / len(self.split)
            for name, value in self.session.evaluate(batch).items():
                total[name] = total.get(name, 0.0) + share * value
        return total

    def rows(self, name: str) -> Iterator[Array]:
        """What a piece or a layer makes of all samples, block by block."""
        return iter(self.held[name]) if name in self.held else self._made(name)

    def hold(self, name: str) -> bool:
        """Keep the rows of a piece or a layer, if there is room for them."""
        blocks: list[Array] = []
        room = self.room - sum(block.nbytes for held in self.held.values() for block in held)
        for block in self._made(name):
            if block.nbytes // len(block) * len(self.split) > room:
                return False
            blocks.append(block)
        self.held[name] = blocks
        return True

    def drop(self, name: str) -> None:
        """Keep them no more, if they are."""
        self.held.pop(name, None)

    def read(self, name: str) -> Array:
        """A parameter as it is now."""
        return self.session.read((name,))[name]

    def write(self, arrays: Mapping[str, Array]) -> None:
        """Set arrays of the network, or of the rule alone."""
        state = {slot.name for slot in self.session.compiled.state}
        self.session.write({name: array for name, array in arrays.items() if name in state})
        self.own |= {name: array for name, array in arrays.items() if name not in state}

    def _made(self, name: str) -> Iterator[Array]:
        """The rows of a piece or a layer, from what is held."""
        piece = self._opened(name)
        for number, batch in enumerate(self._blocks()):
            held = {holding(of): blocks[number] for of, blocks in self.held.items()}
            yield piece.forward(
                {
                    feed.name: held[feed.name].reshape(-1, *feed.shape)
                    if feed.name in held
                    else batch[feed.name]
                    for feed in piece.compiled.feeds
                }
            )

    def _opened(self, name: str) -> Session:
        """A piece, in the state that the network and the rule are in."""
        assert self.session.beside is not None
        columns = {of: blocks[0].shape[1] for of, blocks in self.held.items()}
        piece = self.session.beside(self.solution.piece(name, columns))
        read = [slot.name for slot in piece.compiled.state]
        found = self.session.read(tuple(name for name in read if name not in self.own))
        piece.write({name: self.own[name] if name in self.own else found[name] for name in read})
        return piece

    def _blocks(self) -> Iterator[Mapping[str, Array]]:
        for start in range(0, len(self.split), self.solution.block):
            stop = start + self.solution.block
            yield {name: array[start:stop] for name, array in self.data.items()}
