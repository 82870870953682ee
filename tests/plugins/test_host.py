"""An operator that is carried out on the host between two halves of a step, with a stand-in for the device."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac import pipeline
from fac.diagnostics import FacError
from fac.step.builder import Builder
from fac.step.hosted import carried_out, on_host
from fac.step.types import N, Type, TypeRuleError
from tests.forked import python

OPTICAL = Path(__file__).parents[2] / "examples/plugins/optical.py"
SPEC = {
    "fac": 1,
    "name": "lit",
    "input": {"shape": [5]},
    "layers": [
        {"kind": "linear", "name": "fc1", "out": 6},
        {"kind": "tanh"},
        {"kind": "linear", "name": "out", "out": 3},
    ],
    "loss": {"kind": "cross_entropy"},
    "feedback": {"rule": "optical_dfa", "scale": 0.5},
    "update": {"rule": "sgd", "lr": 1.0},
    "data": {
        "source": "teacher",
        "task": "classification",
        "n": 64,
        "test": 16,
        "inputs": 5,
        "outputs": 3,
        "rank": 2,
    },
    "train": {"epochs": 2, "batch": 16},
}
STEP = """
import json, sys
import numpy as np
from fac import plugin

optical = plugin.load(sys.argv[1])
import fac
from fac.testing import check_kind

for kind in optical.KINDS:
    check_kind(kind)
spec = json.load(open("lit.fac.json"))
rng = np.random.default_rng(0)
x, y = rng.standard_normal((7, 5)), rng.integers(0, 3, 7)
M = np.random.default_rng((3, 6)).standard_normal((3, 6))
for backend in ("reference", "torch"):
    session = fac.compile(spec, backend, "float64").open()
    old = session.state()
    session.step(x, y)
    h = np.tanh(x @ old["fc1.weight"].T + old["fc1.bias"])
    z = h @ old["out.weight"].T + old["out.bias"]
    e = (np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(3)[y]) / 7
    size = np.abs(e)
    T = np.sign(e) * (size > 0.25 * size.mean(1, keepdims=True))
    sent = 0.5 * size.sum(1, keepdims=True) / np.abs(T).sum(1, keepdims=True) * (T @ M) / np.sqrt(18)
    moved = old["fc1.weight"] - session.state()["fc1.weight"]
    np.testing.assert_allclose(moved, (sent * (1 - h * h)).T @ x, atol=1e-12)
    print(backend)
"""
WRITTEN = """
import sys
sys.path.insert(0, "built")
import kernels, step, torch

S = {name: tensor.double() for name, tensor in kernels.load_state("built/state.safetensors").items()}
x, y = torch.ones(4, 5, dtype=torch.float64), torch.tensor([0, 1, 2, 1])
for known in (False, True):
    if known:
        kernels.HOSTED["optical.6"] = lambda rows, width: 0 * rows[:, :1].repeat(width, 1)
    try:
        before = S["fc1.weight"].clone()
        step.step(S, step.workspace(S, 4), x, y, 0.1, 0)
        print(bool((S["fc1.weight"] == before).all()))
    except RuntimeError as error:
        print(error)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lit.fac.json").write_text(json.dumps(SPEC))
    return tmp_path


def fac(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "fac", *arguments, "--plugin", str(OPTICAL))


def test_a_step_is_that_of_the_equations_on_both_backends_that_have_two_halves(folder: Path) -> None:
    ended = python(folder, "-c", STEP, str(OPTICAL))
    assert (ended.stderr, ended.stdout.split()) == ("", ["reference", "torch"])


def test_the_command_line_trains_resumes_and_says_what_cannot_be(folder: Path) -> None:
    shown = fac(folder, "show", "lit.fac.json")
    assert "weight transport: none" in shown.stdout
    for backend in ("reference", "torch"):
        ended = fac(folder, "train", "lit.fac.json", "--backend", backend, "--out", backend)
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    more = fac(folder, "train", "--resume", "torch", "--set", "train.epochs=3")
    assert more.returncode == 0, more.stderr
    ended = fac(folder, "train", "lit.fac.json", "--backend", "onnx")
    assert ended.returncode == 1
    assert "error[FAC401]: the backend `onnx` has no `host` in float32, which `fc1` needs" in ended.stderr


def test_a_written_step_says_whose_part_it_needs(folder: Path) -> None:
    options = ("--backend", "torch", "--precision", "float64", "-o", "built")
    assert fac(folder, "compile", "lit.fac.json", *options).returncode == 0
    ended = python(folder, "-c", WRITTEN)
    assert ended.stdout.splitlines() == [
        "this step hands rows to `optical.6`, which is no part of its files: set `kernels.HOSTED['optical.6']` to a "
        "function (rows, width) that makes an array [n, width]",
        "True",
    ], ended.stderr


ROWS = np.arange(6.0).reshape(3, 2)


def fails(rows: Any) -> Any:
    raise KeyError("no light")


def overwrites(rows: Any) -> Any:
    rows[0] = 1
    return rows


WRONG = {
    "test.fails": (fails, "fails with KeyError: 'no light'"),
    "test.overwrites": (overwrites, "fails with ValueError: assignment destination is read-only"),
    "test.wide": (
        lambda rows: np.zeros((3, 5)),
        r"makes float64 \[3, 5\] of rows \[3, 2\]: real numbers \[3, 4\] are",
    ),
    "test.text": (lambda rows: "light", r"makes <U5 \[\] of rows"),
    "test.complex": (lambda rows: np.zeros((3, 4), complex), r"makes complex128 \[3, 4\] of rows"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_function_that_does_not_do_its_part_is_named(name: str) -> None:
    function, said = WRONG[name]
    on_host(name, function)
    with pytest.raises(FacError, match=rf"`{name}`, which is carried out on the host, {said}"):
        carried_out(name, ROWS, 4)


def test_names_of_functions() -> None:
    assert on_host("test.same", fails) == on_host("test.same", fails) == "test.same"
    with pytest.raises(FacError, match=r"two functions on the host are called `test\.same`"):
        on_host("test.same", overwrites)
    with pytest.raises(
        FacError, match=r"a step hands rows to `test\.none`, and no plug-in that is loaded says `on_host\("
    ):
        carried_out("test.none", ROWS, 4)
    on_host("test.single", lambda rows: np.ones((3, 4), int))
    assert carried_out("test.single", ROWS.astype("float32"), 4).dtype == np.float32


def test_what_goes_to_the_host_is_rows_with_a_name() -> None:
    b = Builder()
    x = b.input("x", Type((N, 2)))
    assert b.host(x, "a", 4).type == Type((N, 4))
    for call, width in (("", 4), ("a", 0)):
        with pytest.raises(TypeRuleError, match="a name and a width are needed"):
            b.host(x, call, width)


def test_the_reference_is_a_backend_that_can() -> None:
    ours = {backend.name for backend in pipeline.backends() if "host" in backend.ops("float64")}
    assert ours == {"reference", "torch"}
