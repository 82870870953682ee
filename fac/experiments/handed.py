"""What Python hands over in the place of files: specs as data or models, samples as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fac import source
from fac.diagnostics import FacError
from fac.pipeline import SpecLike
from fac.render.yaml import dump
from fac.source import Document, Overrides
from fac.spec.base import written
from fac.spec.model import ModelSpec
from fac.training.dataset import Dataset, Split

if TYPE_CHECKING:
    from fac.backend import Array

Samples = Split | tuple[Any, Any] | list[Any] | Mapping[str, Any]
"""(x, y), or arrays by the names of inputs and targets, batch first."""
DataLike = Dataset | Mapping[str, Samples]
"""`{"train": (x, y), "test": (x, y)}`, and `validation` likewise if it is to be evaluated, too."""
HANDED = "data"


def document(spec: SpecLike, overrides: Overrides = ()) -> Document:
    """The spec as a document: messages about it show its lines if it is a file.

    Raises:
        FacError: the file cannot be read, or an override makes no sense.
    """
    if isinstance(spec, Document):
        found = spec
    elif isinstance(spec, ModelSpec):
        found = _texted(source.from_data(written(spec)))
    elif isinstance(spec, Mapping):
        found = _texted(source.from_data(spec))
    else:
        found = source.read(spec)
    return source.override(found, overrides)


def _texted(found: Document) -> Document:
    """With the text that a run keeps of it."""
    return found if found.diagnostics else replace(found, text=dump(found.data))


def without_data(spec: Document) -> Document:
    """A spec that names no data, because these are handed over: what is kept of a run says nothing that is not so."""
    if "data" not in spec.data:
        return spec
    data = {key: value for key, value in spec.data.items() if key != "data"}
    spans = {path: span for path, span in spec.values.items() if path[:1] != ("data",)}
    edited = {**spec.overridden, ("data",): "arrays that were handed over, in the place of `data`"}
    return replace(spec, data=data, values=spans, overridden=edited)


def dataset(data: DataLike) -> Dataset:
    """Samples to train on and to test on.

    Raises:
        FacError: one of the two is missing, or is no arrays of numbers.
    """
    if isinstance(data, Dataset):
        return data
    if not isinstance(data, Mapping) or not {"train", "test"} <= set(data) <= {"train", "validation", "test"}:
        named = ", ".join(f"`{key}`" for key in data) if isinstance(data, Mapping) else type(data).__name__
        raise FacError(
            f'data are `{{"train": (x, y), "test": (x, y)}}`, perhaps with `validation`; these are {named or "empty"}'
        )
    found = {part: split(samples, f"`{part}` of the data") for part, samples in data.items()}
    return Dataset(HANDED, found["train"], found["test"], validation=found.get("validation"))


def split(samples: Samples, place: str, targets: bool = True, *, text: bool = False) -> Split:
    """Samples of one purpose.

    Args:
        samples: as they were handed over.
        place: what messages call them.
        targets: whether a pair is an input and its target; without, what is no mapping is the input.
        text: whether arrays may hold text, as labels may where classes have names.

    Raises:
        FacError: they are no arrays of numbers.
    """
    if isinstance(samples, Split):
        return samples
    if isinstance(samples, Mapping):
        given = {
            str(name): array(value, f"`{name}` in {place}", text=text) for name, value in samples.items()
        }
        if not given:
            raise FacError(f"{place} are empty: give arrays by the names of what the network reads")
        return Split(**given)
    if not targets:
        return Split(array(samples, place))
    if not isinstance(samples, tuple | list) or len(samples) != 2:
        raise FacError(f"{place} are no pair (x, y), and no arrays by name")
    x, y = (
        array(value, f"`{name}` in {place}", text=text) for name, value in zip("xy", samples, strict=True)
    )
    # as `data: {source: arrays}` reads them: targets (n,) stand for (n, 1)
    return Split(x, y[:, None] if y.ndim == 1 and y.dtype.kind == "f" else y)


def numbers(value: Any, place: str) -> Array:
    """An array of any shape.

    Raises:
        FacError: it is none.
    """
    import numpy as np

    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        # rows of unequal length; tensors that lie on a device, or that autograd follows
        raise FacError(f"{place} cannot be read as an array: {error}") from error


def array(value: Any, place: str, *, text: bool = False) -> Array:
    """Numbers, or text where that is allowed, one row for each sample.

    Raises:
        FacError: they are none.
    """
    found = numbers(value, place)
    if found.dtype.kind not in ("iufbU" if text else "iufb") or not found.shape:
        raise FacError(
            f"{place} has shape {list(found.shape)} of {found.dtype}: give numbers with one row for each sample"
        )
    return found
