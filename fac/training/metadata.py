"""What a checkpoint says beside its arrays, by key: a run goes on with it, so it has to be what a run wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from re import fullmatch
from typing import Any

from fac.backend import DamagedError, Precision
from fac.training.dataset import Dataset
from fac.training.scaling import Scaling, from_text, to_text

SPEC = "spec"
"""The spec, all defaults written out, as JSON."""
BASE = "base"
"""The way from the folder of the checkpoint to the one which its spec came from."""
SAMPLES = "samples"
"""How many samples there were to train on."""
DATA: dict[str, Precision] = {"data": "float32", "data_float64": "float64"}
"""Metadata keys of fingerprints of the training samples, and the precision up to which they tell them apart. A run in
float32 has the first only; one that changes its precision is compared by what both have."""
LOSS_SUM = "loss_sum"
"""Of the part of an epoch that led here: the sum of the losses of its steps."""
LOSS_SUMS = "loss_sums"
"""Where there are several, the sums of each, by name, as JSON."""
BEST = "best"
"""By each measure that the training goes by: the best value on the validation data so far and its epoch, as JSON."""
PLUGINS = "plugins"
"""The plug-ins whose kinds the spec has, if any are files: their names by SHA-256 in hexadecimal digits, as JSON."""
PASSES = "passes"
"""The names of the passes by which it was compiled, in their order, as JSON."""
CHOICES = "choices"
"""Which of several ways it was computed, by the names of knobs, as JSON; see `fac.tuning`."""
VERSIONS = "versions"
"""The versions of what it was computed with, by the names of distributions, as JSON."""
ORIGIN = "origin"
"""What the first state was made of, if it was given: a file or a run, with its SHA-256, as JSON."""
CLASSES = "classes"
"""What the classes of the data are called, in the order of their numbers, as JSON."""
COLUMNS = "columns"
"""What the columns of a table are called that make a sample, in their order, as JSON."""
SCALINGS = "scalings"
"""By which means and deviations of training samples the data are standardised, see `fac.training.scaling`."""


@dataclass(frozen=True, eq=False, slots=True)
class Kept:
    """What a run keeps of the data that its network was trained on, so that others are read as these were."""

    scalings: Mapping[str, Scaling] = field(default_factory=dict)
    """By what the arrays are standardised; those that are not have none."""
    classes: tuple[str, ...] = ()
    """What the classes are called, in the order of their numbers; empty where they have no names."""
    columns: tuple[str, ...] = ()
    """What the numbers of a sample are called, in their order; likewise."""


def told(dataset: Dataset) -> dict[str, str]:
    """What is kept of data that a network is trained on."""
    kept = {}
    if dataset.classes:
        kept[CLASSES] = json.dumps(list(dataset.classes))
    if dataset.columns:
        kept[COLUMNS] = json.dumps(list(dataset.columns))
    if dataset.scalings:
        kept[SCALINGS] = to_text(dataset.scalings)
    return kept


def kept(metadata: Mapping[str, str]) -> Kept:
    """What `told` has written."""
    classes, columns = (tuple(json.loads(metadata.get(key, "[]"))) for key in (CLASSES, COLUMNS))
    return Kept(scalings(metadata), classes, columns)


def scalings(metadata: Mapping[str, str]) -> dict[str, Scaling]:
    """By what the arrays of the data are standardised; those that are not have none."""
    return from_text(metadata.get(SCALINGS, "{}"))


def require_sound(metadata: Mapping[str, str]) -> None:
    """Refuse what no run wrote.

    Raises:
        DamagedError: naming the key.
    """
    for key, sound in _SOUND.items():
        if key in metadata and not sound(metadata[key]):
            raise DamagedError(f"its metadata have a `{key}` that no run wrote")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_spec(text: str) -> bool:
    """Whether it is a mapping, with such sections as are read without the schema, which judges the rest."""
    found = _json(text)
    if not isinstance(found, dict):
        return False
    data, train = (found.get(key) for key in ("data", "train"))
    if not all(section is None or isinstance(section, dict) for section in (data, train)):
        return False
    return type((train or {}).get("epochs", 0)) is int


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _are_numbers(text: str) -> bool:
    found = _json(text)
    return isinstance(found, dict) and all(type(v) is float or v == 0 for v in found.values())


def _are_bests(text: str) -> bool:
    found = _json(text)
    return isinstance(found, dict) and all(
        type(best) is list and [type(part) for part in best] in ([float, int], [int, int])
        for best in found.values()
    )


def _have_digests(text: str) -> bool:
    found = _json(text)
    return isinstance(found, dict) and all(
        fullmatch("[0-9a-f]{64}", digest) and type(name) is str for digest, name in found.items()
    )


def _are_names(text: str) -> bool:
    found = _json(text)
    return isinstance(found, list) and all(type(name) is str for name in found)


def _are_texts(text: str) -> bool:
    found = _json(text)
    return isinstance(found, dict) and all(type(text) is str for text in found.values())


def _are_scalings(text: str) -> bool:
    try:
        from_text(text)
    except ValueError:
        return False
    return True


def _is_origin(text: str) -> bool:
    found = _json(text)
    return isinstance(found, dict) and all(type(value) in (str, int) for value in found.values())


_SOUND: Mapping[str, Callable[[str], bool]] = {
    SPEC: _is_spec,
    BASE: lambda text: "\0" not in text,
    SAMPLES: lambda text: text.isdecimal() and len(text) < 20,
    LOSS_SUM: _is_number,
    LOSS_SUMS: _are_numbers,
    BEST: _are_bests,
    PLUGINS: _have_digests,
    PASSES: _are_names,
    CHOICES: _are_texts,
    VERSIONS: _are_texts,
    CLASSES: _are_names,
    COLUMNS: _are_names,
    SCALINGS: _are_scalings,
    ORIGIN: _is_origin,
}
