"""Files that `torch.save` writes, as they come in: arrays are read, and no code that a pickle names is run."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

import torch

from fac.backend import Array
from fac.diagnostics import FacError

NAMES = 25_000_000
"""Bytes of the pickle, which names the arrays; as many as a safetensors file may have for that."""
ANEW = "save `module.state_dict()` with `torch.save`, or as a `.safetensors` file"


def loaded(file: BufferedReader, name: str) -> dict[str, Array]:
    """See `fac.backend.Importing`."""
    _require_archive(file, name)
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of its own ways to make arrays
            found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, for whatever the bytes of a pickle lead to
        # torch's own words are left out: they say how to run the code that a file may hold
        raise FacError(f"{name} is damaged, or holds more than arrays by name: {ANEW}") from error
    if not isinstance(found, dict):
        raise FacError(f"{name} holds a `{type(found).__name__}`, and no arrays by name: {ANEW}")
    return dict(_arrays(found, name))


def _require_archive(file: BufferedReader, name: str) -> None:
    """What torch unpacks is as large as the file, and what it unpickles is small."""
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except Exception as error:  # likewise
        raise FacError(
            f"{name} is no file that `torch.save` of PyTorch 1.6 or later wrote: {ANEW}"
        ) from error
    stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
    pickles = sum(part.file_size for part in parts if part.filename.endswith(".pkl"))
    if (
        not stored
        or pickles > NAMES
        or sum(part.file_size for part in parts) > os.fstat(file.fileno()).st_size
    ):
        raise FacError(f"{name} is packed in another way than `torch.save` does: {ANEW}")


def _arrays(found: dict[Any, Any], name: str) -> Iterator[tuple[str, Array]]:
    for key, value in found.items():
        if isinstance(value, dict):
            raise FacError(
                f"{name} holds a mapping `{key!s:.100}`, and no arrays by name: save that mapping alone"
            )
        if not isinstance(key, str):
            kind = type(key).__name__
            raise FacError(f"{name} names an array by `{key!s:.100}`, a `{kind}`, and not by a text: {ANEW}")
        if not isinstance(value, torch.Tensor):
            kind = type(value).__name__
            raise FacError(f"`{key!s:.100}` in {name} is a `{kind}`, and no array: {ANEW}")
        if value.is_quantized:
            raise FacError(
                f"`{key:.100}` in {name} is quantised: save `dequantize()` of it, or the module as it learns"
            )
        if value.layout != torch.strided or value.device.type != "cpu":
            raise FacError(
                f"`{key:.100}` in {name} is {value.layout} on {value.device}, and no plain array: {ANEW}"
            )
        value = value.detach()
        if value.is_neg() or value.is_conj():  # by a mark beside the numbers, which NumPy does not have
            _require_stored(value, key, name)
            value = value.resolve_conj().resolve_neg()
        if value.dtype == torch.bfloat16:
            _require_stored(value, key, name)
            value = value.float()  # NumPy has no such type; float32 holds its numbers exactly
        try:
            yield key, value.numpy()
        except (TypeError, RuntimeError) as error:
            raise FacError(
                f"`{key:.100}` in {name} is of {value.dtype}, which NumPy does not have"
            ) from error


def _require_stored(value: torch.Tensor, key: str, name: str) -> None:
    """Refuse what would grow as it is copied."""
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise FacError(f"`{key:.100}` in {name} repeats numbers that are stored once: {ANEW}")
