"""The probe `conservation` against NumPy, and against what steps do. float64; tolerances beside the numbers.

Names of tests carry numbers of identities, as in tests/rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Session
from fac.layers.elementwise import RELU, TANH
from tests.rules.nets import BP, Array, Spec, State, batch, dense, gradients, opened, put, spec, square

LR = 0.05
PLAIN: Spec = {"rule": "sgd", "lr": LR}
KP: Spec = {"rule": "kolen_pollack"}
NET = dense(9, 8, 7, 4)
"""Hidden are fc1, fc2 and fc3; fc4 makes the logits."""
DEPTH = 4
HIDDEN = ("fc1", "fc2", "fc3")


def asked(layers: tuple[Spec, ...], feedback: Any, update: Spec = PLAIN, **more: Any) -> Spec:
    return spec(layers, feedback, update, **more) | {"probes": ({"kind": "conservation"},)}


def pair(learn: str) -> Spec:
    return {"rule": "ldfa", "rank": 3, "learn": learn}


def through(**matrix: Any) -> Spec:
    return {"routes": tuple({"through": f"fc{i}", "matrix": matrix} for i in (2, 3, 4))}


# -- in NumPy -----------------------------------------------------------------------------------------------------

Sent = Callable[[State, str, Array, Array], Array]
"""`sent(state, layer, its error [N, m], error of the output)`: what arrives at the input of the layer."""


def scaled(state: State, name: str, scale: float = 1.0) -> Array:
    """The matrix of a route as it is stored, or Q P as [writes, reads]."""
    if f"{name}.feedback.B" in state:
        return np.asarray(scale * state[f"{name}.feedback.B"])
    return np.asarray(scale * state[f"{name}.feedback.Q"] @ state[f"{name}.feedback.P"])


def below(layer: str) -> str:
    return f"fc{int(layer[2:]) - 1}"


def exact(state: State, layer: str, d: Array, e: Array) -> Array:
    return np.asarray(d @ state[f"{layer}.weight"])


def full(state: State, layer: str, d: Array, e: Array) -> Array:
    return np.asarray(d @ scaled(state, layer))


def thin(state: State, layer: str, d: Array, e: Array) -> Array:
    return np.asarray(d @ scaled(state, layer).T)


def direct(state: State, layer: str, d: Array, e: Array) -> Array:
    return np.asarray(e @ scaled(state, below(layer)).T)


def task(state: State, layer: str, d: Array, e: Array) -> Array:
    s = e @ state["task.feedback.P"].T
    return np.asarray(s @ scaled(state, below(layer)).T)


def times(factor: float, sent: Sent) -> Sent:
    return lambda state, layer, d, e: np.asarray(factor * sent(state, layer, d, e))


def identity(state: State, layer: str, d: Array, e: Array) -> Array:
    return d


def swept(state: State, x: Array, y: Array, sent: Sent, act: str = "relu") -> tuple[State, State, State]:
    """Gradients of all layers, outputs of hidden ones, and the errors that arrive there."""
    hs = [x]
    for i in range(1, DEPTH + 1):
        a = hs[-1] @ state[f"fc{i}.weight"].T + state[f"fc{i}.bias"]
        hs.append(a if i == DEPTH else np.tanh(a) if act == "tanh" else np.maximum(a, 0))
    p = np.exp(hs[-1] - hs[-1].max(1, keepdims=True))
    d = e = (p / p.sum(1, keepdims=True) - np.eye(p.shape[1])[y]) / len(x)
    g, errors, outputs = {}, {}, {f"fc{i}": hs[i] for i in range(1, DEPTH)}
    for i in range(DEPTH, 0, -1):
        g[f"fc{i}.weight"], g[f"fc{i}.bias"] = d.T @ hs[i - 1], d.sum(0)
        if i > 1:
            errors[f"fc{i - 1}"] = sent(state, f"fc{i}", d, e)
            slope = 1 - hs[i - 1] ** 2 if act == "tanh" else hs[i - 1] > 0
            d = errors[f"fc{i - 1}"] * slope
    return g, outputs, errors


def imbalance(state: State, g: State, right: float, layer: str) -> float:
    terms = [float(np.vdot(state[f"{layer}.{part}"], g[f"{layer}.{part}"])) for part in ("weight", "bias")]
    return abs(sum(terms) - right) / (sum(map(abs, terms)) + abs(right))


def own(state: State, layer: str) -> float:
    return square(state[f"{layer}.weight"], state[f"{layer}.bias"]) / 2


def above(layer: str) -> str:
    return f"fc{int(layer[2:]) + 1}"


def fixed(state: State, layer: str) -> float:
    """<F, W'>, F through the layer above."""
    stored = scaled(state, above(layer))
    whole = stored if f"{above(layer)}.feedback.B" in state else stored.T
    return float(np.vdot(whole, state[f"{above(layer)}.weight"]))


def half(part: str, scale: float = 1.0, *, direct: bool = False) -> Callable[[State, str], float]:
    """Half a square, of the array that belongs to the layer above or to the route to the layer itself."""
    return lambda state, layer: scale * square(state[f"{layer if direct else above(layer)}.{part}"]) / 2


def last(state: State, layer: str) -> float:
    """<F, W'> of a direct matrix to the last hidden layer."""
    return float(np.trace(scaled(state, layer) @ state[f"{above(layer)}.weight"]))


SUBSPACE: Spec = {
    "subspaces": ({"name": "task", "of": "loss", "rank": 2},),
    "routes": ({"to": "fc[1-3]", "from": "task", "matrix": {"kind": "random"}},),
}
CASES: dict[str, tuple[Any, Sent, dict[str, Callable[[State, str], float]]]] = {
    "bp": (BP, exact, dict.fromkeys(HIDDEN, half("weight"))),
    "transpose": (
        through(kind="transpose", scale=0.5),
        times(0.5, exact),
        dict.fromkeys(HIDDEN, half("weight", 0.5)),
    ),
    "fa": ({"rule": "fa"}, full, dict.fromkeys(HIDDEN, fixed)),
    "fa_kp": ({"rule": "fa", "learn": KP}, full, dict.fromkeys(HIDDEN, half("feedback.B"))),
    "fa_kp_scaled": (
        {"rule": "fa", "learn": KP, "scale": -0.7},
        times(-0.7, full),
        dict.fromkeys(HIDDEN, half("feedback.B", -0.7)),
    ),
    "qp": (pair("fixed"), thin, dict.fromkeys(HIDDEN, fixed)),
    "qp_svd": (
        through(kind="low_rank", rank=3, init="svd", read={"rule": "fixed"}, write={"rule": "fixed"}),
        thin,
        dict.fromkeys(HIDDEN, fixed),
    ),
    "kp_q": (pair("kolen_pollack"), thin, dict.fromkeys(HIDDEN, half("feedback.Q"))),
    "oja_kp": (pair("oja_kp"), thin, dict.fromkeys(HIDDEN, half("feedback.Q"))),
    "local": (pair("local"), thin, dict.fromkeys(HIDDEN, half("feedback.Q"))),
    "normative": (pair("normative"), thin, {}),
    "oja": (through(kind="low_rank", rank=3, write={"rule": "fixed"}), thin, {}),
    "refresh": (through(kind="low_rank", rank=3, init="svd", refresh=7), thin, {}),
    "dfa": ({"rule": "dfa"}, direct, {"fc3": last}),
    "direct_qp": (
        {"rule": "direct_ldfa", "rank": 3, "learn": "fixed"},
        direct,
        {"fc3": last},
    ),
    "dfa_kp": ({"rule": "dfa", "learn": KP}, direct, dict.fromkeys(HIDDEN, half("feedback.B", direct=True))),
    "direct_oja_kp": (
        {"rule": "direct_ldfa", "rank": 3},
        direct,
        dict.fromkeys(HIDDEN, half("feedback.Q", direct=True)),
    ),
    "subspace": (SUBSPACE, task, {}),
}
GIVEN = pytest.mark.parametrize("case", CASES)


def compared(made: Spec, sent: Sent, held: dict[str, Callable[[State, str], float]], seed: int) -> None:
    session = opened(made)
    state, (x, y) = session.state(), batch(seed=seed)
    g, outputs, errors = swept(state, x, y, sent)
    found = session.probe(x, y)
    names = {f"{layer}.balance" for layer in HIDDEN} | {"loss"}
    names |= {f"{layer}.{of}" for layer in held for of in ("conserved", "growth")}
    assert found.keys() == names
    for layer in HIDDEN:
        # Neither side is small, so that their difference says something.
        right = float(np.vdot(errors[layer], outputs[layer]))
        assert abs(right) > 1e-4
        assert imbalance(state, g, right, layer) <= 1e-14
        assert found[f"{layer}.balance"] <= 1e-14
    for layer, c in held.items():
        assert found[f"{layer}.conserved"] == pytest.approx(own(state, layer) - c(state, layer), rel=1e-13)


@GIVEN
def test_t11_t15_each_batch_balances_and_c_is_as_written_out(case: str) -> None:
    """Law (1), and for direct routes <W, G> + <b, g> = <F, H^T e>. Relative to the terms: 1e-14."""
    feedback, sent, held = CASES[case]
    compared(asked(NET, feedback), sent, held, 1)


def test_t11_through_an_identity() -> None:
    made = asked(dense(8, 8, 8, 8), through(kind="identity", scale=0.3))
    traces = {layer: lambda state, layer: 0.3 * np.trace(state[f"{above(layer)}.weight"]) for layer in HIDDEN}
    compared(made, times(0.3, identity), traces, 1)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("update", [PLAIN, {"rule": "adam", "lr": 0.01}, PLAIN | {"momentum": 0.9}])
def test_t11_holds_after_any_update_with_dropout_and_leaky_units(loss: str, update: Spec) -> None:
    layers: list[Spec] = [{"kind": "flatten"}]
    for layer in dense(9, 8, 4, act="leaky_relu"):
        layers += [layer, *([{"kind": "dropout", "rate": 0.3}] if layer["kind"] == "leaky_relu" else [])]
    session = opened(asked(tuple(layers), {"rule": "fa"}, update, loss=loss))
    for step in range(20):
        x, y = batch(seed=step)
        session.step(x, y if loss == "cross_entropy" else np.eye(4)[y])
    x, y = batch(seed=30)
    found = session.probe(x, y if loss == "cross_entropy" else np.eye(4)[y])
    assert {name for name in found if name.endswith("balance")} == {"fc1.balance", "fc2.balance"}
    assert all(found[f"{layer}.balance"] <= 1e-14 for layer in ("fc1", "fc2"))


def test_float32_rounds() -> None:
    session = fac.compile(asked(NET, {"rule": "fa"}), backend="reference", precision="float32").open()
    found = session.probe(*batch())
    assert all(found[f"{layer}.balance"] <= 1e-6 for layer in HIDDEN)


def test_a_dead_layer_is_balanced() -> None:
    """All terms are zero; 0 / 0 would be NaN."""
    session = opened(asked(NET, {"rule": "fa"}))
    put(session, {"fc2.bias": np.full(8, -1e6)})
    assert session.probe(*batch())["fc2.balance"] == 0.0


# -- it can fail --------------------------------------------------------------------------------------------------


@pytest.fixture
def tanh_that_lies() -> Iterator[None]:
    """Says that it is homogeneous."""
    curve = TANH.curve
    object.__setattr__(TANH, "curve", RELU.curve)
    try:
        yield
    finally:
        object.__setattr__(TANH, "curve", curve)


@pytest.mark.usefixtures("tanh_that_lies")
@pytest.mark.parametrize("case", ["bp", "fa", "qp", "dfa"])
def test_the_control_tanh_is_out_of_balance_by_as_much_as_numpy_says(case: str) -> None:
    feedback, sent, _ = CASES[case]
    session = opened(asked(dense(9, 8, 7, 4, act="tanh"), feedback))
    large = {n: 2 * a for n, a in session.state().items() if n.endswith(".weight")}
    state, (x, y) = put(session, large).state(), batch(n=40)
    g, outputs, errors = swept(state, x, y, sent, "tanh")
    found = session.probe(x, y)
    for layer in HIDDEN:
        expected = imbalance(state, g, float(np.vdot(errors[layer], outputs[layer])), layer)
        assert found[f"{layer}.balance"] == pytest.approx(expected, rel=1e-10)
        assert expected > 1e-3
    assert max(found[f"{layer}.balance"] for layer in HIDDEN) > 0.2


def test_where_it_does_not_hold_nothing_is_measured() -> None:
    assert opened(asked(dense(9, 8, 7, 4, act="tanh"), {"rule": "fa"})).probe(*batch()).keys() == {"loss"}


# -- steps --------------------------------------------------------------------------------------------------------


def squares(g: State, layer: str, moved: str) -> float:
    """|G|^2 + |g|^2 less the square of the gradient of what moves against them."""
    found = square(g[f"{layer}.weight"], g[f"{layer}.bias"])
    return found - (square(g[moved]) if moved else 0.0)


MOVED: dict[str, Callable[[str], str]] = {
    "bp": lambda layer: f"{above(layer)}.weight",
    "fa": lambda layer: "",
    "qp": lambda layer: "",
    "fa_kp": lambda layer: f"{above(layer)}.feedback.B",
    "kp_q": lambda layer: f"{above(layer)}.feedback.Q",
    "oja_kp": lambda layer: f"{above(layer)}.feedback.Q",
    "local": lambda layer: f"{above(layer)}.feedback.Q",
    "dfa": lambda layer: "",
    "dfa_kp": lambda layer: f"{layer}.feedback.B",
}
"""The array whose steps are taken against those of a layer."""


@pytest.mark.parametrize("case", MOVED)
def test_t10_t12_t13_t14_what_is_conserved_grows_by_the_squares_of_steps(case: str) -> None:
    """Laws (5), (6), (12), (13) and (14) in minibatches, with bias, over 500 steps.

    Each step is right to 2e-13, where C is of the order of 10, and so is the sum of all to 2e-11.
    """
    feedback, _, held = CASES[case]
    layers = dense(9, 8, 7, 4)
    session = opened(asked(layers, feedback))
    first, total = session.probe(*batch()), dict.fromkeys(held, 0.0)
    before = first
    for step in range(500):
        x, y = batch(seed=step % 7)
        g = gradients(session, x, y)
        session.step(x, y)
        after = session.probe(x, y)
        for layer in held:
            grown = 0.5 * LR**2 * squares(g, layer, MOVED[case](layer))
            assert abs(after[f"{layer}.conserved"] - before[f"{layer}.conserved"] - grown) <= 2e-13
            total[layer] += grown
        before = after
    for layer, grown in total.items():
        assert abs(grown) > 1e-5
        assert abs(before[f"{layer}.conserved"] - first[f"{layer}.conserved"] - grown) <= 2e-11


@pytest.mark.parametrize("case", [name for name, (_, _, held) in CASES.items() if held])
def test_growth_is_what_a_step_of_any_rate_adds(case: str) -> None:
    """Laws (5), (6), (12), (13) and (14): exactly lr^2 growth, with operators that are scaled, too. Absolute 1e-11."""
    feedback, _, held = CASES[case]
    session = opened(asked(NET, feedback))
    x, y = batch()
    for lr in (0.5, 0.01):
        before = session.probe(x, y)
        session.step(x, y, lr=lr)
        after = session.probe(x, y)
        for layer in held:
            grown = after[f"{layer}.conserved"] - before[f"{layer}.conserved"]
            assert grown == pytest.approx(lr**2 * before[f"{layer}.growth"], abs=1e-13, rel=1e-9), layer
            assert abs(before[f"{layer}.growth"]) > 1e-5


def by_neuron(session: Session, layer: str) -> Array:
    """|W[k]|^2 / 2 + b[k]^2 / 2 - F[:, k] . W'[:, k] for each neuron k of a layer."""
    state, stored = session.state(), scaled(session.state(), above(layer))
    whole = stored if f"{above(layer)}.feedback.B" in state else stored.T
    rows = (state[f"{layer}.weight"] ** 2).sum(1) + state[f"{layer}.bias"] ** 2
    return np.asarray(rows / 2 - (whole * state[f"{above(layer)}.weight"]).sum(0))


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
@pytest.mark.parametrize("case", ["fa", "qp"])
def test_law_3_each_neuron_balances_and_conserves(case: str, backend: str) -> None:
    made = spec(NET, CASES[case][0], PLAIN) | {"probes": ({"kind": "conservation", "neurons": True},)}
    session = opened(made, backend)
    x, y = batch()
    for _ in range(3):
        found = session.probe(x, y)
        g = gradients(session, x, y)
        held = {layer: by_neuron(session, layer) for layer in HIDDEN}
        for layer, each in held.items():
            assert found[f"{layer}.neurons.balance"] <= 1e-12
            assert found[f"{layer}.neurons.conserved"] == pytest.approx(np.sqrt((each**2).mean()), rel=1e-12)
            assert found[f"{layer}.conserved"] == pytest.approx(each.sum(), rel=1e-11)
        session.step(x, y, lr=LR)
        for layer, each in held.items():
            grown = LR**2 / 2 * ((g[f"{layer}.weight"] ** 2).sum(1) + g[f"{layer}.bias"] ** 2)
            np.testing.assert_allclose(by_neuron(session, layer), each + grown, atol=1e-14)


@pytest.mark.parametrize("case", ["bp", "fa_kp", "oja_kp"])
def test_law_1_holds_neuron_by_neuron_whatever_the_feedback_learns(case: str) -> None:
    made = spec(NET, CASES[case][0], PLAIN) | {"probes": ({"kind": "conservation", "neurons": True},)}
    found = opened(made).probe(*batch())
    assert all(found[f"{layer}.neurons.balance"] <= 1e-12 for layer in HIDDEN)
    assert not any(name.endswith("neurons.conserved") for name in found)


UPDATES: dict[str, Spec] = {
    "sgd": PLAIN,
    "clip_norm": PLAIN | {"clip": {"by": "norm", "at": 0.1}},
    "clip_value": PLAIN | {"clip": {"by": "value", "at": 0.01}},
    "momentum": PLAIN | {"momentum": 0.9},
    "decay": PLAIN | {"weight_decay": 0.1},
    "adam": {"rule": "adam", "lr": 0.01},
    "adamw": {"rule": "adamw", "lr": 0.01},
    "slow_bias": PLAIN | {"groups": ({"match": "*.bias", "lr_scale": 0.5},)},
    "slow_layer": PLAIN | {"groups": ({"match": "fc1.*", "lr_scale": 0.5},)},
    "slow_all": PLAIN | {"groups": ({"match": "*", "lr_scale": 0.5},)},
    "decay_of_one": PLAIN | {"groups": ({"match": "fc4.weight", "weight_decay": 0.1},)},
    "adam_for_one": PLAIN | {"groups": ({"match": "fc2.*", "use": {"rule": "adam", "lr": 0.01}},)},
    "sgd_for_all": {
        "rule": "adam",
        "lr": 0.01,
        "groups": ({"match": "*", "use": {"rule": "sgd", "lr": 0.1}},),
    },
    "fast_feedback": PLAIN | {"feedback": {"lr_scale": 2.0}},
    "decay_of_feedback": PLAIN | {"feedback": {"weight_decay": 0.1}},
}


def drifts(session: Session, x: Array, y: Array) -> set[str]:
    """The layers at which C changes to first order in the rate.

    Every rule here moves an array by the rate times what does not depend on the rate. So C grows by a r + b r^2, and
    four times the growth at r / 2 less that at r is a r. It is either rounding, below 1e-13, or above 1e-9.
    """
    state, start = session.state(), session.probe(x, y)
    grown = []
    for rate in (LR, LR / 2):
        session.step(x, y, lr=rate)
        after = session.probe(x, y)
        grown.append(
            {n[: -len(".conserved")]: after[n] - start[n] for n in after if n.endswith(".conserved")}
        )
        session.load_state(state)
    first = {layer: abs(4 * grown[1][layer] - grown[0][layer]) for layer in grown[0]}
    assert not [value for value in first.values() if 2e-13 < value < 1e-9]
    return {layer for layer, value in first.items() if value >= 1e-9}


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("case", ["bp", "fa", "fa_kp", "oja_kp", "dfa"])
def test_the_check_says_where_it_drifts(case: str, update: str) -> None:
    """FAC328 against the steps that are compiled, begun in the middle of a training."""
    made = asked(NET, CASES[case][0], UPDATES[update])
    said = set[str]()
    for finding in fac.check(made):
        if finding.rule.code == "FAC328" and finding.message.startswith("`conserved` drifts at "):
            said |= set(re.findall(r"`(fc\d)`", finding.message))
    session = opened(made)
    for step in range(5):
        session.step(*batch(seed=step))
    assert drifts(session, *batch(seed=9)) == said


@pytest.mark.parametrize("case", CASES)
def test_the_check_is_silent_where_everything_is_measured(case: str) -> None:
    """And reports what is left out."""
    feedback, _, held = CASES[case]
    found = [d for d in fac.check(asked(NET, feedback)) if d.rule.code == "FAC328"]
    assert bool(found) == (set(held) != set(HIDDEN))


def test_without_probes_in_the_spec_all_are_measured_and_nothing_is_reported() -> None:
    made = spec(dense(9, 8, 4, act="tanh"), {"rule": "fa"}, PLAIN)
    assert not [d for d in fac.check(made) if d.rule.code == "FAC328"]
    assert "fc1.conserved" in opened(spec(NET, {"rule": "fa"}, PLAIN)).probe(*batch())
