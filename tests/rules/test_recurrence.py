"""Recurrent layers, unrolled: against those of torch by autograd, and their feedback against closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import fac
from fac.backend import Array, Session
from fac.build.functions import functions
from fac.build.transport import transport
from fac.pipeline import check, lowered
from fac.step.text import to_text
from fac.testing.case import distance
from fac.testing.nets import Data, Layers, batch, batches, linear, spec

torch.set_num_threads(1)

State = dict[str, Array]
BACKENDS = ("reference", "torch", "onnx")
UNIT: Data = {"rule": "sgd", "lr": 1.0}
DECAY: Data = {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}
WIDTH, READS = 5, 4
NAMES = {
    "weight_ih_l0": "r.ih.weight",
    "bias_ih_l0": "r.ih.bias",
    "weight_hh_l0": "r.0.hh.weight",
    "bias_hh_l0": "r.0.hh.bias",
}


def recurrent(kind: str, **fields: Any) -> Layers:
    mean = ({"kind": "mean", "axes": (0,)},) if fields.get("gather") else ()
    return ({"kind": kind, "name": "r", "out": WIDTH, **fields}, *mean, linear("out", 3))


def opened(
    layers: Layers, steps: int, backend: str = "reference", feedback: Any = None, **fields: Any
) -> Session:
    data = spec(layers, feedback, **({"update": UNIT} | fields), shape=(steps, READS))
    return fac.compile(data, backend=backend, precision="float64").open()


def start(session: Session) -> State:
    """Initial values with noise on the biases."""
    rng = np.random.default_rng(1)
    state = session.state()
    return state | {n: 0.3 * rng.standard_normal(v.shape) for n, v in state.items() if n.endswith(".bias")}


def after(session: Session, state: State, given: Any) -> State:
    session.load_state(session.state() | state)
    for x, y in given:
        session.step(x, y)
    return session.state()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("gru", {}),
        ("gru", {"gather": True}),
        ("gru", {"bias": False}),
        ("rnn", {}),
        ("rnn", {"gather": True}),
    ],
)
def test_a_step_is_that_of_torch(kind: str, fields: Data, steps: int, backend: str) -> None:
    """Outputs and gradients of all four arrays, under the names that the docstrings give."""
    session = opened(recurrent(kind, **fields), steps, backend)
    state, (x, y) = start(session), batch(6, shape=(steps, READS))
    twin = (torch.nn.GRU if kind == "gru" else torch.nn.RNN)(
        READS, WIDTH, batch_first=True, bias=fields.get("bias", True), dtype=torch.float64
    )
    own = dict(twin.named_parameters())
    with torch.no_grad():
        for theirs, parameter in own.items():
            parameter.copy_(torch.tensor(state[NAMES[theirs]]))
    made, _ = twin(torch.tensor(x))
    read = made.mean(1) if "gather" in fields else made[:, -1]
    z = functional.linear(read, torch.tensor(state["out.weight"]), torch.tensor(state["out.bias"]))
    loss = functional.cross_entropy(z, torch.tensor(y))
    gradients = torch.autograd.grad(loss, list(own.values()))
    session.load_state(state)
    assert distance(session.forward(x), z.detach().numpy()) < 1e-12
    found = after(session, state, [(x, y)])
    for theirs, gradient in zip(own, gradients, strict=True):
        name = NAMES[theirs]
        assert distance(state[name] - found[name], gradient.numpy()) < 1e-12, name


def test_a_state_to_begin_with_and_another_activation() -> None:
    """A second layer in `from` makes the first state; its error arrives there."""
    layers: Layers = (
        {"kind": "select", "name": "last", "index": -1},
        linear("begin", WIDTH),
        {
            "kind": "rnn",
            "name": "r",
            "out": WIDTH,
            "from": ("input", "begin"),
            "activation": ({"kind": "relu"},),
        },
        linear("out", 3),
    )
    session = opened(layers, 3)
    state, (x, y) = start(session), batch(6, shape=(3, READS))
    p = {name: torch.tensor(value, requires_grad=True) for name, value in state.items() if name != "step"}
    given = torch.tensor(x)
    h = functional.linear(given[:, -1], p["begin.weight"], p["begin.bias"])
    for t in range(3):
        said = functional.linear(given[:, t], p["r.ih.weight"], p["r.ih.bias"])
        h = torch.relu(said + functional.linear(h, p["r.0.hh.weight"], p["r.0.hh.bias"]))
    z = functional.linear(h, p["out.weight"], p["out.bias"])
    gradients = torch.autograd.grad(functional.cross_entropy(z, torch.tensor(y)), list(p.values()))
    found = after(session, state, [(x, y)])
    for name, gradient in zip(p, gradients, strict=True):
        assert distance(state[name] - found[name], gradient.numpy()) < 1e-12, name


def test_a_repeat_with_steps_is_the_layer() -> None:
    """The long form, written by hand: the same step, under other names."""
    short: Layers = (
        {"kind": "rnn", "name": "r", "out": WIDTH, "gather": True},
        {"kind": "flatten"},
        linear("out", 3),
    )
    body: Layers = (
        linear("hh", WIDTH),
        {"kind": "add", "name": "sum", "from": ("token", "hh")},
        {"kind": "tanh", "name": "tanh_1"},
    )
    long: Layers = (
        linear("ih", WIDTH),
        {"kind": "zeros", "name": "start", "shape": (WIDTH,), "from": "input"},
        {"kind": "repeat", "name": "r", "times": 4, "tie": True, "steps": "ih", "gather": True, "body": body},
        {"kind": "flatten"},
        linear("out", 3),
    )
    one, other = (
        to_text(functions(lowered(spec(layers, shape=(4, READS)))).step) for layers in (short, long)
    )
    assert one == other.replace("ih", "r.ih").replace("r.r.ih", "r.ih").replace("start", "r.start")


def routed(kind: str, rule: Any, update: Data = UNIT, steps: int = 4) -> Session:
    """With a layer below the recurrent one, so that its error is needed."""
    layers = (linear("below", READS), {"kind": "tanh", "name": "act"}, *recurrent(kind))
    return opened(layers, steps, feedback=rule, update=update)


def exact(state: State, low_rank: bool = False) -> State:
    found = dict(state)
    for name in state:
        node, _, part = name.partition(".feedback.")
        if part == ("P" if low_rank else "B"):
            weight = state[f"{node}.weight"]
            u, s, v = np.linalg.svd(weight.T, full_matrices=False)
            full = {"P": v, "Q": u * s} if low_rank else {"B": weight}
            found |= {f"{node}.feedback.{key}": value.copy() for key, value in full.items()}
    return found


@pytest.mark.parametrize("kind", ["gru", "rnn"])
def test_feedback_that_is_the_weight_is_backpropagation_through_time(kind: str) -> None:
    """One matrix for all steps; F := W, and Kolen-Pollack stays there."""
    given = batches(7, 3, 7, shape=(4, READS))
    state = start(bp := routed(kind, None, DECAY))
    expected = {many: after(bp, state, given[:many]) for many in (1, 3)}
    for rule in ({"rule": "fa", "learn": {"rule": "kolen_pollack"}}, {"rule": "ldfa", "rank": 99}):
        session = routed(kind, rule, DECAY)
        matrices = {n.partition(".feedback")[0] for n in session.state() if ".feedback." in n}
        assert matrices == {"r.ih", "r.0.hh", "out"}
        many = 1 if "rank" in rule else 3
        found = after(session, exact(start(session), "rank" in rule), given[:many])
        for name in set(state) - {"step"}:
            assert distance(found[name], expected[many][name]) < 1e-12, (rule, name)


def test_direct_feedback_reaches_every_step_through_one_matrix_and_no_weight() -> None:
    """A step learns from the error of the output as it is, a token from an equal part: none goes back in time."""
    session = opened(recurrent("rnn"), 3, feedback={"rule": "dfa"})
    assert not transport(lowered(spec(recurrent("rnn"), {"rule": "dfa"}, UNIT, shape=(3, READS)))).exact
    state, (x, y) = start(session), batch(6, shape=(3, READS))
    assert {n for n in state if ".feedback." in n} == {"r.ih.feedback.B", "r.0.hh.feedback.B"}
    h, states = np.zeros((6, WIDTH)), []
    for t in range(3):
        states.append(h)
        said = x[:, t] @ state["r.ih.weight"].T + state["r.ih.bias"]
        h = np.tanh(said + h @ state["r.0.hh.weight"].T + state["r.0.hh.bias"])
    z = h @ state["out.weight"].T + state["out.bias"]
    e = (np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(3)[y]) / len(x)
    found = after(session, state, [(x, y)])
    to_state, to_token = e @ state["r.0.hh.feedback.B"].T, e @ state["r.ih.feedback.B"].T / 3
    recurrent_gradient = sum(to_state.T @ before for before in states)
    assert distance(state["r.0.hh.weight"] - found["r.0.hh.weight"], recurrent_gradient) < 1e-12
    assert distance(state["r.ih.weight"] - found["r.ih.weight"], to_token.T @ x.sum(1)) < 1e-12


@pytest.mark.parametrize(
    ("layers", "path", "message"),
    [
        (
            ({"kind": "repeat", "name": "l", "times": 3, "steps": "seq", "body": (linear("a", 4),)},),
            ("layers", 0, "steps"),
            "no layer above `l` is called `seq`",
        ),
        (
            ({"kind": "repeat", "name": "l", "times": 3, "steps": "input", "body": (linear("a", 4),)},),
            ("layers", 0, "times"),
            "`l` repeats 3 times, and `input` makes [6, 4]",
        ),
        (
            (
                {"kind": "select", "name": "s"},
                {"kind": "repeat", "name": "l", "times": 3, "steps": "s", "body": (linear("a", 4),)},
            ),
            ("layers", 1, "steps"),
            "`l` repeats 3 times, and `s` makes [4]",
        ),
        (
            ({"kind": "select", "name": "s"}, {"kind": "gru", "name": "g", "out": 4}),
            ("layers", 1, "kind"),
            "`g` reads tokens [number, channels], not [4]",
        ),
        (
            ({"kind": "select", "name": "s"}, {"kind": "gru", "name": "g", "out": 5, "from": ("input", "s")}),
            ("layers", 1, "from"),
            "`g` has a state of 5 numbers, and begins with [4]",
        ),
        (
            (linear("a", 7), {"kind": "gru_gates", "name": "g", "from": ("a", "a", "a")}),
            ("layers", 1, "from"),
            "`g` reads what input and state say, [3 h] each, and the state [h], not [6, 7], [6, 7], [6, 7]",
        ),
    ],
)
def test_what_does_not_fit_is_told_at_its_place(layers: Layers, path: tuple[Any, ...], message: str) -> None:
    found = check(spec((*layers, {"kind": "flatten"}, linear("out", 3)), shape=(6, READS)))
    assert (path, message) in [(finding.path, finding.message) for finding in found]


def test_a_cycle_without_a_bound_is_told() -> None:
    layers: Layers = ({"kind": "repeat", "name": "l", "tie": True, "body": (linear("a", 4),)},)
    (found, *_) = check(spec(layers, shape=(4,)))
    assert (found.rule.code, found.path[:2]) == ("FAC104", ("layers", 0))
    assert "`times`" in found.message
