"""State as tensors on one device, and the emitted functions run on it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fac.backend import (
    ONE,
    THREADS,
    Array,
    Arrays,
    Bytes,
    Compiled,
    Feed,
    Moves,
    Precision,
    Session,
    check_feed,
    samples,
)
from fac.diagnostics import FacError
from fac.step.hosted import carried_out, names
from fac.step.ops import OPS
from fac_torch import kernels
from fac_torch.captured import Captured, is_capturable
from fac_torch.device import SHARED, arithmetic, captures, chosen, keep_what_is_freed, matmul_precision
from fac_torch.pictures import Kept, has_room

PRODUCTS = "products"
"""What the choice of a library of products is called."""
WORKSPACES = 2
"""How many batch sizes keep their buffers: that of training, and one that came between."""
SMALL = 1 << 25
"""Multiply-adds of a product up to which the faster precision is none: its library takes 14 µs for each call. With it,
784-W-W-W-W-10 in batches of 128 took 1.14 times as long at W 256 (Zen 4), 1.05 at 320; 0.99 at 512 and 0.92 at 1024."""
BLOCK = 8
"""Steps of a graph, where what Python does between two is longer than a step ..."""
SHORT = 1 << 23
"""... as it is where no product has more multiply-adds than these."""
ENDS = "fac_ends"
"""Attribute of placed whole numbers: what `_ends` says of them, known from the host."""
NO_ROOM = "can't allocate memory"
"""What torch says on a CPU; on a GPU it raises an exception of its own."""


def know_host() -> None:
    """Let kernels call all that is carried out on the host by now; in a written folder nothing does."""
    kernels.HOSTED.update((name, partial(carried_out, name)) for name in names())


class TorchSession(Session):
    """Runs an emitted module. Tensors are made once; `step` moves them in place."""

    def __init__(
        self,
        compiled: Compiled,
        precision: Precision,
        device: str | None,
        module: ModuleType,
        choices: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`choices`: see `fac_torch.tuning`, of which this reads all but `MAPS`."""
        self.on = chosen(device)
        super().__init__(compiled, precision, str(self.on))
        self.module = module
        know_host()
        if self.on.type == "cpu":
            keep_what_is_freed()
        self.dtype = torch.float64 if precision == "float64" else torch.float32
        self.matmul = choices.get(PRODUCTS) or usual_products(compiled, precision, self.on.type)
        self.threads = 1 if choices.get(THREADS) == ONE else None
        self.maps: tuple[str, ...] = vars(module).get("MAPS", ())
        self.mapped = {torch.Size(feed.shape) for feed in compiled.feeds if feed.name in self.maps}
        """Shapes of samples that should lie in memory with their channels last."""
        with told(self.device):
            # Empty: who opens a session writes it all, and memory that nobody has touched yet is none.
            self.tensors = {
                slot.name: torch.empty(slot.shape, dtype=self.dtype, device=self.on)
                for slot in compiled.state
            }
            kernels.lay_out(self.tensors, self.maps)
        self.large = any(tensor.numel() > SHARED for tensor in self.tensors.values())
        self.workspaces: dict[int, Any] = {}
        self.captured: dict[tuple[int, int], Captured] = {}
        """By the number of samples of a batch, and of steps in a call."""
        self.captures = captures(self.on) and is_capturable(compiled)
        self.at_once = BLOCK if self.captures and largest_product(compiled) < SHORT else 1

    def place(self, array: Array) -> torch.Tensor:
        """On the device; floats in the session's precision, integers as int64."""
        array = np.asarray(array, order="C")
        with told(self.device):
            if array.dtype.kind in "iub":
                placed = torch.from_numpy(array.astype(np.int64)).to(self.on)
                if array.size:
                    setattr(placed, ENDS, _ends(array))
                return placed
            placed = torch.from_numpy(array.astype(self.precision)).to(self.on)
            return kernels.channels_last(placed) if placed.shape[1:] in self.mapped else placed

    def is_placed(self, value: Any) -> bool:
        """A tensor here, of a type that `place` gives."""
        return (
            isinstance(value, torch.Tensor)
            and value.device.type == self.on.type
            and value.dtype in (self.dtype, torch.int64)
        )

    def take(self, placed: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
        """Those rows."""
        wanted = self._sent(rows)
        if placed.is_contiguous():
            taken = placed.index_select(0, wanted)
        else:  # a map with its channels last, which `index_select` would lay out anew
            taken = placed.movedim(1, -1).index_select(0, wanted).movedim(-1, 1)
        if hasattr(placed, ENDS):
            setattr(taken, ENDS, getattr(placed, ENDS))
        return taken

    def keep_bytes(self, array: Bytes, levels: Array) -> Kept | None:
        """On a GPU, where they fit. Beside a CPU they are as near as they can be, and read ahead by a thread."""
        if self.on.type != "cuda" or not has_room(self.on, array.nbytes):
            return None
        return self.kept(array, levels)

    def kept(self, array: Bytes, levels: Array) -> Kept:
        """On whichever device."""
        with told(self.device):
            made = (np.asarray(array, order="C"), levels.astype(self.precision))
            return Kept(*(torch.from_numpy(each).to(self.on) for each in made))

    def take_bytes(self, kept: Kept, moves: Moves, sample: tuple[int, ...]) -> torch.Tensor:
        """As `take`: the host does not wait."""
        with told(self.device):
            if moves.changes is None:
                numbers = kept.numbers(self._sent(moves.rows))
            else:
                sent = self._sent(np.stack([moves.rows, *moves.changes]))
                numbers = kept.moved(sent[0], sent[1:], moves.border)
            numbers = numbers.reshape(-1, *sample)
            return kernels.channels_last(numbers) if numbers.shape[1:] in self.mapped else numbers

    def _sent(self, numbers: NDArray[Any]) -> torch.Tensor:
        """Numbers on the device. To a GPU they go from pinned memory, so that the host need not wait for it."""
        sent = torch.from_numpy(numbers)
        if self.on.type == "cuda":
            sent = sent.pin_memory()
        return sent.to(self.on, non_blocking=True)

    def run_step(self, batch: Arrays, lr: float, step: int) -> dict[str, torch.Tensor]:
        """Losses stay on the device until somebody reads them."""
        if self.captures:
            return self._graph([batch], [lr], step)[0]
        with self._arithmetic(), told(self.device):
            found = self.module.step(self.tensors, self._workspace(samples(batch)), *batch.values(), lr, step)
        return found if isinstance(found, dict) else {"loss": found}

    def run_steps(
        self, batches: Sequence[Arrays], rates: Sequence[float], step: int
    ) -> list[Mapping[str, Any]]:
        """As many as a trainer asks for are one graph, if their batches are alike."""
        alike = len({samples(batch) for batch in batches}) == 1
        if not self.captures or len(batches) != self.at_once or not alike:
            return super().run_steps(batches, rates, step)
        return [*self._graph(batches, rates, step)]

    def _graph(
        self, batches: Sequence[Arrays], rates: Sequence[float], step: int
    ) -> list[dict[str, torch.Tensor]]:
        key = (samples(batches[0]), len(batches))
        with self._arithmetic(), told(self.device):
            room = self._workspace(key[0])
            if key not in self.captured:
                made = Captured(self.module.step_of_tensors, self.tensors, room, batches)
                self.captured[key] = made
            return self.captured[key].run(batches, rates, step, self._sent)

    def run_evaluate(self, batch: Arrays) -> dict[str, float]:
        """Loss and hits."""
        with self._arithmetic(), told(self.device):
            found = self.module.evaluate(self.tensors, *batch.values())
        return {name: float(value) for name, value in found.items()}

    def run_forward(self, batch: Arrays) -> Array:
        """The output."""
        with self._arithmetic(), told(self.device):
            output: torch.Tensor = self.module.forward(self.tensors, *batch.values())
        return output.cpu().numpy()

    def run_probe(self, batch: Arrays, step: int) -> dict[str, Any]:
        """The measurements."""
        with self._arithmetic(), told(self.device):
            found = self.module.probe(self.tensors, *batch.values(), step)
            return {n: v.cpu().numpy() if isinstance(v, torch.Tensor) else v for n, v in found.items()}

    def read(self, names: tuple[str, ...]) -> dict[str, Array]:
        """Copies on the host."""
        return {name: np.array(self.tensors[name].cpu().numpy(), order="C") for name in names}

    def write(self, arrays: Mapping[str, Array]) -> None:
        """Into the tensors that are there: emitted code and buffers stay valid."""
        for name, array in arrays.items():
            self.tensors[name].copy_(torch.from_numpy(np.require(array, self.precision, "W")))

    def _batch(self, feeds: Sequence[Feed], x: Any, y: Any) -> dict[str, Any]:
        """Also looks at the numbers of what was placed.

        A kernel would read beyond its arrays with a whole number that is out of range, and on a GPU abort, after which
        the process cannot use the device any more; a label that is compared with each class would be none of them, in
        silence. What `place` and `take` gave was looked at on the host; for whole numbers in other tensors the host
        waits. To look at real ones, which harm no kernel, it would always have to wait for a GPU.

        Raises:
            FacError: a number is out of range.
        """
        batch = super()._batch(feeds, x, y)
        for feed in feeds:
            value = batch[feed.name]
            if feed.classes is not None:
                _within(feed, feed.classes, getattr(value, ENDS, None) or _found(value, feed.ignored))
            elif (feed.within is not None or feed.mask) and self.on.type == "cpu":
                check_feed(feed, value)
        return batch

    def _arithmetic(self) -> AbstractContextManager[None]:
        return arithmetic(self.on.type, self.matmul, self.large, self.threads)

    def _workspace(self, n: int) -> Any:
        if n not in self.workspaces:
            if len(self.workspaces) == WORKSPACES:
                oldest = next(iter(self.workspaces))
                del self.workspaces[oldest]
                self.captured = {key: made for key, made in self.captured.items() if key[0] != oldest}
            with torch.inference_mode():
                self.workspaces[n] = self.module.workspace(self.tensors, n)
        return self.workspaces[n]


def usual_products(compiled: Compiled, precision: Precision, kind: str) -> str:
    """The setting of float32 products on a kind of device, where nobody has chosen one."""
    gains = precision == "float32" and largest_product(compiled) > SMALL
    return matmul_precision(kind) if gains else "highest"


def largest_product(compiled: Compiled) -> int:
    """Multiply-adds of the largest op of a step, on a batch as the spec has it."""
    costs = ((OPS[op.kind].macs, op) for op in compiled.step.ops)
    return max((macs(op, compiled.recipe.batch) for macs, op in costs if macs), default=0)


def _ends(array: NDArray[Any]) -> tuple[int, ...]:
    """The two least and the two largest of its numbers: without any one of all, the ends of the others are there."""
    low, high = int(array.min()), int(array.max())
    inner = array[(low < array) & (array < high)]
    return (low, int(inner.min()), int(inner.max()), high) if inner.size else (low, high)


def _found(value: torch.Tensor, ignored: int | None) -> tuple[int, ...]:
    """The ends of those that count; 0 stands for the others, and fits."""
    counted = value if ignored is None else value.masked_fill(value == ignored, 0)
    return tuple(int(end) for end in counted.aminmax())


def _within(feed: Feed, classes: int, ends: tuple[int, ...]) -> None:
    """Refuse whole numbers of which these are the ends.

    Raises:
        FacError: one is no class, nor what is ignored.
    """
    counted = [end for end in ends if end != feed.ignored] or [0]
    low, high = counted[0], counted[-1]
    if low < 0 or high >= classes:
        also = "" if feed.ignored is None else f", and {feed.ignored} is ignored"
        raise FacError(
            f"{feed.name} goes from {low} to {high}, where 0 to {classes - 1} fit the network{also}"
        )


@contextmanager
def told(device: str) -> Iterator[None]:
    """Says what torch means where memory ends.

    Raises:
        FacError: there is no room.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or NO_ROOM in str(error):
            size = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", str(error))
            asked = f", of which torch asked for {size[1]} more" if size else ""
            raise FacError(
                f"the memory of `{device}` ran out{asked}: use a smaller batch, narrower layers or lower ranks"
            ) from error
        raise
