"""Losses that read targets of their own: named arrays in sessions, evaluations and the program that onnx writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Array
from fac.diagnostics import FacError
from fac.pipeline import check, load
from fac.training.dataset import Dataset, Split
from fac.training.loop import train
from tests.rules.nets import SGD, Spec
from tests.rules.test_heads import linear

LAYERS = (
    linear("fc1", 9),
    {"kind": "tanh", "name": "act1"},
    linear("logits", 4),
    linear("code", 3, **{"from": "act1"}),
)
LOSSES: tuple[Spec, ...] = (
    {"kind": "cross_entropy", "of": "logits", "weight": (1.0, 2.0, 0.5, 1.0), "ignore_index": -1},
    {"kind": "mse", "of": "code", "target": "z", "scale": 0.25},
)
BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])


def spec(**more: Any) -> Spec:
    return {
        "fac": 1,
        "name": "targets",
        "input": {"shape": (7,)},
        "layers": LAYERS,
        "losses": LOSSES,
        "update": SGD,
        "train": {"seed": 0, "batch": 5, "epochs": 2},
    } | more


def batch(n: int = 30) -> dict[str, Array]:
    rng = np.random.default_rng(1)
    return {"x": rng.standard_normal((n, 7)), "y": rng.integers(-1, 4, n), "z": rng.standard_normal((n, 3))}


def by_hand(session: Any, given: dict[str, Array]) -> dict[str, float]:
    """The losses, and their sum, in NumPy."""
    s, y = session.state(), given["y"]
    hidden = np.tanh(given["x"] @ s["fc1.weight"].T + s["fc1.bias"])
    logits, code = (hidden @ s[f"{of}.weight"].T + s[f"{of}.bias"] for of in ("logits", "code"))
    kept, weight = y >= 0, np.array(LOSSES[0]["weight"])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    w = weight[y[kept]]
    found = {
        "logits.loss": float(-(w * np.log(p[kept, y[kept]])).sum() / w.sum()),
        "code.loss": float(((code - given["z"]) ** 2).mean()),
        "logits.accuracy": float((logits.argmax(1) == y)[kept].mean()),
    }
    found["accuracy"] = found["logits.accuracy"]
    return found | {"loss": found["logits.loss"] + 0.25 * found["code.loss"]}


@BACKENDS
def test_an_evaluation_tells_each_loss_by_its_name_and_their_sum(backend: str) -> None:
    session, given = fac.compile(spec(), backend, "float64").open(), batch()
    wanted = by_hand(session, given)
    found = session.evaluate(given)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    stepped = session.step(given)
    assert list(stepped) == ["loss", "logits.loss", "code.loss"]
    for name, value in stepped.items():  # of the step before its update
        assert float(value) == pytest.approx(wanted[name], rel=1e-12), name
    second = by_hand(session, given)
    session.step(batch(7))
    assert {n: float(v) for n, v in stepped.items()} == pytest.approx(
        {n: wanted[n] for n in stepped}, rel=1e-12
    )
    assert second["code.loss"] != pytest.approx(wanted["code.loss"], rel=1e-3)


def test_a_target_that_is_missing_is_named() -> None:
    session, given = fac.compile(spec(), "reference").open(), batch()
    with pytest.raises(FacError, match="lacks `z`"):
        session.step({name: given[name] for name in ("x", "y")})
    with pytest.raises(FacError, match="a mapping from these names"):
        session.step(given["x"], given["y"])


def test_the_written_program_trains_and_tells_each_loss(tmp_path: Path) -> None:
    """As the session of the same backend does, to the digits that it shows."""
    artifact, given = fac.compile(spec(), "onnx", "float64"), batch()
    artifact.write(tmp_path)
    arrays: Any = given
    np.savez(tmp_path / "data.npz", **arrays)
    command = [sys.executable, "run.py", "data.npz", "data.npz", "--epochs", "0"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    wanted = artifact.open().evaluate(given)
    for name, value in wanted.items():
        if name != "accuracy":
            assert f"test {name} {value:.4f}" in ended.stdout


def test_the_written_program_tells_each_loss_of_its_steps(tmp_path: Path) -> None:
    """Their means over an epoch are those that the trainer logs."""
    artifact, given = fac.compile(spec(), "onnx", "float64"), batch(32)
    artifact.write(tmp_path)
    arrays: Any = given
    np.savez(tmp_path / "data.npz", **arrays)
    command = [sys.executable, "run.py", "data.npz", "data.npz"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    data = Dataset("made", Split(**given), Split(**given))
    report = train(artifact.open(), data, load(spec()))
    lines = [line for line in ended.stdout.splitlines() if line.startswith("epoch")]
    for line, record in zip(lines, report.history, strict=True):
        means = {"loss": record.train_loss, **record.train_losses}
        assert len(means) == 3
        shown = [f"train {name} {value:.4f}" for name, value in means.items()]
        assert line.split("  ")[1:4] == shown


def test_the_written_torch_step_returns_each_loss_by_its_name() -> None:
    artifact, given = fac.compile(spec(), "torch", "float64"), batch()
    session: Any = artifact.open()
    wanted = by_hand(session, given)
    module, S = session.module, session.tensors
    assert "losses = step(S, B, x, y, z, lr, t)" in module.__doc__
    placed = [session.place(array) for array in given.values()]
    found = module.step(S, module.workspace(S, 30), *placed, 0.1, 0)
    assert list(found) == ["loss", "logits:loss", "code:loss"]
    assert float(found["code:loss"]) == pytest.approx(wanted["code.loss"], rel=1e-12)


@pytest.mark.parametrize(
    ("losses", "code", "path", "message"),
    [
        (({"kind": "mse", "of": "cod"},), "FAC201", ("losses", 0, "of"), "no layer is called `cod`"),
        (
            ({"kind": "mse", "of": "code"}, {"kind": "huber", "of": "code"}),
            "FAC202",
            ("losses", 1),
            "another loss is already called `code`",
        ),
        (
            ({"kind": "mse", "of": "code"}, {"kind": "huber", "of": "code", "name": "code"}),
            "FAC202",
            ("losses", 1, "name"),
            "another loss is already called `code`",
        ),
        (
            ({"kind": "cross_entropy", "of": "logits"}, {"kind": "mse", "of": "code"}),
            "FAC207",
            ("losses", 1, "kind"),
            "`code` reads numbers of shape [3], and `logits` labels of 4 classes, both from the target `y`",
        ),
        (({"kind": "mse", "of": "code", "scale": 0.0},), "FAC102", ("losses", 0, "scale"), "greater than 0"),
        (({"kind": "mse", "of": "code", "scale": -1.0},), "FAC102", ("losses", 0, "scale"), "greater than 0"),
        (({"kind": "mse", "of": "code", "weight": 2.0},), "FAC103", ("losses", 0, "weight"), "no"),
        (({"kind": "cross_entropy", "weight": 2.0},), "FAC102", ("losses", 0, "weight"), "is `scale`"),
        (({"kind": "mse", "of": "code", "target": "lr"},), "FAC204", ("losses", 0, "target"), "reserved"),
        ((), "FAC102", ("losses",), "at least 1"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(
    losses: tuple[Spec, ...], code: str, path: tuple[str | int, ...], message: str
) -> None:
    found = [d for d in check(spec(losses=losses)) if (d.rule.code, d.path) == (code, path)]
    assert [message in d.message for d in found] == [True]


def test_one_loss_is_written_in_one_place() -> None:
    (both,) = check(spec(loss={"kind": "mse"}))
    assert (both.rule.code, both.path) == ("FAC102", ("loss",))
    (none,) = check({k: v for k, v in spec().items() if k != "losses"})
    assert none.message == "the spec needs `loss`"
