"""What is called, from which start, and what must hold afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fac.diagnostics import FacError
from fac.training import checkpoint
from fac.writing import settle, unfinished
from fac.writing.groups import JOURNAL, WITNESS, witness
from fac.writing.places import READY
from fac_onnx import parameters

SPEC = """\
fac: 1
name: small
input: {shape: [8, 8]}
layers:
  - {kind: flatten}
  - {kind: linear, name: fc1, out: 4}
  - {kind: relu}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
feedback: {rule: ldfa, rank: 4}
update: {rule: sgd, lr: 0.05, momentum: 0.9}
data: {source: arrays, train: train.npz, test: test.npz}
train: {epochs: 2, batch: 16}
probes: []
"""
SLIP = SPEC.replace("kind: relu", "knid: relu")
STUDY = """\
from fac.studies import Column, Measured, Row, Study, Table

def measured(lab, seed):
    return Measured({"a": seed}, {"loss": (2.0, 1.0)})

def tables(short):
    return [Table("T", [Row("x", measured, 2)], [Column("a", "a")], curves=["loss"])]

STUDY = Study("A study", "By nobody.", tables)
"""
REFERENCE = ("--backend", "reference")
LINE = ("epoch", "step", "lr", "train_loss", "test_loss", "test_accuracy")
"""What a line of a log says that is the same each time."""

Files = dict[str, bytes]


@dataclass(frozen=True)
class Scene:
    """A call that writes."""

    name: str
    call: tuple[str, ...]
    start: tuple[tuple[str, ...], ...] = ()
    """Calls that make what was there before."""
    prepared: Callable[[Path], object] = lambda _: None
    """What is done to a copy of that."""
    setting: Callable[[], object] = lambda: None
    """What is so in the processes of the calls."""
    whole: Callable[[Files, Files, Files], str] = lambda found, old, new: _old_or_new(found, old, new)
    """What is wrong with what is found; nothing, if it is empty."""
    again: Callable[[Path], tuple[str, ...]] | None = None
    """The next call; by default the same."""
    refused: str = ""
    """What the next call may say instead of doing it: that all is done."""
    reads: str = ""
    """A folder that is only read from, where what is left lies until somebody writes there."""
    same: Callable[[Files], object] = lambda files: files
    """What must be equal in the end, however it came about."""


def files(folder: Path) -> Files:
    """What a folder holds, without what is on its way; groups that are due are finished, as who reads them does.

    Nor what Python keeps of a program that it has read, which is another one with each copy.
    """
    for path in (folder, *(Path(top, name) for top, names, _ in os.walk(folder) for name in names)):
        if not unfinished(path.name):
            settle(path)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(map(unfinished, path.relative_to(folder).parts))
        and path.name != ".lock"
        and path.parent.name != "__pycache__"
    }


def left(folder: Path, reads: str = "") -> list[str]:
    """What lies about, but in a folder that is only read from."""
    found = [path for path in folder.rglob("*") if unfinished(path.name) or path.name == ".lock"]
    return [path.name for path in found if not reads or path.parent != folder / reads]


def _old_or_new(found: Files, old: Files, new: Files) -> str:
    if found in (old, new):
        return ""
    return f"neither old nor new: {_odd(found, old, new)}"


def _each_old_or_new(found: Files, old: Files, new: Files) -> str:
    odd = [name for name in found if found[name] not in (old.get(name), new.get(name))]
    gone = [name for name in old if name not in found]
    return f"neither old nor new: {odd + gone}" if odd or gone else ""


def _odd(found: Files, old: Files, new: Files) -> dict[str, str]:
    kind = {}
    for name in sorted({*found, *old, *new}):
        now = found.get(name)
        kind[name] = "old" if now == old.get(name) else "new" if now == new.get(name) else "odd"
    return kind


def _run(found: Files, old: Files, new: Files) -> str:
    """A run: whole files, or none yet."""
    rest = {name: content for name, content in found.items() if not name.startswith("run/")}
    if rest != {name: content for name, content in old.items() if not name.startswith("run/")}:
        return "another file has changed"
    if found.get("run/spec.fac.yaml", new["run/spec.fac.yaml"]) not in (
        new["run/spec.fac.yaml"],
        old.get("run/spec.fac.yaml"),
    ):
        return "the spec is neither old nor new"
    if "run/state.safetensors" in old and "run/state.safetensors" not in found:
        return "the state is gone"
    if "run/state.safetensors" in found:
        path = Path("held.safetensors")
        path.write_bytes(found["run/state.safetensors"])
        try:
            steps = checkpoint.load(path).step
        except FacError as error:
            return str(error)
        if steps % 4:
            return f"the state is that after {steps} steps"
    return ""


def _study(found: Files, old: Files, new: Files) -> str:
    """What is measured is kept as it comes, and the last line may be cut off; the other files are whole."""
    if not new[MEASURED].startswith(found.get(MEASURED, b"")):
        return "what is kept is not what was measured first"
    return _each_old_or_new({**found, MEASURED: new[MEASURED]}, old, new)


def _figures(found: Files) -> object:
    lines = [json.loads(line) for line in found["run/metrics.jsonl"].splitlines()]
    return {**found, "run/metrics.jsonl": [[line[name] for name in LINE] for line in lines]}


def _cut_off(folder: Path) -> None:
    """A training that was killed as its first checkpoint was due, of which nothing is in its place."""
    run = folder / "run"
    due = run / f".fac-{'0' * 16}{READY}"
    due.mkdir()
    names = ("state.safetensors", "spec.fac.yaml")
    for name in names:
        (run / name).replace(due / name)
    (due / WITNESS).touch()
    journal = {"files": names, "gone": [], "into": False, "witness": witness(due)}
    (due / JOURNAL).write_text(json.dumps(journal))


def _resume(folder: Path) -> tuple[str, ...]:
    if any((folder / "run").glob("*.safetensors")) or any((folder / "run").glob(".fac-*.ready")):
        return ("train", "--resume", "run", "--set", "train.epochs=2")
    return TRAIN


TRAIN = ("train", "small.fac.yaml", *REFERENCE, "--out", "run")
COMPILE = ("compile", "small.fac.yaml", "-o", "built", "--backend")
ONE_EPOCH = (*TRAIN, "--set", "train.epochs=1")
EXPORT = ("export", "run", "-o", "model.onnx")
DATA = ("data", "small.fac.yaml", "-o", "out")
OVER = "a compilation over that of another backend"
FIX = ("check", "--fix", "slip.fac.yaml")
INIT = ("init", "--ci", "repository")
MEASURED = "results/measured.jsonl"
PLOT = ("plot", "run", "-o", "run.svg")

SCENES = (
    Scene("a training", TRAIN, whole=_run, again=_resume, same=_figures),
    Scene(
        "a training that goes on",
        ("train", "--resume", "run", "--set", "train.epochs=2"),
        (ONE_EPOCH,),
        whole=_run,
        same=_figures,
    ),
    Scene("a compilation", (*COMPILE, "torch")),
    Scene(OVER, (*COMPILE, "onnx"), ((*COMPILE, "reference"),)),
    Scene("data", DATA),
    Scene("data over others", DATA, ((*DATA, "--precision", "float64"),)),
    Scene("a repository", INIT, whole=_each_old_or_new, refused="all files exist"),
    Scene(
        "a repository over another",
        (*INIT, "--force"),
        ((*INIT, "--install", "old"),),
        whole=_each_old_or_new,
    ),
    Scene("a spec", ("init", "new/"), whole=_each_old_or_new, refused="exists"),
    Scene("a plug-in", ("init", "--plugin", "mine"), whole=_each_old_or_new, refused="all files exist"),
    Scene("an export", EXPORT, (ONE_EPOCH, (*EXPORT, "--precision", "float32"))),
    Scene(
        "an export after a training that was cut off", EXPORT, (ONE_EPOCH,), prepared=_cut_off, reads="run"
    ),
    Scene(
        "an export of two files",
        EXPORT,
        (ONE_EPOCH, (*EXPORT, "--precision", "float32")),
        setting=lambda: setattr(parameters, "LIMIT", 100),
    ),
    Scene("a study", ("study", "./study", *REFERENCE, "--out", "results"), whole=_study),
    Scene("a picture", PLOT, (ONE_EPOCH,)),
    Scene("a picture over another", PLOT, (ONE_EPOCH, (*PLOT, "--bare"))),
    Scene("a fix", FIX),
    Scene(
        "a fix of a file with two names",
        FIX,
        prepared=lambda folder: os.link(folder / "slip.fac.yaml", folder / "other"),
    ),
)
