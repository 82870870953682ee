"""Probes against the same measurements written out in NumPy. float64; 1e-12 relative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fac
from fac.backend import Session

Array = NDArray[Any]
RTOL = 1e-12
N, K, H, C = 7, 5, 6, 4


def session(feedback: dict[str, Any], probes: tuple[dict[str, Any], ...] | None = None) -> Session:
    spec: dict[str, Any] = {
        "fac": 1,
        "name": "probed",
        "input": {"shape": (K,)},
        "layers": (
            {"kind": "linear", "name": "fc1", "out": H},
            {"kind": "relu"},
            {"kind": "linear", "name": "fc2", "out": H},
            {"kind": "tanh"},
            {"kind": "linear", "name": "logits", "out": C},
        ),
        "loss": {"kind": "cross_entropy"},
        "feedback": feedback,
        "update": {"rule": "sgd", "lr": 0.1},
    }
    if probes is not None:
        spec["probes"] = probes
    return fac.compile(spec, backend="reference").open()


def batch() -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((N, K))
    x[2] = 0.0  # with zero biases every unit of fc1 is dead for this sample: its error there is zero
    return x, rng.integers(0, C, N)


def errors(state: dict[str, Array], x: Array, y: Array, upper: Array, lower: Array) -> dict[str, Array]:
    """Errors at the pre-activations, with `upper` [C, H] and `lower` [H, H] in the place of the weights."""
    h1 = np.maximum(x @ state["fc1.weight"].T + state["fc1.bias"], 0)
    h2 = np.tanh(h1 @ state["fc2.weight"].T + state["fc2.bias"])
    z = h2 @ state["logits.weight"].T + state["logits.bias"]
    p = np.exp(z - z.max(1, keepdims=True))
    d3 = (p / p.sum(1, keepdims=True) - np.eye(C)[y]) / N
    d2 = (d3 @ upper) * (1 - h2**2)
    d1 = (d2 @ lower) * (h1 > 0)
    return {"logits": d3, "fc2": d2, "fc1": d1, "h2": h2, "h1": h1, "x": x}


def cosine(a: Array, b: Array) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def row_cosine(a: Array, b: Array) -> float:
    kept = [(u, v) for u, v in zip(a, b, strict=True) if u.any() and v.any()]
    return float(np.mean([cosine(u, v) for u, v in kept]))


def test_alignment_equals_the_cosines_written_out() -> None:
    probed = session({"rule": "fa"})
    state, (x, y) = probed.state(), batch()
    routed = errors(state, x, y, state["logits.feedback.B"], state["fc2.feedback.B"])
    true = errors(state, x, y, state["logits.weight"], state["fc2.weight"])
    found = probed.probe(x, y)
    below = {"fc1": "x", "fc2": "h1", "logits": "h2"}
    gradients = []
    for node, input in below.items():
        assert found[f"{node}.error.cosine"] == pytest.approx(row_cosine(routed[node], true[node]), rel=RTOL)
        assert found[f"{node}.error.matrix_cosine"] == pytest.approx(
            cosine(routed[node], true[node]), rel=RTOL
        )
        pair = [(d[node].T @ d[input]) for d in (routed, true)]
        gradients.append(pair)
        assert found[f"{node}.gradient.cosine"] == pytest.approx(cosine(*pair), rel=RTOL)
    stacked = [np.concatenate([pair[i].ravel() for pair in gradients]) for i in (0, 1)]
    assert found["gradient.cosine"] == pytest.approx(cosine(*stacked), rel=RTOL)
    rows = [np.concatenate([d[node] for node in below], 1) for d in (routed, true)]
    assert found["error.cosine"] == pytest.approx(row_cosine(*rows), rel=RTOL)
    assert found["error.matrix_cosine"] == pytest.approx(cosine(*rows), rel=RTOL)


def test_dead_rows_do_not_make_backprop_disagree_with_itself() -> None:
    found = session({"rule": "bp"}).probe(*batch())
    cosines = {name: value for name, value in found.items() if name.endswith("cosine")}
    assert len(cosines) == 12
    assert all(value == pytest.approx(1.0, abs=RTOL) for value in cosines.values())


def test_true_errors_do_not_see_the_feedback() -> None:
    """Were the reference sweep routed too, every cosine would be 1, whatever the matrices."""
    probed = session({"rule": "dfa"})
    before = probed.probe(*batch())["fc1.error.cosine"]
    state = probed.state()
    probed.load_state({**state, "fc1.feedback.B": -state["fc1.feedback.B"]})
    assert probed.probe(*batch())["fc1.error.cosine"] == pytest.approx(-before, rel=RTOL)


@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_feedback_alignment_measures_the_matrix_that_is_used(scale: float) -> None:
    probed = session({"rule": "ldfa", "rank": 3, "scale": scale})
    state = probed.state()
    used = scale * (state["fc2.feedback.Q"] @ state["fc2.feedback.P"]).T
    found = probed.probe(*batch())
    assert found["fc2.feedback.cosine"] == pytest.approx(cosine(used, state["fc2.weight"]), rel=RTOL)
    ratio = np.linalg.norm(used) / np.linalg.norm(state["fc2.weight"])
    assert found["fc2.feedback.norm_ratio"] == pytest.approx(ratio, rel=RTOL)


@pytest.mark.parametrize(
    "mix", [np.eye(2), np.array([[2.0, 0.3], [0.1, -0.7]])], ids=["orthonormal", "mixed"]
)
def test_captured_energy_is_that_of_the_row_space(mix: Array) -> None:
    """Mixing the rows of P changes P, not its row space."""
    probed = session({"rule": "ldfa", "rank": 2})
    state, (x, y) = probed.state(), batch()
    state = {**state, "logits.feedback.P": mix @ state["logits.feedback.P"]}
    probed.load_state(state)
    d = errors(state, x, y, state["logits.weight"], state["fc2.weight"])["logits"]
    basis = np.linalg.qr(state["logits.feedback.P"].T)[0]
    share = ((d @ basis) ** 2).sum() / (d**2).sum()
    assert probed.probe(x, y)["logits.feedback.P.captured_energy"] == pytest.approx(share, rel=1e-10)


def test_captured_energy_of_a_subspace() -> None:
    routes = tuple({"to": node, "from": "task", "matrix": {"kind": "random"}} for node in ("fc1", "fc2"))
    probed = session({"subspaces": ({"name": "task", "of": "loss", "rank": 3},), "routes": routes})
    state, (x, y) = probed.state(), batch()
    d = errors(state, x, y, state["logits.weight"], state["fc2.weight"])["logits"]
    share = ((d @ state["task.feedback.P"].T) ** 2).sum() / (d**2).sum()
    assert probed.probe(x, y)["task.feedback.P.captured_energy"] == pytest.approx(share, rel=1e-10)


def test_only_the_probes_that_were_asked_for() -> None:
    found = session({"rule": "ldfa", "rank": 2}, ({"kind": "captured_energy"},)).probe(*batch())
    assert sorted(found) == ["fc2.feedback.P.captured_energy", "logits.feedback.P.captured_energy", "loss"]


def test_a_probe_changes_nothing() -> None:
    probed = session({"rule": "ldfa", "rank": 2})
    before = probed.state()
    probed.probe(*batch())
    after = probed.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
