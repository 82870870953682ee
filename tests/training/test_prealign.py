"""Pre-alignment: weights for which, on the first batch, backpropagation brings what direct routes bring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac import check
from fac.diagnostics import FacError
from fac.pipeline import compile, load
from fac.spec.model import ModelSpec
from fac.training import checkpoint
from fac.training.dataset import Dataset, Split
from fac.training.folder import RunFolder
from fac.training.holding import Held
from fac.training.loop import StoppedError, train
from fac.training.stepping import Stepping

WIDTHS = (30, 26, 22)
BATCH = 16


def net(act: str, prealign: str | None, **more: Any) -> ModelSpec:
    """Three hidden layers above 20 inputs, and 5 targets, by direct feedback."""
    layers: list[Any] = []
    for number, width in enumerate(WIDTHS, 1):
        layers.append(
            {"kind": "linear", "name": f"fc{number}", "out": width, "init": {"kind": "normal", "std": 0.2}}
        )
        layers += [{"kind": act, "name": f"act{number}"}] if act else []
    layers.append({"kind": "linear", "name": "fc4", "out": 5})
    found: dict[str, Any] = {
        "fac": 1,
        "name": "net",
        "input": {"shape": [20]},
        "layers": layers,
        "loss": {"kind": "mse"},
        "feedback": {"rule": "dfa"},
        "update": {"rule": "sgd", "lr": 0.01},
        "train": {"epochs": 1, "batch": BATCH, "prealign": prealign},
    }
    return load(found | more)


def data(rows: int = BATCH) -> Dataset:
    rng = np.random.default_rng(0)
    split = Split(rng.standard_normal((rows, 20)), rng.standard_normal((rows, 5)))
    return Dataset("random", split, split)


def begun(spec: ModelSpec, backend: str = "reference") -> dict[str, Any]:
    """The state in front of the first step: a training that is stopped, its one step taken back by a rate of 0."""
    session = compile(spec, backend, precision="float64").open()
    assert spec.update is not None
    still = spec.model_copy(update={"update": spec.update.model_copy(update={"lr": 0.0})})
    train(session, data(), still)
    return session.state()


def errors(spec: ModelSpec, state: dict[str, Any]) -> list[tuple[Any, Any]]:
    """By hand, for each hidden layer from the first: what backpropagation brings to its output, and what the route."""
    tanh = any(getattr(layer, "kind", "") == "tanh" for layer in spec.layers)
    split = data().train
    arrays = list(split.arrays.values())
    rows = Stepping(compile(spec, "reference").open(), split, spec).rows(0)
    x, y = (array[rows] for array in arrays)
    made = [x]
    for number in range(1, 5):
        a = made[-1] @ state[f"fc{number}.weight"].T + state[f"fc{number}.bias"]
        made.append(np.tanh(a) if tanh and number < 4 else a)
    e = 2 * (made[-1] - y) / y.size
    found, d = [], e
    for number in (4, 3, 2):
        back = d @ state[f"fc{number}.weight"]
        found.append((back, e @ state[f"fc{number - 1}.feedback.B"].T))
        d = back * (1 - made[number - 1] ** 2) if tanh else back
    return found[::-1]


def cosine(a: Any, b: Any) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_a_linear_network_is_aligned_at_every_layer(backend: str) -> None:
    spec = net("", "unit")
    state = begun(spec, backend)
    for back, brought in errors(spec, state):
        assert cosine(back, brought) == pytest.approx(1, abs=1e-9)
    assert [np.linalg.norm(state[f"fc{n}.weight"]) for n in (2, 3, 4)] == pytest.approx([1, 1, 1], abs=1e-12)


def test_t33_slopes_of_tanh_leave_it_nearly_so() -> None:
    spec = net("tanh", "unit")
    assert min(cosine(*pair) for pair in errors(spec, begun(spec))) > 0.99
    plain = net("tanh", None)
    assert max(cosine(*pair) for pair in errors(plain, begun(plain))) < 0.5


def test_the_norm_may_be_the_one_that_was_drawn() -> None:
    before, after = begun(net("tanh", None)), begun(net("tanh", "drawn"))
    for number in (2, 3, 4):
        name = f"fc{number}.weight"
        assert np.linalg.norm(after[name]) == pytest.approx(np.linalg.norm(before[name]), rel=1e-12)
        assert np.abs(after[name] - before[name]).max() > 0.01
    for name in ("fc1.weight", "fc1.feedback.B", "fc2.bias"):
        np.testing.assert_array_equal(after[name], before[name])


def test_a_run_that_resumes_is_not_aligned_again(tmp_path: Path) -> None:
    spec = net("tanh", "unit")
    whole = compile(spec, "reference", precision="float64").open()
    train(whole, data(4 * BATCH), spec)
    begins = compile(spec, "reference", precision="float64").open()
    calls, out = iter(range(10)), RunFolder(Held(tmp_path), {})
    with pytest.raises(StoppedError):
        train(begins, data(4 * BATCH), spec, out, stop=lambda: next(calls) >= 1)
    found = checkpoint.load(out.state)
    again = compile(spec, "reference", precision="float64").open(found.state)
    train(again, data(4 * BATCH), spec, since=found)
    for (name, one), other in zip(whole.state().items(), again.state().values(), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


def test_what_is_read_by_more_than_one_layer_stays_and_that_is_said() -> None:
    layers = [
        {"kind": "linear", "name": "fc1", "out": 20},
        {"kind": "tanh", "name": "act1"},
        {"kind": "linear", "name": "fc2", "out": 20, "from": "act1"},
        {"kind": "add", "name": "sum", "from": ["fc2", "act1"]},
        {"kind": "tanh", "name": "act2"},
        {"kind": "linear", "name": "fc3", "out": 5},
    ]
    spec = net("tanh", "unit", layers=layers)
    findings = [one for one in check(spec) if one.rule.code == "FAC340"]
    assert len(findings) == 1
    assert "of 2 sites of routes 2 are not read" in findings[0].message
    assert "`act1`, `fc2`" in findings[0].message
    before, after = begun(net("tanh", None, layers=layers)), begun(spec)
    assert [name for name in before if np.abs(after[name] - before[name]).max() > 0] == []


@pytest.mark.parametrize("zero", ["weights", "feedback"])
def test_where_no_error_comes_that_is_said(zero: str) -> None:
    spec = net(
        "tanh", "drawn", feedback={"rule": "dfa", "init": "zeros"} if zero == "feedback" else {"rule": "dfa"}
    )
    if zero == "weights":
        head = spec.layers[-1].model_copy(update={"init": None, "name": "fc4"})
        layers = [*spec.layers[:-1], head]
        written = [one.model_dump(mode="json", by_alias=True, exclude_unset=True) for one in layers]
        written[-1] = {"kind": "linear", "name": "fc4", "out": 5, "init": "zeros"}
        spec = net("tanh", "drawn", layers=written)
    session = compile(spec, "reference", precision="float64").open()
    before = session.state()
    with pytest.raises(FacError, match=r"`train\.prealign` cannot set `fc\d\.weight`"):
        train(session, data(), spec)
    np.testing.assert_array_equal(session.state()["fc4.weight"], before["fc4.weight"])


def test_weights_that_do_not_learn_stay() -> None:
    update = {"rule": "sgd", "lr": 0.01, "groups": [{"match": "fc3.*", "trainable": False}]}
    spec = net("tanh", "unit", update=update)
    (finding,) = [one for one in check(spec) if one.rule.code == "FAC340"]
    assert "`act2`" in finding.message
    plain = begun(net("tanh", None, update=update))["fc3.weight"]
    np.testing.assert_array_equal(begun(spec)["fc3.weight"], plain)
