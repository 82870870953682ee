"""A schedule of a plug-in: its factors in trainings, in those that go on, and in written programs."""

from __future__ import annotations

import json
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.forked import python
from tests.plugins.test_files import MINE, fac

PLUGIN = '''
from math import exp
from typing import Literal
from fac.plugin import Schedule, ScheduleKind


class Decay(Schedule):
    """exp(-rate s)."""

    kind: Literal["decay"] = "decay"
    rate: float = 0.05


class Halves(Schedule):
    """1, and a half after the middle of the training."""

    kind: Literal["halves"] = "halves"


KINDS = (
    ScheduleKind(
        "decay",
        Decay,
        lambda schedule, step, warm, steps_per_epoch, epochs: exp(-schedule.rate * step),
        lambda schedule, warmed: (f"math.exp(-{schedule.rate} * step)",),
    ),
    ScheduleKind(
        "halves",
        Halves,
        lambda schedule, step, warm, steps_per_epoch, epochs: 1.0 if 2 * step < steps_per_epoch * epochs else 0.5,
        lambda schedule, warmed: ("(1.0 if 2 * step < steps_per_epoch * epochs else 0.5)",),
    ),
)
'''
SPEC = """\
fac: 1
name: net
input: {shape: [4]}
layers:
  - {kind: linear, name: fc1, out: 5}
  - {kind: tanh}
  - {kind: linear, name: out, out: 3}
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1, momentum: 0.9, schedule: decay}
data: {source: teacher, task: classification, inputs: 4, outputs: 3, n: 64}
train: {epochs: 3, batch: 16}
"""
PLUG = ("--plugin", "decays.py")
REFERENCE = (*PLUG, "--backend", "reference")
LONGER = "training for 3 epochs instead of 2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "decays.py").write_text(PLUGIN)
    (tmp_path / "net.fac.yaml").write_text(SPEC)
    return tmp_path


def test_the_learning_rate_is_that_of_the_schedule(folder: Path) -> None:
    assert fac(folder, "train", "net.fac.yaml", *REFERENCE, "--out", "run")[0] == 0
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    rates = [json.loads(line)["lr"] for line in lines]
    assert rates == pytest.approx([0.1 * np.exp(-0.05 * max(step - 1, 0)) for step in steps], rel=1e-12)


@pytest.mark.parametrize("schedule", ["decay", "halves"])
def test_a_training_that_goes_on(folder: Path, schedule: str) -> None:
    """One that knows not how long the training is has the same steps, and one that does is told of."""
    chosen = ("--set", f"update.schedule={schedule}")
    assert fac(folder, "train", "net.fac.yaml", *REFERENCE, *chosen, "--out", "whole")[0] == 0
    short = ("--set", "train.epochs=2", "--out", "part")
    assert fac(folder, "train", "net.fac.yaml", *REFERENCE, *chosen, *short)[0] == 0
    status, _, err = fac(folder, "train", "--resume", "part", "--set", "train.epochs=3", *PLUG)
    told = ": from here on the learning rate is that of `halves` over 3 epochs, so the result is not that of 3 epochs"
    assert (status, err) == (0, LONGER + (f"{told} in one go\n" if schedule == "halves" else "\n"))
    whole, part = (load_file(folder / run / "state.safetensors") for run in ("whole", "part"))
    assert all(np.array_equal(whole[name], part[name]) for name in whole) == (schedule == "decay")


@pytest.mark.parametrize(
    ("file", "update"),
    [("decays.py", "{rule: sgd, lr: 0.1, schedule: decay}"), ("mine.py", "{rule: sign_descent, lr: 0.1}")],
)
def test_a_run_keeps_the_file_of_what_moves_it(folder: Path, file: str, update: str) -> None:
    """A name alone is no model of the spec, and that of `update:` is made of a rule's and of what all rules share."""
    (folder / "mine.py").write_bytes(MINE.read_bytes())
    chosen = ("--plugin", file, "--backend", "reference", "--set", f"update={update}")
    assert fac(folder, "train", "net.fac.yaml", *chosen, "--out", "run")[0] == 0
    status, _, err = fac(folder, "evaluate", "run")
    assert status == 2
    assert f"was trained with a plug-in that is not loaded, `{file}`" in err


def test_a_written_program_has_the_factors(folder: Path) -> None:
    schedule = ("--set", "update.schedule={kind: decay, rate: 0.1, warmup: 3}")
    made = fac(folder, "compile", "net.fac.yaml", *PLUG, *schedule, "--backend", "onnx", "-o", "built")
    assert made[0] == 0, made
    code = "import run; print([run.factor(step, 4, 3) for step in range(12)])"
    ended = python(folder / "built", "-c", code)
    assert ended.stderr == ""
    expected = [min(1.0, (step + 1) / 3) * np.exp(-0.1 * step) for step in range(12)]
    assert json.loads(ended.stdout) == pytest.approx(expected, rel=1e-12)


def test_it_has_its_place_in_schema_and_messages(folder: Path) -> None:
    _, out, _ = fac(folder, "schema", *PLUG)
    assert '"decay"' in out
    status, out, _ = fac(folder, "check", "net.fac.yaml", *PLUG, "--set", "update.schedule=decai")
    assert status == 1
    assert "did you mean `decay`?" in out
    status, out, _ = fac(
        folder, "check", "net.fac.yaml", *PLUG, "--set", "update.schedule={kind: decay, rat: 1.0}"
    )
    assert "`rat` is not a field of `decay`" in out


def test_a_factor_that_is_none_is_a_finding(folder: Path) -> None:
    """Where it would be met in the middle of a training alone, too: of the steps a hundred are asked for."""
    negative = PLUGIN.replace("exp(-schedule.rate * step)", "1 - schedule.rate * step")
    (folder / "decays.py").write_text(negative)
    line = negative.splitlines().index(
        "        lambda schedule, step, warm, steps_per_epoch, epochs: 1 - schedule.rate * step,"
    )
    status, out, err = fac(
        folder, "check", "net.fac.yaml", *PLUG, "--set", "update.schedule={kind: decay, rate: 0.1}"
    )
    assert (status, err) == (1, "")
    assert (
        "error[FAC402]: the learning rate is not known: `shape` of the schedule `decay`, from the plug-in `decays.py`, "
        in out
    )
    assert "returns -0.1" in out
    assert f"decays.py:{line + 1}" in out
    assert fac(folder, "check", "net.fac.yaml", *PLUG)[0] == 0


def test_the_root_of_the_example(folder: Path) -> None:
    from tests.plugins.mine import InverseRoot, as_python, inverse_root

    schedule = InverseRoot(k=9)
    assert inverse_root(schedule, 27, 0, 5, 5) == sqrt(9 / 36)
    assert as_python(schedule, True) == ("math.sqrt(9 / (9 + max(0, step - warm)))",)
