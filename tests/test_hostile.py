"""Whatever lies where a file is expected: a command ends soon, in little memory, with one message, and reads no other.

Each thing of `EVERYWHERE` is put to each of `PLACES`, and the command that reads there is run as a user runs it.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from fac import pipeline, source
from fac.backend import to_bytes

ROOT = Path(__file__).parents[1]
SECRET = "PASSWORD=hunter2"
GIANT = 1 << 40
MUCH = bytes(20_000_000)
SPEC = """\
fac: 1
name: held
input: {shape: [3]}
layers: [{kind: linear, name: fc, out: 4}, {kind: tanh}, {kind: linear, name: out, out: 2}]
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1}
train: {epochs: 1, batch: 2}
"""
ARRAYS = SPEC + "data: {source: arrays, train: X, test: X}\n"
SERIES = SPEC + "data: {source: sequences, train: X, test: X}\n"
TEXT = """\
fac: 1
name: bytes
input: {shape: [3], classes: 256}
layers: [{kind: embedding, name: fc, out: 4}, {kind: linear, name: out, out: 256}]
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1}
data: {source: text, path: X, length: 3}
"""
CLASSES = SPEC.replace("out: 2", "out: 10")
IDX = CLASSES.replace("[3]", "[784]") + "data: {source: fashion_mnist, root: X}\n"
DIGITS = CLASSES.replace("[3]", "[64]") + "data: {source: digits}\n"


Thing = Callable[[Path], None]
Place = Callable[[Path, Thing], list[str]]


def _linked(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _sparse(head: bytes, tail: bytes = b"") -> Callable[[Path], None]:
    """A file of 16 TiB that takes no room, with something at its ends."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.write(head)
            file.seek(GIANT - len(tail))
            file.write(tail)
            file.truncate(GIANT)

    return make


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def _giant_state(path: Path) -> None:
    """Of one array that is as large as it says."""
    entry = {"dtype": "F32", "shape": [1 << 20, GIANT >> 22], "data_offsets": [0, GIANT]}
    head = json.dumps({"__metadata__": {"fac_checkpoint": "1"}, "a": entry}).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + GIANT)


def _holding(content: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content)

    return make


def _array(head: str, content: bytes) -> Callable[[Path], None]:
    """An npz file whose array says something of itself."""
    import zipfile

    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for key in "xy":
                said = f"{head}\n".encode()
                archive.writestr(
                    f"{key}.npy", b"\x93NUMPY\1\0" + len(said).to_bytes(2, "little") + said + content
                )

    return make


END_OF_ZIP = (
    b"PK\5\6" + bytes(8) + (2**32 - 2).to_bytes(4, "little") + (2**31).to_bytes(4, "little") + bytes(2)
)
BOMB = "{'descr': '<f8', 'fortran_order': False, 'shape': (2000000000,), }"
EVERYWHERE: dict[str, Thing] = {
    "nothing": lambda path: None,
    "a link that leads nowhere": _linked("nowhere"),
    "a link in a circle": lambda path: path.symlink_to(path.name),
    "a link to another folder": lambda path: path.symlink_to(path.absolute().parents[1] / "outside"),
    "a link to the environment": _linked("/proc/self/environ"),
    "a link to a device": _linked("/dev/zero"),
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "a folder": Path.mkdir,
    "bytes": _holding(bytes(range(256)) * 20),
    "a giant of zeros": _sparse(b""),
}
JSON: dict[str, Thing] = {"a giant of JSON": _sparse(b"{"), "deep JSON": _holding(b"[" * 500_000)}
STATES: dict[str, Thing] = {
    "a giant state": _giant_state,
    "a giant header": _sparse((GIANT - 8).to_bytes(8, "little") + b"{"),
    "a deep header": _holding((90_000).to_bytes(8, "little") + b'{"a":' * 18_000),
}
ARCHIVES: dict[str, Thing] = {
    "a giant archive": _sparse(b"PK\3\4", END_OF_ZIP),
    "an array that says it is large": _array(BOMB, b""),
    "an array that unpacks to much": _array(BOMB, MUCH),
}
PACKED: dict[str, Thing] = {"much packed": _holding(gzip.compress(MUCH))}
REFUSED = (
    (EVERYWHERE.keys() - {"nothing", "bytes", "a link to another folder"}) | STATES.keys() | ARCHIVES.keys()
)
"""What no command takes for what it wants, wherever it lies."""


@dataclass(frozen=True)
class Where:
    """A place, and the command that reads there."""

    make: Place
    by: Literal["command", "file", "folder"]
    """Who says that something is there: only a link that a folder holds has to stay within it."""
    things: dict[str, Thing]


PLACES: dict[str, Where] = {}


def place(
    by: Literal["command", "file", "folder"], *more: dict[str, Thing], streams: bool = False
) -> Callable[[Place], Place]:
    """Add a place. Where `streams` are read, who names a pipe has to wait for its writer."""

    def added(make: Place) -> Place:
        things = {name: thing for each in (EVERYWHERE, *more) for name, thing in each.items()}
        if streams:
            del things["a pipe"]
        PLACES[make.__name__.replace("_", " ")] = Where(make, by, things)
        return make

    return added


def _spec(path: Path, text: str) -> str:
    (path / "s.fac.yaml").write_text(text)
    return "s.fac.yaml"


@place("command", JSON, streams=True)
def a_spec_that_is_named(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    return ["check", "X"]


@place("folder")
def a_spec_in_a_folder(path: Path, thing: Thing) -> list[str]:
    thing(path / "x.fac.yaml")
    return ["check", "."]


@place("command", streams=True)
def a_spec_to_show(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    return ["show", "X"]


@place("command", streams=True)
def a_spec_to_train(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    return ["train", "X"]


@place("command", streams=True)
def a_spec_beside_another(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    return ["diff", _spec(path, SPEC), "X"]


@place("folder")
def settings(path: Path, thing: Thing) -> list[str]:
    thing(path / "fac.toml")
    return ["check", _spec(path, SPEC)]


@place("folder")
def shared_settings(path: Path, thing: Thing) -> list[str]:
    thing(path / "pyproject.toml")
    return ["check", _spec(path, SPEC)]


@place("command", streams=True)
def settings_that_are_named(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    return ["check", _spec(path, SPEC), "--config", "X"]


@place("file")
def settings_that_are_extended(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    (path / "fac.toml").write_text("extends = 'X'\n")
    return ["check", _spec(path, SPEC)]


@place("file", ARCHIVES)
def arrays(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    return ["train", _spec(path, ARRAYS), "--backend", "reference"]


@place("file")
def series(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    return ["train", _spec(path, SERIES), "--backend", "reference"]


@place("file")
def a_text(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    return ["data", _spec(path, TEXT), "-o", "out"]


@place("folder")
def a_text_in_a_folder(path: Path, thing: Thing) -> list[str]:
    (path / "X").mkdir()
    thing(path / "X/a.txt")
    return ["data", _spec(path, TEXT), "-o", "out"]


@place("file")
def a_folder_of_pictures(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    return ["train", _spec(path, IDX), "--backend", "reference"]


@place("folder")
def pictures(path: Path, thing: Thing) -> list[str]:
    (path / "X").mkdir()
    thing(path / "X/train-images-idx3-ubyte")
    return ["train", _spec(path, IDX), "--backend", "reference"]


@place("folder", PACKED)
def packed_pictures(path: Path, thing: Thing) -> list[str]:
    (path / "X").mkdir()
    thing(path / "X/train-images-idx3-ubyte.gz")
    return ["train", _spec(path, IDX), "--backend", "reference"]


@place("command", STATES)
def a_checkpoint(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    return ["export", "X", "-o", "m.onnx"]


@place("command")
def a_checkpoint_to_go_on_with(path: Path, thing: Thing) -> list[str]:
    thing(path / "X")
    return ["sample", "X"]


@place("command", STATES)
def weights_to_start_from(path: Path, thing: Thing) -> list[str]:
    thing(path / "X.safetensors")
    return ["train", _spec(path, DIGITS), "--init", "X.safetensors"]


@place("command", ARCHIVES)
def weights_of_pytorch(path: Path, thing: Thing) -> list[str]:
    thing(path / "X.pt")
    return ["train", _spec(path, DIGITS), "--init", "X.pt"]


@place("folder", STATES)
def a_fork(path: Path, thing: Thing) -> list[str]:
    (path / "run").mkdir()
    thing(path / "run/state.safetensors")
    return ["train", _spec(path, DIGITS), "--fork", "run"]


def _run(path: Path, without: str) -> list[str]:
    """The folder of a run that has begun, but for one of its files."""
    spec = SPEC + "data: {source: arrays, train: ../d.npz, test: ../d.npz}\n"
    compiled = pipeline.compiled(pipeline.lowered(source.parse_text(spec)))
    state = dict(compiled.initial()) | {"step": np.array(0)}
    np.savez(path / "d.npz", x=np.ones((4, 3)), y=np.array([0, 1, 0, 1]))
    (path / "run").mkdir()
    files = {
        "state.safetensors": to_bytes(state, compiled.about),
        "spec.fac.yaml": spec.encode(),
        "metrics.jsonl": b"",
    }
    for name in files.keys() - {without}:
        (path / "run" / name).write_bytes(files[name])
    return ["train", "--resume", "run", "--backend", "reference"]


@place("folder", STATES)
def the_state_of_a_run(path: Path, thing: Thing) -> list[str]:
    command = _run(path, "state.safetensors")
    thing(path / "run/state.safetensors")
    return command


@place("folder", JSON)
def the_log_of_a_run(path: Path, thing: Thing) -> list[str]:
    command = _run(path, "metrics.jsonl")
    thing(path / "run/metrics.jsonl")
    return command


@place("folder", JSON)
def the_log_of_a_plot(path: Path, thing: Thing) -> list[str]:
    _run(path, "metrics.jsonl")
    thing(path / "run/metrics.jsonl")
    return ["plot", "run", "-o", "a.svg"]


@place("folder")
def the_spec_of_a_run(path: Path, thing: Thing) -> list[str]:
    command = _run(path, "spec.fac.yaml")
    thing(path / "run/spec.fac.yaml")
    return command


@place("folder", JSON)
def the_manifest_of_an_artifact(path: Path, thing: Thing) -> list[str]:
    (path / "out").mkdir()
    thing(path / "out/manifest.json")
    return ["compile", _spec(path, SPEC), "--backend", "reference", "-o", "out"]


@place("folder", ARCHIVES)
def arrays_that_would_be_replaced(path: Path, thing: Thing) -> list[str]:
    (path / "out").mkdir()
    thing(path / "out/train.npz")
    return ["data", _spec(path, DIGITS), "-o", "out"]


Outcome = tuple[int, str, str, list[str]]


def outcomes(folder: Path, places: Iterable[str]) -> dict[tuple[str, str], Outcome]:
    """What became of each thing in each place."""
    cases: list[tuple[str, list[str]]] = []
    keys: list[tuple[str, str]] = []
    for where in places:
        for what, thing in PLACES[where].things.items():
            path = folder / str(len(cases)) / "in"
            path.mkdir(parents=True)
            for above in (path, *path.parents[:1]):
                (above / "outside").write_text(SECRET)
            cases.append((str(path), PLACES[where].make(path, thing)))
            keys.append((where, what))
    (folder / "cases").write_text(json.dumps(cases))
    command = [sys.executable, "-m", "tests.hostile", str(folder / "cases"), str(folder / "report")]
    # Byte code that Python keeps for itself would be written by whatever process comes first.
    environment = os.environ | {"SECRET": SECRET, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    return dict(zip(keys, json.loads((folder / "report").read_text()), strict=True))


OWN = [Path(place).resolve() for place in (sys.prefix, sys.base_prefix, ROOT, "/sys/fs/cgroup", os.devnull)]
"""What Python, the packages and the look for the memory read."""
GROUPS = {
    "specs": ("a spec", "the spec"),
    "settings": ("settings", "shared settings"),
    "data": ("arrays", "series", "a text", "a folder of", "pictures", "packed"),
    "what was made": ("a checkpoint", "the state", "the log", "the manifest", "weights", "a fork"),
}


def test_each_place_is_in_one_group() -> None:
    starts = [start for group in GROUPS.values() for start in group]
    assert all(sum(where.startswith(start) for start in starts) == 1 for where in PLACES)


@pytest.mark.parametrize("group", GROUPS)
def test_what_lies_where_a_file_is_expected_is_one_message(group: str, tmp_path: Path) -> None:
    found = outcomes(tmp_path, [where for where in PLACES if where.startswith(GROUPS[group])])
    for (where, what), (status, out, err, opened) in found.items():
        told = f"{what} as {where}: {status}, {out!r}, {err!r}"
        assert status in (0, 1, 2), told
        assert not any(words in out + err for words in ("Traceback", "internal error")), told
        if what in REFUSED:
            assert status == 2, told
            assert sum(line.startswith("fac: ") for line in err.splitlines()) == 1, told
        by, leads_out = PLACES[where].by, what == "a link to another folder"
        if by != "command" or not leads_out:
            assert SECRET not in out + err, told
        strange = {
            path for path in opened if not any(Path(path).is_relative_to(own) for own in (tmp_path, *OWN))
        }
        # which BLAS is loaded, and which file systems are made up
        strange -= {path for path in strange if re.fullmatch(r"/proc/\d+/(maps|mountinfo)", path)}
        if by == "command" and what == "a link to a device":
            strange.discard("/dev/zero")  # of a stream as much is read as a spec may have
        assert not strange, told
        assert (by != "folder" and leads_out) or not any(Path(path).name == "outside" for path in opened), (
            told
        )
