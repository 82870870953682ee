"""Steps as one CUDA graph: one call queues all their kernels, and no Python runs between them.

A graph goes on with the addresses and the Python numbers of its capture. So batches are copied to where it reads them,
learning rates and the number of the step are tensors, and state and buffers stay where they are anyway.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fac.backend import Arrays, Compiled

Step = Callable[..., Tensor | Mapping[str, Tensor]]
Sent = Callable[[Any], Tensor]


def recorded(work: Callable[[], None]) -> Callable[[], None]:
    """What does the same work again, which is not done here: only its kernels are written down.

    Raises:
        RuntimeError: something in it waits for the device, or is not to be captured for another reason.
    """
    graph = torch.cuda.CUDAGraph()
    # what other threads ask of the device, such as memory for batches that are read ahead, is no part of it
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph.replay


def is_capturable(compiled: Compiled) -> bool:
    """Whether a step stays on the device. An operator that is carried out on the host does not, which is said."""
    names = sorted({str(op["call"]) for op in compiled.step.ops if op.kind == "host"})
    if names:
        warnings.warn(
            f"no CUDA graph of the step of `{compiled.name}`: it waits for the host, which carries out "
            f"{', '.join(f'`{name}`' for name in names)}",
            stacklevel=2,
        )
    return not names


class Captured:
    """A number of steps on batches of one size."""

    def __init__(self, step: Step, state: Mapping[str, Tensor], room: Any, batches: Sequence[Arrays]) -> None:
        """Room for such batches.

        Args:
            step: the emitted function that takes learning rate and number of the step as tensors.
            state: what it moves.
            room: its workspace.
            batches: of the sizes that are to come.
        """
        self.step, self.state, self.room = step, state, room
        with torch.inference_mode():
            self.given = [
                {name: torch.empty_like(value) for name, value in batch.items()} for batch in batches
            ]
            first = next(iter(batches[0].values()))
            self.rates = torch.empty(len(batches), dtype=torch.float64, device=first.device)
            self.number = torch.empty((), dtype=torch.int64, device=first.device)
        self.names: tuple[str, ...] = ()
        self.losses: Tensor | None = None
        """Of the last steps, [steps, names]: the next ones write over them."""
        self.warm = False
        """Whether the work was done once: libraries set themselves up then, which no capture allows."""
        self.again: Callable[[], None] | None = None

    def run(
        self, batches: Sequence[Arrays], rates: Sequence[float], step: int, sent: Sent
    ) -> list[dict[str, Tensor]]:
        """The steps, from this number on.

        The first call makes them kernel by kernel, the second captures them. Where that fails it is said, and they are
        made kernel by kernel from then on: nothing has moved, because what is captured is not carried out.

        Args:
            batches: as many, and as large, as those that room was made for.
            rates: of each.
            step: the number of the first.
            sent: brings an array to the device without a wait.
        """
        with torch.inference_mode():
            own = [value for batch in self.given for value in batch.values()]
            torch._foreach_copy_(own, [value for batch in batches for value in batch.values()])
            self.rates.copy_(sent(np.array(rates, np.float64)))
            self.number.fill_(step)
            if self.warm and self.again is None:
                self.again = self._captured()
            (self.again or self._work)()
            self.warm = True
            assert self.losses is not None
            return [dict(zip(self.names, row.unbind(), strict=True)) for row in self.losses.clone().unbind()]

    def _captured(self) -> Callable[[], None]:
        try:
            return recorded(self._work)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            warnings.warn(f"no CUDA graph of the step: {str(error).partition(chr(10))[0]}", stacklevel=2)
            return self._work

    def _work(self) -> None:
        rows: list[Tensor] = []
        for k, batch in enumerate(self.given):
            found = self.step(self.state, self.room, *batch.values(), self.rates[k], self.number + k)
            losses = {"loss": found} if isinstance(found, Tensor) else found
            self.names = tuple(losses)
            rows.append(torch.stack([*losses.values()]))
        self.losses = torch.stack(rows)
