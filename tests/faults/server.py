"""`python -m tests.faults.server EACH`: calls of all scenes in forks of one warm process, each failing at one point.

Prints one JSON object: how many points there are and were tried, and what did not hold.
"""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import onnx  # noqa: F401 - so that no fork has to import them
import torch  # noqa: F401

from fac.cli import main
from fac.writing.groups import JOURNAL, witness
from fac.writing.places import READY
from fac_onnx import runtime  # noqa: F401
from tests.faults.injector import FAULTS, KILLED, Fault, Injector
from tests.faults.scenes import (
    COMPILE,
    DATA,
    FIX,
    INIT,
    OVER,
    SCENES,
    SLIP,
    SPEC,
    STUDY,
    TRAIN,
    Files,
    Scene,
    files,
    left,
)


class Ended(NamedTuple):
    """A call that is over."""

    status: int
    said: str
    calls: list[str]
    """By which it wrote; empty if it was killed."""


@dataclass(frozen=True)
class Known:
    """A scene without faults."""

    scene: Scene
    start: Path
    old: Files
    new: Files
    outcome: Ended


class Point(NamedTuple):
    """Where something goes wrong."""

    known: Known
    at: int
    fault: Fault


def begun(body: Callable[[], int]) -> int:
    """A part of this program in a process of its own."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            status = body()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def ended(child: int) -> int:
    """Its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def spoken(arguments: tuple[str, ...], told: TextIO) -> int:
    """Exit status of a command in this process and folder."""
    sys.argv = ["fac", *arguments]
    sys.stdout = sys.stderr = told
    try:
        main()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1
    return 0


def warm(work: Path) -> None:
    """Run commands here, so that no fork has to import what they need; not onnxruntime, whose threads no fork has."""
    folder, streams, here = work / "warm", (sys.stdout, sys.stderr), Path.cwd()
    furnish(folder)
    os.chdir(folder)
    with (work / "said").open("w", encoding="utf-8") as told:
        for arguments in (TRAIN, DATA, FIX, INIT, *((*COMPILE, name) for name in ("torch", "onnx"))):
            assert spoken(arguments, told) == 0
    sys.stdout, sys.stderr = streams
    os.chdir(here)
    gc.collect()
    gc.freeze()


def furnish(folder: Path) -> None:
    """What all calls begin with: specs and data."""
    folder.mkdir(parents=True)
    (folder / "small.fac.yaml").write_text(SPEC)
    (folder / "slip.fac.yaml").write_text(SLIP)
    (folder / "study").mkdir()
    (folder / "study" / "study.py").write_text(STUDY)
    random_numbers = np.random.default_rng(0)
    for name, n in (("train", 64), ("test", 32)):
        x, y = random_numbers.standard_normal((n, 8, 8)), random_numbers.integers(0, 10, n)
        np.savez(folder / f"{name}.npz", x=x, y=y)


def called(folder: Path, arguments: tuple[str, ...], scene: Scene, injector: Injector) -> Ended:
    """A command in a folder."""
    said, calls = folder.with_name("said"), folder.with_name("calls")
    calls.write_text("[]")

    def call() -> int:
        os.chdir(folder)
        scene.setting()
        with said.open("w", encoding="utf-8") as told, calls.open("w", encoding="utf-8") as counted:
            injector.install()
            status = spoken(arguments, told)
            counted.write(json.dumps(injector.calls))
        return status

    status = ended(begun(call))
    return Ended(status, said.read_text(encoding="utf-8"), json.loads(calls.read_text() or "[]"))


def known(scene: Scene, work: Path) -> Known:
    """What is there before and after."""
    start = work / scene.name / "start"
    furnish(start)
    for arguments in scene.start:
        outcome = called(start, arguments, scene, Injector())
        assert outcome.status == 0, outcome
    old = files(copied(start, scene, "before"))
    after = copied(start, scene, "after")
    outcome = called(after, scene.call, scene, Injector())
    assert outcome.status == 0, outcome
    assert outcome.calls
    assert not left(after)
    return Known(scene, start, old, files(after), outcome)


def copied(start: Path, scene: Scene, name: str) -> Path:
    """A copy that may be spoilt."""
    folder = start.with_name(name)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(start, folder)
    scene.prepared(folder)
    return folder


def with_links(folder: Path, view: Path) -> None:
    """Copy a folder; what is one file under two names is one in the copy."""
    seen: dict[int, str] = {}

    def copy(source: str, target: str) -> None:
        first = seen.setdefault(os.stat(source).st_ino, target)
        if first == target:
            shutil.copy2(source, target)
        else:
            os.link(first, target)

    shutil.copytree(folder, view, copy_function=copy)
    for journal in view.rglob(f".fac-*{READY}/{JOURNAL}"):
        # A copy is nobody's group: here it is to be looked at as if it were the original.
        own = {"witness": witness(journal.parent)}
        journal.write_text(json.dumps(json.loads(journal.read_text()) | own))


def wrong(point: Point) -> list[str]:
    """What does not hold when a call fails there."""
    scene, old, new = point.known.scene, point.known.old, point.known.new
    folder = copied(point.known.start, scene, "spoilt")
    spoilt = called(folder, scene.call, scene, Injector(point.at, point.fault))
    view = folder.with_name("view")
    shutil.rmtree(view, ignore_errors=True)
    with_links(folder, view)
    found = files(view)
    problems = [scene.whole(found, old, new)]
    if spoilt.status not in ((KILLED,) if point.fault == "kill" else (0, 2)):
        problems.append(f"exit status {spoilt.status}: {spoilt.said[-1000:]}")
    if spoilt.status == 0 and scene.same(found) != scene.same(new):
        problems.append("it said that it was done, and it was not")
    if spoilt.status == 2 and "fac: " not in spoilt.said:
        problems.append(f"it did not say why: {spoilt.said[-1000:]}")
    arguments = scene.again(folder) if scene.again else scene.call
    again = called(folder, arguments, scene, Injector())
    for each in (spoilt, again):
        if "Traceback" in each.said or "internal error" in each.said:
            problems.append(each.said[-2000:])
    refused = again.status == 2 and scene.refused and scene.refused in again.said
    if again.status != 0 and not refused:
        problems.append(f"the next call fails: {again.status}: {again.said[-1000:]}")
    elif scene.same(files(folder)) != scene.same(new):
        problems.append("the next call does not make it new")
    if lying := left(folder, scene.reads):
        problems.append(f"the next call leaves {lying}")
    return [problem for problem in problems if problem]


def together(one: Known) -> list[str]:
    """What does not hold where compilations by two backends go into one folder at once, new or not."""
    problems = []
    for there in (True, False):
        folder = copied(one.start, one.scene, "together")
        if not there:
            shutil.rmtree(folder / "built")

        def call(backend: str, number: int, folder: Path = folder) -> int:
            os.chdir(folder)
            with folder.with_name(f"said{number}").open("w", encoding="utf-8") as told:
                return spoken((*COMPILE, backend), told)

        children = [
            begun(partial(call, backend, number)) for number, backend in enumerate(("onnx", "reference") * 4)
        ]
        for number, status in enumerate(map(ended, children)):
            if status:
                problems.append(folder.with_name(f"said{number}").read_text(encoding="utf-8"))
        if files(folder) not in (one.old, one.new) or left(folder):
            problems.append(f"{sorted(files(folder))}, and {left(folder)} lie about")
    return problems


def run(count: int) -> None:
    """Try so many points of each scene and each fault, at calls drawn without return; 0 is all."""
    work = Path(tempfile.mkdtemp())
    os.chdir(work)
    try:
        warm(work)
        scenes = [known(scene, work) for scene in SCENES]
        grid = [
            [Point(each, at, fault) for at in range(1, len(each.outcome.calls) + 1)]
            for each in scenes
            for fault in FAULTS
        ]
        draw = random.Random(0)
        tried = [point for row in grid for point in draw.sample(row, min(count or len(row), len(row)))]
        problems = {}
        for point in tried:
            if found := wrong(point):
                at = point.known.outcome.calls[point.at - 1]
                problems[f"{point.known.scene.name}: {point.fault} at call {point.at}, {at}"] = found
        over = next(each for each in scenes if each.scene.name == OVER)
        if found := together(over):
            problems["compilations at once"] = found
    finally:
        os.chdir("/")
        shutil.rmtree(work)
    calls = sum(map(len, grid))
    print(json.dumps({"rows": len(grid), "points": calls, "tried": len(tried), "problems": problems}))


if __name__ == "__main__":
    run(int(sys.argv[1]))
