"""Tensors on a GPU that is not there: shapes, types and devices are real, numbers are not.

`FakeTensorMode` runs every op up to its kernel, and refuses two devices in one op. `Watch` sees each op before it does,
and writes down what would be slow or wrong on a GPU inside the functions that it guards: any tensor that lies on the
host, any op without a kernel for CUDA, and in those that a training calls whatever makes the host wait for the device.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ATEN = torch.ops.aten
FUSED = frozenset(
    getattr(packet, overload)
    for packet in (ATEN._fused_sgd_, ATEN._fused_adam_, ATEN._fused_adamw_)
    for overload in ("default", "tensor_lr")
)
"""Have no fake kernel: they change lists of tensors of equal shapes in place, and return nothing."""
WAITING_TAGS = frozenset({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape})
"""Of ops whose result, or its shape, the host has to know."""
NO_WORK = frozenset({ATEN.lift_fresh.default, ATEN.is_pinned.default, ATEN._pin_memory.default})
"""What comes before a copy to the device, on the host."""
MAY_WAIT = frozenset({"forward", "evaluate", "probe"})
"""Functions after which the host reads numbers anyway."""


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what ops do, inside of what `guard` wraps."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []
        self.inside: list[str] = []
        self.seen: set[str] = set()
        """Names of the guarded functions that were called."""
        self.pinned: list[Tensor] = []

    def guard(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, watched."""

        def guarded(*given: Any, **named: Any) -> Any:
            self.inside.append(name)
            self.seen.add(name)
            try:
                return function(*given, **named)
            finally:
                self.inside.pop()

        return guarded

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the op, or what stands for it, and look at its tensors. One that is made of others is those others."""
        if func.namespace != "aten":  # questions about a tensor, such as its device
            return func(*args, **(kwargs or {}))
        with self:
            made = func.decompose(*args, **(kwargs or {}))
        if made is not NotImplemented:
            return made
        given = _tensors((args, kwargs))
        result = self._result(func, given, args, kwargs or {})
        if self.inside and func not in NO_WORK:
            self._look(func, given, _tensors(result), kwargs or {})
        return result

    def _result(self, func: Any, given: list[Tensor], args: Any, kwargs: Any) -> Any:
        if func in FUSED:
            assert len({tensor.device for tensor in given}) == 1, f"{func} mixes devices"
            return None
        if func is ATEN._local_scalar_dense.default:
            return {torch.bool: True, torch.int64: 1}.get(given[0].dtype, 1.0)
        if func is ATEN._pin_memory.default:  # needs a driver
            self.pinned.append(given[0])
            return given[0]
        if func is ATEN.is_pinned.default:
            return any(given[0] is tensor for tensor in self.pinned)
        return func(*args, **kwargs)

    def _look(self, func: Any, given: list[Tensor], made: list[Tensor], kwargs: Any) -> None:
        devices = {tensor.device.type for tensor in (*given, *made)}
        copies = func in (ATEN._to_copy.default, ATEN.copy_.default) and len(devices) > 1
        if copies:
            source = given[-1]
            queued = kwargs.get("non_blocking") and any(source is tensor for tensor in self.pinned)
            if "recorded" in self.inside:
                self._note(func, "copies between host and device, and a graph would copy the same again")
            elif not queued:
                self._note(func, "copies between host and device, and waits")
        elif "cuda" in devices and (WAITING_TAGS & set(func.tags) or _decomposes(func.name())):
            if self.inside[-1] not in MAY_WAIT:
                self._note(func, "waits for the device")
        elif "cpu" in devices:
            self._note(func, "has a tensor on the host")
        if "cuda" in devices and torch.version.cuda is not None and not _has_kernel(func.name()):
            self._note(func, "has no kernel for CUDA")  # a fake tensor needs the shapes alone

    def _note(self, func: Any, what: str) -> None:
        frames = [
            f
            for f in traceback.extract_stack()
            if f.filename.startswith("<fac") or "/fac_torch/" in f.filename
        ]
        line = frames[-1].line if frames else ""
        self.found.append(f"{self.inside[-1]}: {func} {what}: {line}")


class Numbers(TorchFunctionMode):
    """`numpy()` of a tensor on the host, which has no numbers to give: zeros."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """As torch does it, a tensor on a device is refused."""
        if func is not Tensor.numpy:
            return func(*args, **(kwargs or {}))
        tensor = args[0]
        if tensor.device.type != "cpu":
            raise TypeError(f"can't convert {tensor.device} device type tensor to numpy")
        return np.zeros(
            tuple(tensor.shape), {torch.float32: "f4", torch.float64: "f8"}.get(tensor.dtype, "i8")
        )


def _copied(tensor: Tensor, other: Tensor, non_blocking: bool = False) -> Tensor:
    return ATEN.copy_.default(tensor, other, non_blocking)  # type: ignore[no-any-return]


def _moved(tensor: Tensor, *args: Any, copy: bool = False, **kwargs: Any) -> Tensor:
    device, dtype, queued, _ = torch._C._nn._parse_to(*args, **kwargs)
    device, dtype = device or tensor.device, dtype or tensor.dtype
    if (device.type, dtype) == (tensor.device.type, tensor.dtype) and not copy:
        return tensor
    return ATEN._to_copy.default(tensor, device=device, dtype=dtype, non_blocking=queued)  # type: ignore[no-any-return]


def _part(tensor: Tensor, key: Any) -> Tensor:
    """By whole numbers, slices and None; masks and lists, whose ops wait, are not in emitted code."""
    key = key if isinstance(key, tuple) else (key,)
    if Ellipsis in key:
        at, left = key.index(Ellipsis), tensor.dim() - sum(each is not None for each in key) + 1
        key = (*key[:at], *[slice(None)] * left, *key[at + 1 :])
    axis = 0
    for each in key:
        if each is None:
            tensor = tensor.unsqueeze(axis)
        elif isinstance(each, int):
            tensor, axis = tensor.select(axis, each), axis - 1
        else:
            assert isinstance(each, slice), each
            tensor = ATEN.slice.Tensor(tensor, axis, each.start, each.stop, each.step or 1)
        axis += 1
    return tensor


@contextmanager
def unlinked() -> Iterator[None]:
    """On a build of torch for CPUs: these methods ask for CUDA before any op is called, so they call the op at once."""
    methods: dict[str, Callable[..., Any]] = {"copy_": _copied, "to": _moved, "__getitem__": _part}
    methods |= {"item": ATEN._local_scalar_dense.default, "nonzero": ATEN.nonzero.default}
    for name, kind in {"__float__": float, "__int__": int, "__bool__": bool, "__index__": int}.items():
        methods[name] = lambda tensor, kind=kind: kind(methods["item"](tensor))

    def where(method: Any, op: Any) -> Any:
        def called(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            there = any(
                str(each).startswith("cuda")
                for each in (*args, *kwargs.values())
                if not isinstance(each, Tensor)
            )
            return (op if there or tensor.device.type == "cuda" else method)(tensor, *args, **kwargs)

        return called

    with ExitStack() as stack:
        for name, op in methods.items():
            stack.enter_context(patch.object(Tensor, name, where(getattr(Tensor, name), op)))
        yield


@contextmanager
def watching() -> Iterator[Watch]:
    """Everything inside is about tensors that are nowhere."""
    methods = unlinked() if torch.version.cuda is None else nullcontext()
    with methods, FakeTensorMode(allow_non_fake_inputs=True), Watch() as watch, Numbers():
        yield watch


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _has_kernel(name: str) -> bool:
    """A build for CPUs does not know."""
    return torch._C._dispatch_has_computed_kernel_for_dispatch_key(name, "CUDA")


def _decomposes(name: str) -> bool:
    """Whether an op is of the family that reads back whether it succeeded; norms of vectors are sums."""
    return "linalg" in name and "vector_norm" not in name
