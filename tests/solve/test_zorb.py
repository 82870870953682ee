"""ZORB: what is solved for is what the equations say, on every backend, in blocks of any size."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac.build.pieces import written as pieces
from fac.diagnostics import FacError
from fac.pipeline import lowered
from fac.training import solving
from fac.training.data import declared, load
from fac.training.dataset import Dataset, Split
from fac.training.loop import StoppedError, train
from tests.solve.nets import Layers, data, mlp, session_of, solved, spec, zorb

CONV: Layers = (
    {"kind": "conv2d", "name": "conv1", "out": 3, "kernel": (2, 3)},
    {"kind": "tanh"},
    {"kind": "conv2d", "name": "conv2", "out": 4, "kernel": 2},
    {"kind": "relu"},
    {"kind": "flatten"},
    {"kind": "linear", "name": "logits", "out": 4},
)
MAP = (2, 6, 5)


def close(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_allclose(
            array, other[name], rtol=0, atol=tolerance * np.abs(array).max(), err_msg=name
        )


@pytest.mark.parametrize("act", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("widths", [(9, 4), (9, 7, 4)])
def test_a_network_is_what_its_equations_say(act: str, widths: tuple[int, ...]) -> None:
    layers = mlp(*widths, act=act)
    of, dataset = spec(layers), data()
    session = session_of(of)
    wanted = zorb(session.state(), dataset.train.x, dataset.train.y, layers)
    train(session, dataset, of)
    close(session.state(), wanted | {"step": np.array(len(widths))}, 1e-7)


def test_convolutions_are_what_their_equations_say() -> None:
    of, dataset = spec(CONV, MAP), data(shape=MAP)
    session = session_of(of)
    wanted = zorb(session.state(), dataset.train.x, dataset.train.y, CONV)
    train(session, dataset, of)
    close(session.state(), wanted | {"step": np.array(3)}, 1e-7)


def test_the_last_layer_is_optimal_for_its_features() -> None:
    """By what it was given: no other last layer comes nearer to the targets of the same features."""
    of, dataset = spec(mlp(9, 4), loss="mse"), data(labels=False)
    session, report = solved(of, dataset)
    state, x, y = session.state(), dataset.train.x, dataset.train.y
    h = 1 / (1 + np.exp(-(x @ state["fc1.weight"].T + state["fc1.bias"])))
    features = np.c_[h, np.ones(len(h))]
    residual = features @ np.c_[state["fc2.weight"], state["fc2.bias"]].T - y
    assert np.abs(features.T @ residual).max() < 1e-9 * np.abs(features).max() * len(x)
    assert report.train_loss == pytest.approx((residual**2).mean(), rel=1e-10)


@pytest.mark.parametrize("layers", [mlp(9, 7, 4), CONV], ids=["mlp", "conv"])
def test_every_layer_is_solved_once_and_no_step_is_made(
    layers: Layers, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = MAP if layers is CONV else (6,)
    of, dataset = spec(layers, shape), data(shape=shape)
    session = session_of(of)
    written: list[str] = []
    write = session.write

    def told(arrays: dict[str, Any]) -> None:
        written.extend(arrays)
        write(arrays)

    monkeypatch.setattr(session, "write", told)
    monkeypatch.setattr(session, "run_step", None)
    train(session, dataset, of)
    weights = [name for name in written if name.endswith("weight")]
    names = [layer["name"] for layer in layers if "out" in layer]
    assert weights == [f"{name}.weight" for name in names]
    assert session.steps == len(names)


def test_no_step_moves_anything() -> None:
    of = spec(mlp(9, 4))
    program = lowered(of)
    compiled = fac.compile(of, "reference").compiled
    assert [name for name, _ in compiled.step.outputs] == ["loss"]
    assert not {op.origin.phase for op in compiled.step.ops} - {"forward"}
    for function in pieces(program).values():
        assert {op.origin.phase for op in function.ops} <= {"forward"}


DEEP = mlp(9, 8, 7, 6, 4, act="tanh")


def test_what_there_is_no_room_for_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit; room for 60 samples of 9 numbers and no more holds what is read, and of targets the narrow ones."""
    of, dataset = spec(DEEP), data()
    wanted = solved(of, dataset)[0].state()
    for room in (0, 60 * 9 * 8):
        monkeypatch.setattr(solving, "HELD", room)
        close(solved(of, dataset)[0].state(), wanted, 0)


def test_work_grows_with_the_square_of_the_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of L layers: each solve goes up and down the layers above it once, so that about L^2 products are made."""

    def products(layers: int) -> int:
        made: list[int] = []
        begin = solving.Solving._made

        def told(self: Any, name: str) -> Any:
            columns = {of: blocks[0].shape[1] for of, blocks in self.held.items()}
            forward = self.solution.piece(name, columns).forward
            made.append(sum(op.kind == "matmul" for op in forward.ops))
            return begin(self, name)

        monkeypatch.setattr(solving.Solving, "_made", told)
        solved(spec(mlp(*(7,) * (layers - 1), 4, act="tanh")), data())
        monkeypatch.setattr(solving.Solving, "_made", begin)
        return sum(made)

    # up and down L - l + (L - l - 1) for what is solved, and one to read it for each but the first
    for depth in (2, 4, 8):
        assert products(depth) == depth**2 + depth - 1


def test_softmax_as_a_layer() -> None:
    """Shares as targets of squares: the last linear layer is solved for their logits, where those lie now."""
    layers = (*mlp(9, 4), {"kind": "softmax"})
    dataset = data(labels=False)
    shares = [replace_targets(split) for split in (dataset.train, dataset.test)]
    session, _ = solved(spec(layers, loss="mse"), replace(dataset, train=shares[0], test=shares[1]))
    other, _ = solved(spec(mlp(9, 4)), replace(dataset, train=labelled(shares[0]), test=labelled(shares[1])))
    close(session.state(), other.state(), 1e-9)


def replace_targets(split: Any) -> Any:
    return type(split)(split.x, np.eye(4)[split.y.argmax(1)])


def labelled(split: Any) -> Any:
    return type(split)(split.x, split.y.argmax(1))


def test_a_frozen_layer_stays_and_lets_targets_pass() -> None:
    layers = mlp(9, 7, 4)
    frozen = (*layers[:2], layers[2] | {"trainable": False}, *layers[3:])
    of, dataset = spec(tuple(layer for layer in frozen if layer.get("name") != "act1")), data()
    session = session_of(of)
    before = session.state()
    train(session, dataset, of)
    after = session.state()
    assert session.steps == 2
    for part in ("weight", "bias"):
        np.testing.assert_array_equal(before[f"fc2.{part}"], after[f"fc2.{part}"])
        assert (before[f"fc1.{part}"] != after[f"fc1.{part}"]).any()


def test_seeds_decide() -> None:
    dataset = data()

    def weight(seed: int) -> Any:
        of = fac.load(spec(mlp(9, 4)).model_dump(by_alias=True) | {"train": {"seed": seed}})
        return solved(of, dataset)[0].state()["fc2.weight"]

    np.testing.assert_array_equal(weight(3), weight(3))
    assert (weight(3) != weight(4)).any()


def test_what_was_interrupted_goes_on_to_the_bit() -> None:
    of = spec(mlp(9, 7, 5, 4))
    whole, _ = solved(of, data())
    begun, asked = session_of(of), iter((0,))
    with pytest.raises(StoppedError):
        train(begun, data(), of, stop=lambda: next(asked, None) is None)
    assert begun.steps == 2
    resumed = fac.compile(of, "reference").open(begun.state())
    train(resumed, data(), of)
    close(resumed.state(), whole.state(), 0)


def test_a_step_is_refused() -> None:
    session = session_of(spec(mlp(9, 4)))
    with pytest.raises(FacError, match=r"no step trains `solved`, which is solved by `zorb`"):
        session.step(data().train.x, data().train.y)


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_there_is_no_training_step_to_compile(backend: str, tmp_path: Path) -> None:
    with pytest.raises(FacError, match=r"no training step to compile.*fac export"):
        fac.compile(spec(mlp(9, 4)), backend).write(tmp_path / "built")


def test_float32_is_refused() -> None:
    of = spec(mlp(9, 4))
    session = fac.compile(of, "reference", "float32").open()
    with pytest.raises(FacError, match="solves in float64"):
        train(session, data(), of)


def test_targets_without_a_range_are_told() -> None:
    """Weights that start at zero are a finding; a state may hold such, wherever it is from."""
    of = spec(mlp(9, 4))
    session = session_of(of)
    session.load_state(
        {name: 0 * array if name == "fc2.weight" else array for name, array in session.state().items()}
    )
    with pytest.raises(FacError, match=r"the targets of `act1` go from 0 to 0"):
        train(session, data(), of)


def test_a_network_that_fits_nothing_is_told_with_what_to_do() -> None:
    """A singular value of rounding is no feature: without a cut the loss of fresh samples has no bound."""
    dataset = data(n=40)
    _, report = solved(spec(mlp(30, 4), rcond=0.0), dataset)
    assert np.isfinite(report.train_loss)


DIGITS: dict[str, tuple[Layers, float]] = {
    "sigmoid": (({"kind": "linear", "name": "fc1", "out": 256}, {"kind": "sigmoid"}), 0.955),
    "relu": (({"kind": "linear", "name": "fc1", "out": 256}, {"kind": "relu"}), 0.94),
}


@pytest.mark.parametrize("act", DIGITS)
def test_digits(act: str) -> None:
    layers, least = DIGITS[act]
    text = spec((*layers, {"kind": "linear", "name": "logits", "out": 10}), (64,)).model_dump(by_alias=True)
    of = fac.load(text | {"data": {"source": "digits"}})
    _, report = solved(of, load(declared(of.data, "test"), Path(), "float64"))
    assert report.test_accuracy is not None
    assert report.test_accuracy > least


def test_convolutions_on_digits() -> None:
    """Of pixels of one scale, which ten seeds tell as .9907 +- .0032. One kernel reads all places.

    So it loses what a scale of its own for each pixel takes away, as `digits` has it for layers that read vectors.
    """
    layers = (
        {"kind": "conv2d", "name": "conv1", "out": 16, "kernel": 3, "init": "xavier_uniform"},
        {"kind": "tanh"},
        {"kind": "conv2d", "name": "conv2", "out": 32, "kernel": 3, "init": "xavier_uniform"},
        {"kind": "tanh"},
        {"kind": "flatten"},
        {"kind": "linear", "name": "logits", "out": 10, "init": "xavier_uniform"},
    )
    with (resources.files("fac.training.data") / "digits.npz").open("rb") as file, np.load(file) as stored:
        shuffled = np.random.default_rng(0).permutation(len(stored["images"]))
        x, y = stored["images"][shuffled].reshape(-1, 1, 8, 8) / 16, stored["labels"][shuffled].astype(int)
    dataset = Dataset("digits", Split(x[:1400], y[:1400]), Split(x[1400:], y[1400:]))
    _, report = solved(spec(layers, (1, 8, 8)), dataset)
    assert report.test_accuracy is not None
    assert report.test_accuracy > 0.985
