"""PyTorch modules as graphs of operations, by `torch.export`, for `fac import`."""

from __future__ import annotations

import copy
import inspect
import io
import logging
import operator
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.utils._python_dispatch import TorchDispatchMode

from fac.backend import Array, Call, Fed, Held, Precision, Ran, Ref, Traced
from fac.diagnostics import FacError

SILENT = frozenset(
    {"aten._assert_tensor_metadata", "aten._assert_async", "aten.sym_constrain_range_for_size"}
)
"""Operations that compute nothing."""
USERS = "LOGNAME", "USER", "LNAME", "USERNAME"
"""Variables that name the user, as `getpass` reads them."""
WIDTH = 4
"""Bytes of the shortest float of a state."""
CACHE = "TORCHINDUCTOR_CACHE_DIR"
aten: Any = torch.ops.aten


class TorchModule:
    """A module, traced in both of its modes."""

    precision: Precision = "float64"
    notes: tuple[str, ...] = ()

    def __init__(self, module: torch.nn.Module, sample: Sequence[Array]) -> None:
        self.original = module
        _require_known(module)
        _require_floats(module)
        _require_apart(module)
        batch = tuple(map(torch.from_numpy, sample))
        # The trace is one of a copy: tracing moves averages, and a user's module stays as it is.
        wide = copy.deepcopy(module).to("cpu", torch.float64)
        _require_runs(wide.eval(), batch)
        owners = self._owners()
        self.training: Traced | None = _traced(wide.train(), batch, owners)
        self.evaluation = _traced(wide.eval(), batch, owners)

    def state(self) -> dict[str, Array]:
        """See `fac.backend.Module`."""
        return {key: np.array(_kept(value.detach()).numpy(force=True)) for key, value in self._items()}

    def run(self, state: Mapping[str, Array], x: Array, training: bool, target: Array | None = None) -> Ran:
        """See `fac.backend.Module`."""
        module = copy.deepcopy(self.original).to("cpu", torch.float64).train(training)
        module.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()}, strict=False)
        with torch.enable_grad(), _Certain():  # type: ignore[no-untyped-call]
            output = _only(module(torch.from_numpy(x)))
            gradients: dict[str, Array] = {}
            if target is not None:
                loss = ((output - torch.from_numpy(target)) ** 2).mean()
                learning = {key: p for key, p in module.named_parameters() if p.requires_grad}
                found = torch.autograd.grad(loss, list(learning.values()), allow_unused=True)
                pairs = zip(learning.items(), found, strict=True)
                gradients = {key: _array(p if g is None else g, g is None) for (key, p), g in pairs}
        buffers = {key: np.array(value.numpy(force=True)) for key, value in module.named_buffers()}
        return Ran(output.detach().numpy(), gradients, buffers)

    def _owners(self) -> Mapping[str, str]:
        """For the key of each array the first one under which the module has it."""
        first: dict[int, str] = {}
        return {key: first.setdefault(id(value), key) for key, value in self._items()}

    def _items(self) -> Iterator[tuple[str, Any]]:
        # `keep_vars`: the parameters themselves, of which it can be seen that two are one
        yield from self.original.state_dict(keep_vars=True).items()


def saved(arrays: Mapping[str, Array]) -> bytes:
    """The content of a file that `torch.load(..., weights_only=True)` reads as a `state_dict`."""
    file = io.BytesIO()
    torch.save({key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}, file)
    return file.getvalue()


class _Certain(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What is drawn comes out as its mean, and what is rounded more than float64 is, exactly.

    A mask that keeps with probability p is p everywhere, and so 1 once it is divided by p.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is aten.bernoulli_.float:
            return args[0].fill_(args[1] if len(args) > 1 else 0.5)
        if func is aten.hardsigmoid_backward.default:
            # PyTorch's own has the sixth in float32, whatever the type
            error, x = args
            return error * ((x > -3) & (x < 3)) / 6
        if func is aten.native_dropout.default:
            return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        return func(*args, **(kwargs or {}))


def _kept(tensor: torch.Tensor) -> torch.Tensor:
    """In a precision that a state has: shorter floats have each of their numbers in float32."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() < WIDTH else tensor


def _array(tensor: torch.Tensor, zero: bool) -> Array:
    return np.zeros(tuple(tensor.shape)) if zero else tensor.detach().numpy()


def _only(made: Any) -> torch.Tensor:
    """The one tensor in what a module returns."""
    found = [leaf for leaf in torch.utils._pytree.tree_leaves(made) if isinstance(leaf, torch.Tensor)]
    if len(found) != 1:
        raise FacError(
            f"the module returns {len(found)} tensors, and a network makes one: wrap it in one that does"
        )
    return found[0]


def _require_known(module: torch.nn.Module) -> None:
    """Refuse arrays that have no shape or no numbers yet."""
    for key, value in (*module.named_parameters(), *module.named_buffers()):
        if torch.nn.parameter.is_lazy(value):
            raise FacError(f"`{key}` has no shape before the module has run once: run it, and import it then")
        if value.is_meta:
            raise FacError(f"`{key}` is on the device `meta`, where arrays have no numbers")
        if not value.numel() and value.dim():
            raise FacError(f"`{key}` has the shape {[*value.shape]}, and so no numbers")


def _require_apart(module: torch.nn.Module) -> None:
    """Refuse two parameters in one memory: PyTorch trains each by itself, and both move."""
    first: dict[int, tuple[str, torch.Tensor]] = {}
    for key, value in module.named_parameters():
        other, owner = first.setdefault(value.untyped_storage().data_ptr(), (key, value))
        if owner is not value:
            raise FacError(
                f"`{key}` and `{other}` are two parameters in one memory: let them be one, or give each its own"
            )


def _require_floats(module: torch.nn.Module) -> None:
    odd = [
        f"`{key}` ({str(p.dtype).removeprefix('torch.')})"
        for key, p in module.named_parameters()
        if not p.dtype.is_floating_point
    ]
    if odd:
        raise FacError(f"parameters have to be real numbers, and these are not: {', '.join(odd[:5])}")


def _require_runs(module: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> None:
    """Tell a network that fails on its input, or reads other ones, from one that cannot be traced."""
    try:
        signature = inspect.signature(module.forward)
    except ValueError:  # of what is not written in Python nothing is known
        signature = None
    try:
        if signature is not None:
            signature.bind(*batch)
    except TypeError as error:
        raise FacError(
            f"`forward{signature}` cannot be called with one tensor: {error}; wrap it in a module that does"
        ) from None
    try:
        with torch.no_grad():
            module(*batch)
    except Exception as error:
        shapes = ", ".join(str([*x.shape]) for x in batch)
        raise FacError(
            f"the module fails on a batch {shapes}: {type(error).__name__}: {_first(error)}; is that the shape "
            "which it reads? Of whole numbers it has to be said how many there are, `--classes N`"
        ) from error


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _traced(module: torch.nn.Module, batch: tuple[torch.Tensor, ...], owners: Mapping[str, str]) -> Traced:
    mode = "train" if module.training else "eval"
    try:
        with _quiet():
            program = torch.export.export(module, batch, strict=False)
    except Exception as error:
        condition = isinstance(error, GuardOnDataDependentSymNode)
        said = (
            "there is a condition on such numbers"
            if condition
            else f"{type(error).__name__}: {_first(error)}"
        )
        raise FacError(
            f"the module cannot be traced in {mode} mode by `torch.export`, where nothing may depend on numbers of the "
            f"data: {said}"
        ) from error
    return _Reading(program, module, owners).traced()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what `torch.export` says to developers of PyTorch, and without its looking for a place for a cache.

    It does so when it is first used, though nothing here needs one: it tries where files can be made, makes a folder
    unless it is told one that is there, and asks who the user is, for which the C library may open a socket where the
    environment does not say.
    """
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    nameless = not any(os.environ.get(name) for name in USERS)
    if nameless:
        os.environ[USERS[0]] = "nobody"
    told, os.environ[CACHE] = os.environ.get(CACHE), os.environ.get(CACHE) or os.getcwd()
    place, tempfile.tempdir = tempfile.tempdir, tempfile.tempdir or os.curdir
    try:
        # of a graph that it cannot trace it prints all that it has of it
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        tempfile.tempdir = place
        if nameless:
            del os.environ[USERS[0]]
        if told is None:
            del os.environ[CACHE]


class _Reading:
    """A graph in which no value is overwritten.

    An operation that overwrites makes a value, which from there on stands for the one that it overwrote. Who reads
    the same memory by another name, a view made before, would see the change: that is refused.
    """

    def __init__(self, program: ExportedProgram, module: torch.nn.Module, owners: Mapping[str, str]) -> None:
        self.program, self.module, self.owners = program, module, owners
        self.constants: dict[str, Any] = {}
        self.now: dict[str, str] = {}
        self.memory: dict[str, str] = {}
        self.stale: dict[str, str] = {}
        self.leaves = {path for path, part in module.named_modules() if not any(part.children())}

    def traced(self) -> Traced:
        signature, nodes = self.program.graph_signature, {n.name: n for n in self.program.graph.nodes}
        inputs, arrays = [], dict[str, Held]()
        for spec in signature.input_specs:
            name = str(getattr(spec.arg, "name", ""))
            value = nodes[name].meta.get("val") if name in nodes else None
            if not isinstance(value, torch.Tensor):
                continue
            shape = tuple(value.shape)
            key = spec.target or name
            if spec.kind is InputKind.USER_INPUT:
                inputs.append(Fed(name, shape))
            elif key in self.owners:
                parameter = spec.kind is InputKind.PARAMETER
                learns = parameter and self.module.get_parameter(key).requires_grad
                owner = self.owners[key]
                also = tuple(other for other, first in self.owners.items() if first == owner != other)
                arrays[name] = Held(owner, shape, learns, not parameter, also)
            else:  # no part of the `state_dict`
                self.constants[name] = self.program.constants[key].detach().clone()
        # one by one: what is called says which values are overwritten from there on
        calls = tuple(
            self._call(node) for node in nodes.values() if self._computes(node) and not self._folded(node)
        )
        outputs = tuple(
            Ref(self.now.get(spec.arg.name, spec.arg.name))
            for spec in signature.output_specs
            if spec.kind is OutputKind.USER_OUTPUT and getattr(spec.arg, "name", None)
        )
        constants = {
            name: np.array(value.numpy(force=True))
            for name, value in self.constants.items()
            if isinstance(value, torch.Tensor)
        }
        return Traced(tuple(inputs), arrays, calls, outputs, constants)

    def _folded(self, node: Node) -> bool:
        """Whether a value depends neither on the input nor on an array; then it is computed here."""
        target = node.target
        known = all(of.name in self.constants and of.name not in self.now for of in node.all_input_nodes)
        if not known or node.op != "call_function" or not callable(target) or _draws(node):
            return False
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda of: self.constants[of.name])
        self.constants[node.name] = target(*args, **kwargs)
        return True

    def _computes(self, node: Node) -> bool:
        return node.op in ("call_function", "get_attr") and _named(node) not in SILENT

    def _call(self, node: Node) -> Call:
        path, cls = _place(node)
        value = node.meta.get("val")
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else None
        op, args = _named(node), self._args(node)
        op = self._overwritten(node, op)
        return Call(node.name, op, args, path, cls, path in self.leaves, shape)

    def _args(self, node: Node) -> dict[str, Any]:
        if node.op == "get_attr":
            return {"target": str(node.target)}
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            return {str(i): self._plain(value) for i, value in enumerate(node.args)}
        found = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
        found |= dict(zip((a.name for a in schema.arguments), node.args, strict=False)) | dict(node.kwargs)
        return {name: self._plain(value) for name, value in found.items()}

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Node):
            if value.name in self.stale:
                raise FacError(
                    f"`{self.stale[value.name]}` overwrites memory that is read by another name behind it: write the "
                    "module without operations in place there"
                )
            return Ref(self.now.get(value.name, value.name))
        if isinstance(value, list | tuple):
            return [self._plain(item) for item in value]
        return value

    def _overwritten(self, node: Node, op: str) -> str:
        """The operation's name, without the mark of one that overwrites what it reads first."""
        schema = getattr(node.target, "_schema", None)
        first = node.args[0] if node.args and isinstance(node.args[0], Node) else None
        own = node.name
        if (
            schema is not None
            and first is not None
            and schema.returns
            and schema.returns[0].alias_info is not None
        ):
            own = self.memory.get(first.name, first.name)
        self.memory[node.name] = own
        if schema is None or first is None or not _writes(schema):
            return op
        for name, memory in self.memory.items():
            if memory == own and name != node.name:
                self.stale[name] = f"{_place(node)[0] or 'the module'}: {op}"
        overwritten = first.name
        for name in [name for name, now in self.now.items() if now == self.now.get(overwritten, overwritten)]:
            self.now[name] = node.name
        self.now[overwritten] = node.name
        for name, now in self.now.items():
            if now == node.name:
                self.stale.pop(name, None)
        return op.removesuffix("_")


def _writes(schema: Any) -> bool:
    """Whether an operation overwrites its first argument, and returns that."""
    info = schema.arguments[0].alias_info if schema.arguments else None
    return info is not None and info.is_write and schema.name.endswith("_")


def _draws(node: Node) -> bool:
    """Whether an operation draws, or makes memory in which nothing stands yet."""
    random = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    return random or "empty" in _named(node)


def _named(node: Node) -> str:
    """`aten.conv2d`."""
    if node.op == "get_attr":
        return "get_attr"
    if node.target is operator.getitem:
        return "getitem"
    if isinstance(node.target, torch._ops.OpOverload):
        return ".".join(str(node.target).split(".")[:2])
    return getattr(node.target, "__name__", str(node.target))


def _place(node: Node) -> tuple[str, str]:
    """The path of the module in whose code it stands, and its class."""
    stack = node.meta.get("nn_module_stack") or {}
    if not stack:
        return "", ""
    path, cls = list(stack.values())[-1]
    # a module that is called again has `@1` behind its path
    path = str(path).partition("@")[0]
    return path, (cls if isinstance(cls, str) else cls.__name__).rpartition(".")[2]
