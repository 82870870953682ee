"""Networks of other frameworks as specs: `fac import`, `fac.from_torch` and `fac.from_onnx`.

A backend says what a module of its framework computes (`fac.backend.Importing`); kinds of layers say which operations
they are (`LayerKind.counterparts`); what moves axes or joins values is read here. What cannot be said by layers is
refused, all of it at once. Nothing is written that was not proved to compute the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from fac import pipeline
from fac.backend import Array, Importing, Opening
from fac.diagnostics import FacError
from fac.importing.bound import Bound
from fac.importing.files import opened, stem
from fac.importing.layout import Value
from fac.importing.modes import unlike
from fac.importing.proof import Proof, proved
from fac.importing.refusals import ListedError
from fac.importing.returning import COUNT
from fac.importing.translate import Refused, translated
from fac.importing.writing import needed, spec

TRACED = 3
"""Samples of a trace: no size that a network divides or multiplies by."""


class NotImportedError(ListedError):
    """What of a module no layers say."""

    def __init__(self, name: str, refused: Sequence[Refused]) -> None:
        told = dict.fromkeys(map(str, refused))
        super().__init__(f"`{name}` cannot be imported, and nothing is written; no layers say this:", [*told])
        self.refused = tuple(refused)


@dataclass(frozen=True, slots=True)
class Imported:
    """A network that computes what a module does."""

    spec: dict[str, Any]
    """Plain data, as `fac.load` reads it."""
    state: dict[str, Array]
    """Parameters and statistics, by the names that layers give them."""
    proof: Proof
    notes: tuple[str, ...] = ()
    """What somebody who goes on with it has to know."""


def from_torch(module: Any, sample: Any, *, classes: int | None = None, name: str | None = None) -> Imported:
    """Read a `torch.nn.Module` as a spec and a state.

    Args:
        module: stays as it is.
        sample: a batch that it reads [N, ...], of which only the shape counts; or the shape of one sample, as
            `(3, 32, 32)`.
        classes: how many whole numbers the input tells apart, where it holds these.
        name: of the spec; by default the name of the module's class.

    Raises:
        NotImportedError: no layers say what it computes; all that is missing is listed.
        FacError: the sample is none, or several, the module cannot be traced, or what was imported does not compute
            the same.
    """
    shape = _shape(sample, classes)
    return imported(module, shape, classes=classes, name=name or type(module).__name__, framework="torch")


def _shape(sample: Any, classes: int | None) -> tuple[int, ...]:
    """Of one sample."""
    given = getattr(sample, "shape", None)
    if given is None:
        sizes = sample if isinstance(sample, list | tuple) else ()
        if isinstance(sample, dict) or any(hasattr(part, "shape") for part in sizes):
            raise FacError(
                f"`sample` is a `{type(sample).__name__}` of tensors, and a network is imported with one input: give "
                "that batch alone, and wrap a module of several in one that takes them out of one tensor"
            )
        if not sizes or not all(type(size) is int and size > 0 for size in sizes):
            raise FacError(
                "`sample` is a batch that the module reads, or the shape of one sample, such as `(3, 32, 32)`"
            )
        return tuple(sizes)
    if len(given) < 2:
        one = ", ".join(map(str, given))
        raise FacError(
            f"`sample` has shape {[*given]}: give a batch [N, ...], or the shape of one sample, `({one},)`"
        )
    if "int" in str(sample.dtype) and classes is None:
        raise FacError("`sample` holds whole numbers: say how many the module tells apart, `classes=N`")
    return tuple(int(size) for size in given[1:])


def from_onnx(
    path: str | PathLike[str],
    shape: Sequence[int] | None = None,
    *,
    classes: int | None = None,
    name: str | None = None,
) -> Imported:
    """Read an ONNX file as a spec and a state.

    Args:
        path: of the file; arrays that it keeps beside it are read from its folder.
        shape: of one sample, where the file leaves sizes open.
        classes: how many whole numbers the input tells apart, where it holds these.
        name: of the spec; by default that of the file, without its ending.

    Raises:
        NotImportedError: no layers say what it computes; all that is missing is listed.
        FacError: it is no such file, or what was imported does not compute the same.
    """
    file = opened(path)
    backend = reader("onnx")
    assert isinstance(backend, Opening)
    made, found, whole = backend.opened(file, shape)
    if whole != (classes is not None):
        holds = (
            "whole numbers: say how many it tells apart, `--classes N`"
            if whole
            else "real numbers, not classes"
        )
        raise FacError(f"the input of {file.place} holds {holds}")
    return imported(made, found, classes=classes, name=name or stem(path), framework="onnx")


def imported(made: Any, shape: Sequence[int], *, classes: int | None, name: str, framework: str) -> Imported:
    """As `from_torch`, of any framework that a backend reads."""
    module = reader(framework).module(made, [_sample(shape, classes)])
    graph = module.training or module.evaluation
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise FacError(
            f"`{name}` reads {len(graph.inputs)} tensors and returns {len(graph.outputs)}; a network here has one of "
            "each: wrap it in a module that does"
        )
    work = translated(graph, "input")
    output = work.values.get(graph.outputs[0].name)
    refused = [*work.refused, *(unlike(module, work) if module.training and not work.refused else ())]
    if refused:
        raise NotImportedError(name, refused)
    if not isinstance(output, Value) or output.array is not None or not work.network.layers:
        raise FacError(f"`{name}` makes nothing of its input that a layer could make")
    if not output.alone or output.batch:
        raise FacError(
            f"`{name}` returns its samples along another axis than the first: wrap it in a module that moves it"
        )
    output = work.network.settled(output, graph.calls[-1])
    layers = needed(work.network, output)
    arrays = {part: array for layer in layers for part, array in layer.arrays.items()}
    data, given = spec(name, work.network, output, classes), module.state()
    _require_all(name, given, arrays)
    if not any(array.held.learns for array in arrays.values()):
        raise FacError(f"`{name}` has no parameter that learns, and a network here has one at least")
    state = {part: array.taken(given[array.held.key]) for part, array in arrays.items()}
    for part, array in state.items():
        if not np.isfinite(array).all():
            raise FacError(f"`{arrays[part].held.key}` of `{name}` holds infinities, or what is no number")
    proof = proved(data, state, arrays, module)
    proof.require()
    return Imported(data, state, proof, module.notes)


def reader(framework: str) -> Importing:
    """The backend that reads and writes what a framework has.

    Raises:
        FacError: none does.
    """
    for backend in pipeline.backends():
        if isinstance(backend, Importing) and backend.imports == framework:
            return backend
    raise FacError(f"no installed backend reads modules of `{framework}`")


def _sample(shape: Sequence[int], classes: int | None) -> Array:
    draw = np.random.default_rng(0)
    size = (TRACED, *shape)
    return draw.standard_normal(size) if classes is None else draw.integers(classes, size=size)


def _require_all(name: str, held: Iterable[str], used: Mapping[str, Bound]) -> None:
    """Refuse arrays that nothing of the network reads: they would be lost on the way back."""
    there = {key for array in used.values() for key in array.keys}
    idle = [key for key in held if key not in there and not key.endswith(f".{COUNT}")]
    if idle:
        more = f" and {len(idle) - 3} more" if len(idle) > 3 else ""
        shown = ", ".join(f"`{key}`" for key in idle[:3])
        raise FacError(
            f"`{name}` keeps arrays that its output does not depend on, and that no layer would: {shown}{more}; leave "
            "them out of the module"
        )


__all__ = ["Imported", "ListedError", "NotImportedError", "from_onnx", "from_torch", "imported", "reader"]
