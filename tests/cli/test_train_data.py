"""What a training reads is what was meant: the axes and the digits of the user's own arrays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fac
from fac.backend import Precision

Run = Callable[..., tuple[int, str, str]]
ARRAYS = "data: {source: arrays, train: a.npz, test: a.npz}\n"
IMAGES = f"""\
fac: 1
name: images
input: {{shape: [3, 8, 8]}}
layers: [{{kind: flatten}}, {{kind: linear, name: logits, out: 4}}]
loss: {{kind: cross_entropy}}
update: {{rule: sgd, lr: 0.1}}
{ARRAYS}train: {{epochs: 1, batch: 20}}
"""
TIMES = f"""\
fac: 1
name: times
input: {{shape: [1]}}
layers: [{{kind: linear, name: out, out: 1}}]
loss: {{kind: mse}}
update: {{rule: sgd, lr: 1e-14}}
{ARRAYS}train: {{epochs: 1, batch: 100}}
"""


def test_channels_last_never_train_as_channels_first(run: Run, tmp_path: Path) -> None:
    """Not with `train`, and not with the commands that show or compare what it trains on."""
    (tmp_path / "s.yaml").write_text(IMAGES)
    x, y = np.random.default_rng(0).standard_normal((40, 8, 8, 3)), np.arange(40) % 4
    np.savez(tmp_path / "a.npz", x=x, y=y)
    for command in (("train",), ("data", "-o", "out"), ("compare", "--rules", "bp")):
        status, out, err = run(command[0], "s.yaml", *command[1:])
        assert (status, out) == (2, "")
        assert "have shape [8, 8, 3], but `input.shape` is [3, 8, 8]" in err
        assert "store `x.transpose(0, 3, 1, 2)`" in err
    np.savez(tmp_path / "a.npz", x=x.transpose(0, 3, 1, 2), y=y)
    assert run("train", "s.yaml", "--backend", "reference")[0] == 0


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_data_keep_the_precision_of_the_run(run: Run, tmp_path: Path, precision: Precision) -> None:
    """A hundred times of one float32 day: the loss before the first step is that of the times in this precision."""
    x = 1e6 + np.arange(100)[:, None] / 4000
    y = np.random.default_rng(1).standard_normal((100, 1))
    np.savez(tmp_path / "a.npz", x=x, y=y)
    (tmp_path / "s.yaml").write_text(TIMES)
    assert len(np.unique(x.astype(np.float32))) == 1

    assert run("train", "s.yaml", "--backend", "reference", "--precision", precision, "--out", "r")[0] == 0
    record = json.loads((tmp_path / "r" / "metrics.jsonl").read_text().splitlines()[-1])
    state = fac.compile("s.yaml", "reference", precision).open().state()
    read = x.astype(precision)
    residual = read * state["out.weight"].item() + state["out.bias"].item() - y.astype(precision)
    tolerance = {"float32": 1e-5, "float64": 1e-13}[precision]
    assert record["train_loss"] == pytest.approx(float((residual**2).mean()), rel=tolerance)
    other = x.astype(np.float32) * float(state["out.weight"].item()) + state["out.bias"].item() - y
    if precision == "float64":
        assert abs(record["train_loss"] / (other**2).mean() - 1) > 1e-8


def test_a_run_may_change_its_precision_and_still_knows_its_data(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 3, 8, 8)), np.arange(40) % 4
    (tmp_path / "s.yaml").write_text(IMAGES)

    def warned(now: np.ndarray[tuple[int, ...], np.dtype[np.float64]], before: str, after: str) -> bool:
        np.savez(tmp_path / "a.npz", x=x, y=y)
        folder = f"{before}-{after}-{len(list(tmp_path.iterdir()))}"
        assert (
            run("train", "s.yaml", "--backend", "reference", "--precision", before, "--out", folder)[0] == 0
        )
        np.savez(tmp_path / "a.npz", x=now, y=y)
        more = ("--resume", folder, "--precision", after, "--set", "train.epochs=2")
        status, out, err = run("train", *more)
        assert status == 0
        return "the training data are not those that this run began with" in out + err

    for before, after in (("float32", "float64"), ("float64", "float32"), ("float64", "float64")):
        assert not warned(x, before, after)
        assert warned(x[::-1], before, after)
    assert warned(x * (1 + 1e-12), "float64", "float64")
    assert not warned(x * (1 + 1e-12), "float32", "float32")
