"""Arrays of a file as the parameters that a training starts from: what fits, what does not, and whose they are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fac.backend import COUNTS, STEP, Array, Compiled, DamagedError, from_file
from fac.diagnostics import FacError
from fac.memory import require_room
from fac.opening import STATE, MissingError, opened, unreadable
from fac.pipeline import find_saving
from fac.program.adapters import Adapted, without
from fac.training import checkpoint
from fac.training.metadata import Kept, kept

ARRAYS = ".safetensors"
PICKLED = {".pt": "torch", ".pth": "torch"}
"""Frameworks by how their own files of arrays end."""
SHOWN = 8
"""Names of a row that are printed."""


@dataclass(frozen=True, eq=False, slots=True)
class Weights:
    """What a file or a run holds."""

    name: str
    """What messages call it."""
    arrays: Mapping[str, Array]
    origin: Mapping[str, str | int]
    """What a run that starts from it keeps of where that was: names without folders, and digests."""
    kept: Kept | None = None
    """Of the data that it was trained on, if it is a run."""
    run: checkpoint.Checkpoint | None = None
    """Whose they are, if it is one."""


@dataclass(frozen=True, eq=False, slots=True)
class Match:
    """How the arrays of a file fit the parameters and averages of a network."""

    taken: dict[str, Array] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """What the network has and the file does not."""
    unlike: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    """What has another shape there: that one, and the one here."""
    anew: list[str] = field(default_factory=list)
    """Parameters of adapters, which begin as adapters do where the file has none."""
    left: list[str] = field(default_factory=list)
    """What the file has and no network would read as a parameter here."""

    @property
    def whole(self) -> bool:
        """Whether each array of either side has its place on the other."""
        return not (self.missing or self.unlike or self.left)

    def lines(self) -> Iterator[str]:
        """What fits and what does not, for people."""
        yield _row("matched", [f"`{name}` {list(array.shape)}" for name, array in self.taken.items()])
        if self.unlike:
            yield _row(
                "another shape",
                [
                    f"`{name}` is {list(there)} there and {list(here)} here"
                    for name, (there, here) in self.unlike.items()
                ],
            )
        if self.missing:
            yield _row("not in the file", [f"`{name}`" for name in self.missing])
        if self.anew:
            yield _row("adapters, which begin anew", [f"`{name}`" for name in self.anew])
        if self.left:
            yield _row("left out", [f"`{name}`" for name in self.left])


def read(path: Path) -> Weights:
    """The arrays of a safetensors file, of a file of PyTorch, or of a run.

    Raises:
        FacError: there is no such file, it is damaged, or it holds something else than arrays by name.
    """
    if path.is_dir():
        found = checkpoint.offered(path)
        return _of_run(found, path.resolve().name)
    framework = PICKLED.get(path.suffix)
    if framework is None and path.suffix != ARRAYS:
        raise FacError(
            f"`{path}` is no file of arrays by its name, nor a run: name one that ends in "
            f"{', '.join((ARRAYS, *PICKLED))}"
        )
    name = f"`{path}`"
    try:
        with opened(path, STATE) as file:
            size = os.fstat(file.fileno()).st_size
            if framework is not None:
                require_room(f"the file {name}", size, "it may be damaged, or of a larger machine")
                arrays, metadata = find_saving(framework).loaded(file, name), dict[str, str]()
            else:
                arrays, metadata = from_file(file, size, name)
            file.seek(0)  # only now: what is none may have no end
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except MissingError as error:
        raise FacError(f"there is no file {name}") from error
    except OSError as error:
        raise unreadable(name, error) from error
    except DamagedError as error:
        raise FacError(f"{name} is damaged or is no such file: {error}") from error
    if "fac_checkpoint" in metadata:
        return _of_run(checkpoint.load(path), None)
    return Weights(name, arrays, {"file": path.name, "sha256": digest})


def held(arrays: Mapping[str, Array], name: str) -> Weights:
    """Arrays that are in memory, without what stands beside parameters and averages in a state.

    Args:
        arrays: by their names.
        name: what messages call them.
    """
    kept = {key: array for key, array in arrays.items() if not _beside(key, arrays.keys())}
    digest = hashlib.sha256()
    for key in sorted(kept):
        digest.update(key.encode() + b"\0" + np.ascontiguousarray(kept[key]).tobytes())
    return Weights(name, kept, {"file": name, "sha256": digest.hexdigest()})


def _of_run(found: checkpoint.Checkpoint, run: str | None) -> Weights:
    """The parameters and averages of a checkpoint: its feedback and optimiser state are those of another spec."""
    names = found.state.keys()
    arrays = {name: array for name, array in found.state.items() if not _beside(name, names)}
    return Weights(f"`{found.place}`", arrays, origin(found, run), kept(found.about), found)


def origin(found: checkpoint.Checkpoint, run: str | None) -> dict[str, str | int]:
    """What a run keeps of the checkpoint that it starts from.

    Args:
        found: the checkpoint.
        run: the name of its folder; None if a file was named.
    """
    with opened(found.place, STATE) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    where = {"file": found.place.name} if run is None else {"run": run}
    known = {key: found.about[key] for key in ("name", "spec_hash") if key in found.about}
    return {**where, "sha256": digest, "step": found.step, **known}


def _beside(name: str, names: Container[str]) -> bool:
    """Whether it is no parameter of the network: feedback, what an update keeps of a parameter, or the step."""
    return name == STEP or ".feedback." in name or name.rpartition(".")[0] in names


def matched(weights: Weights, compiled: Compiled, adapted: Sequence[Adapted] = ()) -> Match:
    """What of a file a network starts from.

    Counts of batches, which PyTorch keeps beside averages and nothing here reads, are passed over. What belongs to a
    layer with an adapter may have the name that it has without one.

    Raises:
        FacError: an array that fits holds no real numbers, or one that is not finite.
    """
    found = Match()
    slots = {slot.name: slot for slot in compiled.state if slot.parameter}
    plain, used = without(adapted, slots), set[str]()
    for name, slot in slots.items():
        there = name if name in weights.arrays else plain.get(name, name)
        array = weights.arrays.get(there)
        used.add(there)
        if array is None:
            (found.missing if name in plain else found.anew).append(name)
        elif array.shape != slot.shape:
            found.unlike[name] = array.shape, slot.shape
        else:
            found.taken[name] = _finite(array, name, weights.name)
    found.left.extend(name for name in weights.arrays if name not in used and not name.endswith(COUNTS))
    return found


def beyond(names: Iterable[str], wanted: Iterable[str]) -> str:
    """What all names begin with that are those of a network behind it, such as `module.`; empty if nothing is."""
    there = list(names)
    starts = {name[: -len(end)] for name in there for end in wanted if name.endswith(f".{end}")}
    return next((start for start in sorted(starts) if all(name.startswith(start) for name in there)), "")


def _finite(array: Array, name: str, place: str) -> Array:
    if array.dtype.kind != "f":
        raise FacError(
            f"`{name}` in {place} holds {array.dtype}, and parameters are real numbers: write it as float32"
        )
    if not np.isfinite(array).all():
        raise FacError(
            f"`{name}` in {place} holds numbers that are not finite: nothing can be trained from them"
        )
    return array


def _row(title: str, names: list[str]) -> str:
    return f"  {title} ({len(names)}): {listed(names) or 'nothing'}"


def listed(texts: Iterable[str]) -> str:
    """The first of them, and how many there are more."""
    shown = list(texts)
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more
