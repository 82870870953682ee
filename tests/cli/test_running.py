"""What docs/running.md says is so."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fac
from fac.training import folder
from fac.training.holding import LOCK

Run = Callable[..., tuple[int, str, str]]
PAGE = (Path(__file__).parents[2] / "docs" / "running.md").read_text()


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {re.escape(title)}$\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def named(title: str) -> list[str]:
    """The code spans in the first cells of the tables of a section."""
    cells = [line.split(" | ")[0] for line in section(title).splitlines() if line.startswith("| `")]
    return [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]


@pytest.fixture
def flat(spec: Path) -> Path:
    """The small network with images as rows, so that its second layer is a relu."""
    text = spec.read_text().replace("shape: [8, 8]", "shape: [64]").replace("  - {kind: flatten}\n", "")
    spec.write_text(text)
    return spec


def test_the_names_of_the_log(run: Run, spec: Path) -> None:
    quick = ("--backend", "reference", "--set", "train.epochs=1", "--out", "out")
    kept = ("--set", "data.validation=0.1", "--set", "train.keep=best", "--set", "train.log_every=10")
    assert run("train", spec, *quick, *kept)[0] == 0
    names = json.loads(Path("out", folder.METRICS).read_text().splitlines()[-1]).keys()
    several = {"train.aux.loss", "test.aux.loss", "test.aux.accuracy"}  # of a spec with a loss called aux
    several |= {"fc1.feedback.cosine", ".norm_ratio"}  # of one with direct routes
    assert set(named("What is measured")) - several <= names
    layers = {re.sub(r"^(fc1|logits)\.(error|gradient)\b", r"fc1.\2", name) for name in names}
    assert layers <= set(named("What is measured")), "nothing is left out"
    files = {path.name for path in Path("out").iterdir()} | {LOCK}
    assert files == set(named("The folder of a run"))


@pytest.mark.parametrize("option", named("`--set`"))
def test_the_assignments(option: str, run: Run, flat: Path) -> None:
    flag, assignment = shlex.split(option)
    assert flag == "--set"
    status, out, _ = run("check", flat, flag, assignment)
    assert (status, out) == (0, "no findings in 1 file\n")


def test_the_session(flat: Path) -> None:
    session = fac.compile(flat, backend="reference").open()
    methods = {call.partition("(")[0] for call in named("From Python")}
    assert methods == {
        *("step", "evaluate", "forward", "probe"),
        *("values", "errors", "gradients"),
        *("state", "load_state", "place", "take"),
    }
    x, y = np.zeros((4, 64)), np.arange(4)
    assert session.step(x, y).keys() == {"loss"}
    assert session.evaluate(x, y).keys() == {"loss", "accuracy"}
    assert session.forward(x).shape == (4, 10)
    before = session.state()
    assert {"loss", "fc1.error.cosine"} <= session.probe(x, y).keys()
    assert session.values(x)["fc1"].shape == session.errors(x, y)["fc1"].shape
    assert session.gradients(x, y, true=True)["fc1.weight"].shape == before["fc1.weight"].shape
    assert all(np.array_equal(value, before[name]) for name, value in session.state().items())
    assert session.take(session.place(x), np.array([1, 2])).shape == (2, 64)
    session.load_state(before)
    assert session.steps == before["step"] == 1


def test_the_written_step(run: Run, flat: Path) -> None:
    assert run("compile", flat, "--backend", "torch", "-o", "out")[0] == 0
    files = re.findall(r"`(\w+\.\w+)`", section("The written step").partition("```")[0])
    assert set(files) == {path.name for path in Path("out").iterdir()}
    (code,) = re.findall(r"```python\n(.*?)```", section("The written step"), re.DOTALL)
    given = (
        "import torch\nlr = 0.1\nbatches = [(torch.zeros(128, 64), torch.zeros(128, dtype=torch.long))] * 2\n"
    )
    done = "print(float(loss), step.forward(S, x).shape, step.evaluate(S, x, y).keys())\n"
    Path("out", "main.py").write_text(given + code + done)
    found = subprocess.run([sys.executable, "main.py"], cwd="out", capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert "dict_keys(['loss', 'hits'])" in found.stdout


def test_the_written_training(run: Run, spec: Path) -> None:
    """The commands as they stand, and the options that the page names."""
    spec.rename("spec.fac.yaml")
    (code,) = re.findall(r"```\n(.*?)```", section("The written training"), re.DOTALL)
    *commands, last = [shlex.split(line) for line in code.splitlines()]
    for command, *arguments in commands:
        assert command == "fac"
        assert run(*arguments)[0] == 0
    assert last[0] == "python"
    found = subprocess.run([sys.executable, *last[1:]], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert [line.split("  ")[0] for line in found.stdout.splitlines()] == [
        "epoch 1/2",
        "epoch 2/2",
        "the state is in `trained.safetensors`",
    ]
    assert Path("trained.safetensors").exists()
    helped = subprocess.run([sys.executable, last[1], "--help"], capture_output=True, text=True).stdout
    options = {option.split()[0] for option in named("The written training")}
    assert options == set(re.findall(r"^  (--\w+)", helped, re.MULTILINE))
    arrays = re.findall(r"`(data: \{source: arrays.*\})`", section("The written training"))
    assert run("check", "spec.fac.yaml", "--set", arrays[0].replace(": ", "=", 1))[0] == 0
