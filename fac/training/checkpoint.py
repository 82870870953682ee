"""A checkpoint: one safetensors file with the whole state, and whose state it is.

A file is complete or not there (`fac.writing`), and says by its digest if it is not as it was written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fac import source
from fac.backend import (
    FORMAT,
    PRECISIONS,
    STEP,
    UNSIGNED,
    Array,
    Compiled,
    DamagedError,
    Precision,
    from_file,
    is_whole,
    metadata_of,
    state_content,
)
from fac.diagnostics import FacError
from fac.opening import STATE, MissingError, opened, there, unreadable
from fac.source import Document
from fac.spec.base import dumped
from fac.spec.data import places
from fac.spec.model import ModelSpec
from fac.training import metadata
from fac.training.metadata import SPEC, require_sound
from fac.writing import settle, write

PLAN = "plan.json"
"""What only the folder of a comparison has."""
FILE = "state.safetensors"
"""What a checkpoint is called in the folder of a run."""
BEST = "best.safetensors"
"""The state after the epoch that was the best by the validation data, where a run keeps it (`train.keep`)."""
UNKNOWN = object()
"""Stands for a field that a spec does not know."""
NOTHING = (None, UNKNOWN)
SPECS = frozenset({".yaml", ".yml", ".json"})
REMEDY = "bring back a copy of it, or train anew in another folder"


@dataclass(frozen=True, eq=False, slots=True)
class Checkpoint:
    """What a checkpoint file holds."""

    place: Path
    state: dict[str, Array]
    about: Mapping[str, str]
    """`name`, `spec_hash`, `spec` (JSON), `version`, `seed`, the training data, and what the run adds."""

    @property
    def step(self) -> int:
        """How many steps led to this state."""
        return int(self.state[STEP])

    @property
    def whose(self) -> str:
        """Words for which state it is, where a run has two: `, the best by validation_loss ...`; else empty."""
        found: dict[str, tuple[float, int]] = json.loads(self.about.get(metadata.BEST, "{}"))
        if self.place.name != BEST or not found:
            return ""
        by, (value, epoch) = max(found.items(), key=lambda item: item[1][1])
        return f", the best by `{by}` ({value:.4g} after epoch {epoch})"

    @property
    def precision(self) -> Precision | None:
        """In what it was made, if it says so."""
        return next((known for known in PRECISIONS if known == self.about.get("precision")), None)

    def document(self) -> Document:
        """The spec that it carries; messages call it by the checkpoint's name.

        Raises:
            FacError: there is none.
        """
        if SPEC not in self.about:
            raise FacError(f"`{self.place}` holds no spec: name a checkpoint of `fac train`")
        return source.from_data(json.loads(self.about[SPEC]), str(self.place))


def save(path: Path, state: Mapping[str, Array], about: Mapping[str, str], at: int | None = None) -> None:
    """Write a checkpoint; the one that was there stays until the new one is complete.

    Args:
        path: of the file.
        state: all arrays by name.
        about: what it says beside them.
        at: see `fac.writing.replacing`.

    Raises:
        FacError: the file cannot be written.
    """
    write(path, state_content(state, about), at)


def about(folder: Path) -> Mapping[str, str]:
    """What the checkpoint of a run says beside its arrays, which are not read; its digest is not asked.

    Raises:
        FacError: the file is missing, damaged, or no checkpoint.
    """
    place = folder / FILE
    try:
        with opened(place, STATE, within=folder) as file:
            metadata = metadata_of(file, os.fstat(file.fileno()).st_size)
        require_sound(metadata)
    except OSError as error:
        raise unreadable(f"`{place}`", error) from error
    except DamagedError as error:
        raise FacError(f"`{place}` is damaged or is no checkpoint: {error}") from error
    if metadata.get("fac_checkpoint") not in (FORMAT, UNSIGNED):
        raise FacError(f"`{place}` is not a checkpoint that `fac` wrote")
    return metadata


def load(path: Path) -> Checkpoint:
    """Read a checkpoint: a file, or the one in the folder of a run. What is due there is finished first.

    Raises:
        FacError: the file is missing, damaged, or no checkpoint, or its folder is half replaced.
    """
    folder = path if os.path.isdir(path) else None
    place = path / FILE if folder else path
    settle(place.parent)
    name = f"`{place}`"
    try:
        with opened(place, STATE, within=folder) as file:
            state, about = from_file(file, os.fstat(file.fileno()).st_size, name)
            file.seek(0)
            whole = is_whole(file, about)
        ours = about.get("fac_checkpoint") in (FORMAT, UNSIGNED)
        if ours and whole:
            require_sound(about)
    except MissingError as error:
        if folder and there(folder / PLAN):
            raise FacError(
                f"`{folder}` is a comparison: name one of its runs, the folders in `{folder / 'runs'}`"
            ) from error
        raise FacError(f"there is no checkpoint {name}") from error
    except OSError as error:
        raise unreadable(name, error) from error
    except DamagedError as error:
        if place.suffix in SPECS:
            raise FacError(f"{name} is a spec, and no checkpoint: name the folder of a run of it") from error
        raise FacError(f"{name} is damaged or is no checkpoint: {error}; {REMEDY}") from error
    if not whole:
        raise FacError(f"{name} is damaged: it is not what was written, by its SHA-256; {REMEDY}")
    steps = state.get(STEP, np.array(None))
    if not ours or steps.shape or steps.dtype.kind not in "iu":
        raise FacError(
            f"{name} holds arrays, but is not a checkpoint that `fac` wrote: a training in Python can start from "
            "them, `fac.compile(SPEC).open(state, derive=True)`"
        )
    return Checkpoint(place, state, about)


def offered(path: Path) -> Checkpoint:
    """What a run offers to those who use its network: the best state if it keeps one, or else the last.

    Args:
        path: of its folder; or of a file, which then is what is read.

    Raises:
        FacError: see `load`.
    """
    best = path / BEST
    return load(best if there(best) else path)


def require_spec(checkpoint: Checkpoint, compiled: Compiled, spec: ModelSpec) -> int | None:
    """Refuse to go on with another spec than the checkpoint was made with, unless it only trains longer.

    All that was true then has to be so now, defaults too: the hash leaves those out, and a default may have changed.
    A field that has come since is at its default.

    Returns:
        For how many epochs the run was meant, if the spec asks for more; else None.

    Raises:
        FacError: naming the first few differences.
    """
    theirs, ours = _both(checkpoint, spec)
    if not theirs and checkpoint.about.get("spec_hash") == compiled.spec_hash:
        return None
    if theirs == ours:
        return None
    before = (theirs.get("train") or {}).get("epochs", 0)
    if 0 < before < spec.train.epochs and theirs == ours | {"train": ours["train"] | {"epochs": before}}:
        return int(before)
    found = list(differing(theirs, ours))
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    raise FacError(
        f"the checkpoint `{checkpoint.place}` belongs to another spec: {'; '.join(found[:3])}{more}: "
        "resume with the spec of that run (a larger `train.epochs` is allowed), or go on with this one in another "
        f"folder, `--fork {checkpoint.place.parent}`"
    )


def differences(checkpoint: Checkpoint, spec: ModelSpec) -> tuple[str, ...]:
    """In what a spec is not the one that a checkpoint was made with, place by place."""
    return tuple(differing(*_both(checkpoint, spec)))


def require_epochs(checkpoint: Checkpoint, spec: ModelSpec) -> None:
    """Refuse to go on with a spec by which the steps of a checkpoint would be other epochs.

    Raises:
        FacError: its batches have another size, or it is solved where the other makes steps.
    """
    theirs: Any = json.loads(checkpoint.about.get("spec", "{}"))
    remedy = f"`--init {checkpoint.place.parent}` starts a new training from its parameters"
    if bool(theirs.get("solve")) != (spec.solve is not None):
        raise FacError(
            f"of `{checkpoint.place}` and this spec one is solved and the other makes steps: {remedy}"
        )
    batch = (theirs.get("train") or {}).get("batch", spec.train.batch)
    if checkpoint.step and batch != spec.train.batch:
        raise FacError(
            f"`train.batch` is {batch} in `{checkpoint.place}` and {spec.train.batch} here, so its epochs cannot go "
            f"on: {remedy}"
        )


def _both(checkpoint: Checkpoint, spec: ModelSpec) -> tuple[Any, Any]:
    """The spec of a checkpoint and another one as plain data, without what does not count."""
    theirs: Any = json.loads(checkpoint.about.get("spec", "{}"))
    theirs.pop("$schema", None)  # for editors, as in the hash
    ours: Any = dumped(spec.model_copy(update={"schema_": None}), theirs)
    for found in (theirs, ours):
        (found.get("train") or {}).pop("loggers", None)
    if spec.data is not None and theirs.get("data"):
        aside = dict.fromkeys(places(type(spec.data)))
        theirs, ours = (found | {"data": found["data"] | aside} for found in (theirs, ours))
    return theirs, ours


def differing(theirs: Any, ours: Any, at: str = "") -> Iterator[str]:
    """`update.lr` is 0.1 there and 0.05 here, for every place at which plain data differ, as of two specs.

    A field that one of the two does not know, as of another update rule, is no setting there; null is as much as that.
    """
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in (*theirs, *(k for k in ours if k not in theirs)):
            yield from differing(
                theirs.get(key, UNKNOWN), ours.get(key, UNKNOWN), f"{at}.{key}" if at else key
            )
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for i, pair in enumerate(zip(theirs, ours, strict=True)):
            yield from differing(*pair, f"{at}[{i}]")
    elif theirs != ours and not (theirs in NOTHING and ours in NOTHING):
        yield f"`{at}` is {_short(theirs)} there and {_short(ours)} here"


def _short(value: Any) -> str:
    text = "no setting" if value is UNKNOWN else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
