"""What a backend makes of a compiled spec, and the backend itself."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections import ChainMap
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from fac import asked, plugins
from fac.backend.boundary import check_feed, check_state, named
from fac.backend.compiled import STEP, Array, Compiled, Precision
from fac.backend.identity import fingerprint, made_of
from fac.backend.session import Session
from fac.backend.state_file import state_content
from fac.backend.tuning import Knob, require_ways
from fac.diagnostics import FacError
from fac.memory import require_memory
from fac.opening import DATA, opened, reason
from fac.step.text import to_text
from fac.step.transform import Pass
from fac.writing import Content, put, staged

Parameters = Literal["constants", "inputs"]
"""How a file of the forward pass has the parameters: in it, or as inputs beside what the network reads."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An inference file, read anew by what runs such files."""

    run: Callable[[Any], Array]
    """From what `Session.forward` takes to the network's output; a backend is given arrays by the names of feeds."""
    runtime: str
    """What runs it and where, as it says itself: `onnxruntime 1.31.1 (CPUExecutionProvider)`."""


class Artifact(ABC):
    """What a backend made of a compiled spec."""

    runs_with: tuple[str, ...] = ("numpy",)
    """The distributions on whose versions its numbers depend, beside fac's own."""
    parameters: Parameters | None = None
    """Of the forward pass that `write` writes, to be set before; None in a backend without the choice."""

    def __init__(self, compiled: Compiled, precision: Precision) -> None:
        self.compiled, self.precision = compiled, precision
        self.other: Artifact | None = None
        """What the same backend makes of `compiled.anchors`, if there are any."""
        self.passes: tuple[str, ...] = ()
        """The names of the passes by which it was made, in their order, where `fac.compile` made it."""
        self.choices: Mapping[str, str] = {}
        """By the names of knobs the ways that its sessions go; the usual one where nothing is said."""

    @abstractmethod
    def write(self, directory: str | Path) -> None:
        """Write the artifact, the initial state and a manifest into a folder, which is made if need be."""

    @abstractmethod
    def new_session(self, device: str | None) -> Session:
        """A session on that device, or on the default one; `open` gives it its state.

        Raises:
            FacError: the device is not there.
        """

    def peak_bytes(self, n: int) -> int | None:
        """The most memory, beyond what imports take, of a process that opens a session and trains in batches of n.

        Predicted from the emitted step, on a CPU and without anchors; None where the backend does not say.
        """
        return None

    def knobs(self, device: str | None = None) -> tuple[Knob, ...]:
        """What there is to choose on that device, or on the default one; nothing in a backend with one way.

        Raises:
            FacError: the device is not there.
        """
        return ()

    def choosing(self, choices: Mapping[str, str], device: str | None = None) -> Artifact:
        """The same by other ways: equal up to rounding, and faster or slower.

        Args:
            choices: the word for a way, by the name of a knob; others are as they were.
            device: on which its sessions will be opened.

        Raises:
            FacError: there is no such knob or way there.
        """
        require_ways(choices, self.knobs(device))
        made = self.like(self.compiled, {**self.choices, **choices})
        made.passes = tuple(name for name in self.passes if name not in made.compiled.disabled)
        made.other = None if self.other is None else self.other.like(self.other.compiled, made.choices)
        return made

    def like(self, compiled: Compiled, choices: Mapping[str, str]) -> Artifact:
        """What the same backend makes of a compiled spec by these ways; some of them it may have no use for.

        A backend whose ways show in what it emits overrides it.
        """
        made = type(self)(compiled, self.precision)
        made.parameters, made.choices = self.parameters, choices
        return made

    def chosen(self, device: str | None = None) -> dict[str, str]:
        """The ways that a session goes on that device, by the names of all knobs that there are.

        Raises:
            FacError: the device is not there.
        """
        return {knob.name: self.choices.get(knob.name, knob.usual) for knob in self.knobs(device)}

    def versions(self) -> dict[str, str]:
        """Of fac, and of what of `runs_with` is installed, by the names of distributions."""
        found = {"fac-compiler": self.compiled.version}
        for name in self.runs_with:
            with suppress(PackageNotFoundError):
                found[name] = version(name)
        return found

    def listing(self) -> str:
        """The step as text: what `fac show --after PASS` prints, in the words of the backend."""
        return to_text(self.compiled.step)

    def open(
        self, state: Mapping[str, Array] | None = None, device: str | None = None, *, derive: bool = False
    ) -> Session:
        """A session that starts from `state`, or from the initial values.

        Args:
            state: see `Session.load_state`.
            device: the default one if not given.
            derive: whether a state of parameters alone will do, see `Session.load_state`.

        Raises:
            FacError: the device is not there, the state belongs to another spec, it is not whole, or it does not fit
                into memory.
        """
        asked.name(device, "device", "cpu")
        shapes = {slot.name: slot.shape for slot in self.compiled.state}
        require_memory(f"the state of `{self.compiled.name}`", shapes, np.dtype(self.precision).itemsize)
        session = self.new_session(device)
        session.other = None if self.other is None else self.other.new_session(session.device)
        session.beside = lambda other: self.like(self.compiled.fit(other), self.choices).open(device=device)
        if state is None:
            session.begin()
        else:
            session.load_state(state, derive=derive)
        return session

    def export(self, state: Mapping[str, Array], path: str | Path, device: str | None = None) -> Exported:
        """Write the network with the parameters of a state as one file for inference, and load that file anew.

        Layers with adapters stay the layers that they are written out as; `fac export` merges them.

        Args:
            state: as `Session.state()` gives it, or the parameters alone.
            path: of the file. What does not fit into it goes beside it, under names that begin with its own.
            device: where the file is loaded; the default one if not given.

        Raises:
            FacError: the backend makes no such files, the state belongs to another spec, the device is not there,
                or the file cannot be written.
        """
        place = asked.path(path, "path")
        asked.name(device, "device", "cpu")
        found = check_state(self.compiled, state, self.precision, whole=False)
        file = self.write_inference(*found, place, device)
        feeds = self.compiled.inputs

        def run(x: Any) -> Array:
            batch = named(self.compiled, feeds, x)
            return file.run({feed.name: check_feed(feed, batch[feed.name]) for feed in feeds})

        return Exported(run, file.runtime)

    def write_inference(
        self, state: Mapping[str, Array], step: int, path: Path, device: str | None
    ) -> Exported:
        """What `export` does with a state that is one of this spec: the part of a backend that is `Exporting`."""
        able = [f"`{one.name}`" for one in plugins.objects("fac.backends") if isinstance(one, Exporting)]
        remedy = f": compile the spec for {' or '.join(able)}, which take this state" if able else ""
        raise FacError(f"`{type(self).__name__}` makes no files for inference{remedy}")


class Backend(Protocol):
    """A backend: found by the entry point `fac.backends`."""

    name: str
    summary: str
    default_precision: Precision

    def devices(self) -> tuple[str, ...]:
        """Devices that a session can be opened on here, the default one first.

        Raises:
            FacError: what the backend runs with is not installed.
        """

    def ops(self, precision: Precision) -> frozenset[str]:
        """The kinds of op that the backend has kernels for in this precision.

        An op of another kind reaches `emit` made of finer ones; one that cannot be made of finer ones is
        reported to the user, with its place in the spec, and `emit` is not called.
        """

    def emit(self, compiled: Compiled, precision: Precision) -> Artifact:
        """Lower the functions.

        Raises:
            FacError: what the backend runs with is not installed.
        """


@runtime_checkable
class Optimising(Backend, Protocol):
    """A backend with passes of its own, which run behind those of the core."""

    def passes(self) -> tuple[Pass[Any], ...]:
        """In the order in which they run; `emit` leaves out those whose names are in `Compiled.disabled`.

        Raises:
            FacError: what the backend runs with is not installed.
        """


@runtime_checkable
class Exporting(Backend, Protocol):
    """A backend whose artifacts can be exported. `fac export` finds it by what the file is called."""

    exports: str
    """How the names of its files end, such as `.onnx`."""


def write_common(
    artifact: Artifact,
    backend: str,
    directory: Path,
    files: Mapping[str, Content],
) -> None:
    """Write files, the initial state as safetensors, and `manifest.json` that describes them, with their digests.

    Args:
        artifact: what the files are.
        backend: its name.
        directory: is made if need be.
        files: by name.

    Raises:
        FacError: the folder cannot be written, the precision does not reach an initial value, or there is no step that
            the files could train with.
    """
    c = artifact.compiled
    if c.solution is not None:
        raise FacError(
            f"`{c.name}` is solved by `{c.solution.rule}`, and there is no training step to compile: `fac train` it, "
            "and write what comes of it with `fac export RUN -o model.onnx`"
        )
    manifest = {
        "name": c.name,
        **made_of(artifact, backend),
        "fingerprint": fingerprint(artifact, backend),
        "versions": artifact.versions(),
        "feeds": {feed.name: ["N", *feed.shape] for feed in c.feeds},
        "lr": c.lr,
        "state": {slot.name: list(slot.shape) for slot in c.state},
        "files": [*files, "state.safetensors", "manifest.json"],
    }
    step = np.array(0, np.int64)
    types = {slot.name: (np.dtype(artifact.precision), slot.shape) for slot in c.state}
    arrays = ChainMap({STEP: step}, c.initial(precision=artifact.precision))  # type: ignore[arg-type]  # it is read
    about = {**c.about, "backend": backend, "precision": artifact.precision}
    state = state_content(arrays, about, {**types, STEP: (step.dtype, ())})
    rest: dict[str, Content] = {**files, "state.safetensors": state}
    with staged(directory, refused=_refused(directory)) as place:
        write_files(place, rest)
        # of what was written: some files are made as they are written, and none should lie in memory twice
        manifest["digests"] = {name: _digest(place / name) for name in rest}
        write_files(place, {"manifest.json": json.dumps(manifest, indent=2) + "\n"})


def write_files(directory: Path, files: Mapping[str, Content]) -> None:
    """Write files into a folder, which is made if need be: all of them, or none.

    Raises:
        FacError: the folder cannot be written.
    """
    with staged(directory, refused=_refused(directory)) as place:
        for name, given in files.items():
            with (place / name).open("wb") as file:
                put(file, given)


def _refused(directory: Path) -> Callable[[OSError], FacError]:
    return lambda error: FacError(f"cannot write to `{directory}`: {reason(error)}")


def _digest(path: Path) -> str:
    with opened(path, DATA) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
