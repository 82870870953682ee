"""What a CUDA graph does, on the CPU: ops are written down with the addresses and Python numbers that they had.

Nothing is carried out while they are written down. Doing them again reads what lies at these addresses by then, and
writes there; whatever was a Python number is what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fac.testing.case import Subject, compare
from fac.testing.nets import Data, batches
from fac_torch import BACKEND, captured, kernels, session

RATES = (0.1, 0.03, 0.0, 0.2, 0.05, 0.1)
WAITS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes ops down."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Keeps what is there before an op runs."""
        if func in WAITS:
            raise RuntimeError("operation not permitted when stream is capturing")
        for tensor in _tensors((args, kwargs)):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.before:
                self.before[storage.data_ptr()] = storage, storage.clone()  # type: ignore[no-untyped-call]
        made = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, made))
        return made

    def again(self) -> None:
        """All of it, in its order."""
        with torch.inference_mode():
            for func, args, kwargs, made in self.calls:
                for old, new in zip(_tensors(made), _tensors(func(*args, **kwargs)), strict=True):
                    if old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                        old.copy_(new)


def recorded(work: Callable[[], None]) -> Callable[[], None]:
    """As `fac_torch.captured.recorded`."""
    with Tape() as tape:
        work()
    for storage, kept in tape.before.values():
        storage.copy_(kept)
    again: Callable[[], None] = tape.again
    return again


def taped(patch: pytest.MonkeyPatch) -> None:
    """Sessions on the CPU take the way of those on CUDA."""
    patch.setattr(session, "captures", lambda _: True)
    patch.setattr(captured, "recorded", recorded)
    patch.setattr(kernels, "_is_known", lambda _: False)


def same_numbers(data: Data, patch: pytest.MonkeyPatch) -> list[session.TorchSession]:
    """Steps that are queued as graphs are those steps, whatever their rates and numbers; returns both sessions."""
    opened: list[Any] = []
    for graphs in (False, True):
        with patch.context() as inner:
            if graphs:
                taped(inner)
            made = Subject(BACKEND, "float64", "cpu").open(data)
            losses = [
                float(loss)
                for given, lr in zip(batches(*[7] * len(RATES)), RATES, strict=True)
                for loss in made.step(*given, lr).values()
            ]
            opened.append((made, {f"loss {k}": loss for k, loss in enumerate(losses)}))
    (plain, expected), (made, found) = opened
    compare(found | made.state(), expected | plain.state(), 1e-12)
    return [plain, made]


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
