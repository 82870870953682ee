"""Recurrent layers over sequences of unequal length: against packed sequences of torch, by autograd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import fac
from fac.backend import Array, Session
from fac.pipeline import check
from fac.testing.case import distance
from fac.testing.nets import Data, Layers, linear

torch.set_num_threads(1)

T, READS, WIDTH, N = 6, 4, 5, 7
BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
KINDS = pytest.mark.parametrize("kind", ["gru", "rnn"])
NAMES = {
    "weight_ih_l0": "r.ih.weight",
    "bias_ih_l0": "r.ih.bias",
    "weight_hh_l0": "r.0.hh.weight",
    "bias_hh_l0": "r.0.hh.bias",
}
MEAN: Data = {"kind": "mean", "name": "mean", "axes": (0,), "mask": "kept"}


def spec(layers: Layers, feedback: Any = None, steps: int = T) -> Data:
    return {
        "fac": 1,
        "name": "masked",
        "inputs": {"x": {"shape": (T, READS)}, "kept": {"shape": (steps,), "mask": True}},
        "layers": layers,
        "loss": {"kind": "cross_entropy"},
        "feedback": feedback or {"rule": "bp"},
        "update": {"rule": "sgd", "lr": 1.0},
    }


def recurrent(kind: str, **fields: Any) -> Layers:
    mean = (MEAN,) if fields.get("gather") else ()
    return ({"kind": kind, "name": "r", "out": WIDTH, "mask": "kept", **fields}, *mean, linear("out", 3))


def batch(kept: Array | None = None) -> dict[str, Array]:
    """Sequences of 1 to T steps; what is behind their end is noise."""
    rng = np.random.default_rng(0)
    lengths = np.array([6, 1, 3, 5, 2, 6, 4])
    ends = (np.arange(T) < lengths[:, None]).astype(float)
    return {
        "x": rng.standard_normal((N, T, READS)),
        "kept": ends if kept is None else kept,
        "y": rng.integers(0, 3, N),
    }


def opened(data: Data, backend: str = "reference") -> Session:
    """With noise on the biases."""
    session, rng = fac.compile(data, backend, "float64").open(), np.random.default_rng(1)
    state = session.state()
    biases = {n: 0.3 * rng.standard_normal(v.shape) for n, v in state.items() if n.endswith(".bias")}
    session.load_state(state | biases)
    return session


def twin(kind: str, state: dict[str, Array]) -> torch.nn.RNNBase:
    made = (torch.nn.GRU if kind == "gru" else torch.nn.RNN)(
        READS, WIDTH, batch_first=True, dtype=torch.float64
    )
    with torch.no_grad():
        for theirs, parameter in made.named_parameters():
            parameter.copy_(torch.tensor(state[NAMES[theirs]]))
    return made


@BACKENDS
@KINDS
@pytest.mark.parametrize("gather", [False, True])
def test_a_step_is_that_of_packed_sequences(kind: str, gather: bool, backend: str) -> None:
    """The state at the end of each, or all of them, outputs and gradients."""
    session, given = opened(spec(recurrent(kind, gather=gather)), backend), batch()
    state, lengths = session.state(), torch.tensor(given["kept"].sum(1).astype(int))
    module = twin(kind, state)
    packed = pack_padded_sequence(torch.tensor(given["x"]), lengths, batch_first=True, enforce_sorted=False)
    made, last = module(packed)
    every, _ = pad_packed_sequence(made, batch_first=True)  # zeros behind the end
    read = every.sum(1) / lengths[:, None] if gather else last[0]
    z = functional.linear(read, torch.tensor(state["out.weight"]), torch.tensor(state["out.bias"]))
    loss = functional.cross_entropy(z, torch.tensor(given["y"]))
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    assert distance(session.forward(given), z.detach().numpy()) < 1e-12
    assert float(session.step(given)["loss"]) == pytest.approx(loss.item(), rel=1e-12)
    found = session.state()
    for (theirs, _), gradient in zip(module.named_parameters(), gradients, strict=True):
        name = NAMES[theirs]
        assert distance(state[name] - found[name], gradient.numpy()) < 1e-12, name


@KINDS
def test_a_mask_may_have_gaps_and_leave_nothing(kind: str) -> None:
    """What it leaves out is skipped, wherever it stands; of nothing the state is that of the start."""
    kept = np.random.default_rng(4).integers(0, 2, (N, T)).astype(float)
    kept[0] = 0
    session, given = opened(spec(recurrent(kind))), batch(kept)
    state = session.state()
    module, found = twin(kind, state), session.forward(given)
    weight, bias = torch.tensor(state["out.weight"]), torch.tensor(state["out.bias"])
    for x, mask, z in zip(given["x"], kept, found, strict=True):
        last = torch.zeros(WIDTH, dtype=torch.float64)
        if mask.any():
            last = module(torch.tensor(x[mask == 1])[None])[1][0, 0]
        assert distance(z, functional.linear(last, weight, bias).detach().numpy()) < 1e-12


def test_a_sequence_of_nothing_keeps_the_state_that_it_begins_with() -> None:
    layers: Layers = (
        {"kind": "select", "name": "first", "from": "x"},
        linear("begin", WIDTH),
        {"kind": "gru", "name": "r", "out": WIDTH, "mask": "kept", "from": ("x", "begin")},
    )
    session, given = opened(spec(layers)), batch(np.zeros((N, T)))
    state = session.state()
    begun = given["x"][:, 0] @ state["begin.weight"].T + state["begin.bias"]
    assert np.array_equal(session.forward(given), begun)
    session.step(given)
    moved = {name for name, value in session.state().items() if not np.array_equal(value, state[name])}
    assert moved == {"begin.weight", "begin.bias", "step"}


@pytest.mark.parametrize(
    ("layers", "steps", "path", "message"),
    [
        (
            recurrent("gru"),
            T + 1,
            ("layers", 0, "mask"),
            f"`r` goes along {T} steps, and its mask `kept` has shape [{T + 1}]",
        ),
        (recurrent("rnn", mask="x"), T, ("layers", 0, "mask"), "`x` is no mask"),
        (recurrent("rnn", mask="kep"), T, ("layers", 0, "mask"), "no layer is called `kep`"),
        (
            (linear("a", 3, **{"from": "x"}), *recurrent("gru", mask="a")),
            T,
            ("layers", 1, "mask"),
            "`a` is a layer, and a mask is an input",
        ),
        (
            (
                {"kind": "select", "name": "s", "from": "x"},
                {"kind": "carry", "name": "c", "from": ("s", "s"), "index": T, "mask": "kept"},
            ),
            T,
            ("layers", 1, "mask"),
            f"`c` asks for place {T} of `kept`, which has shape [{T}]",
        ),
        (
            (
                {"kind": "select", "name": "s", "from": "x"},
                {"kind": "carry", "name": "c", "from": ("s", "x"), "index": 0, "mask": "kept"},
            ),
            T,
            ("layers", 1, "from"),
            f"`c` reads two layers of one shape, not [{READS}], [{T}, {READS}]",
        ),
    ],
)
def test_a_mask_that_does_not_fit_is_told(
    layers: Layers, steps: int, path: tuple[Any, ...], message: str
) -> None:
    found = [(d.path, d.message) for d in check(spec(layers, steps=steps))]
    assert [(p, m) for p, m in found if p != ("inputs", "kept")] == [(path, message)]


def test_of_a_block_that_cannot_be_written_out_the_mask_is_one() -> None:
    """One finding, not another about what it reads."""
    layers: Layers = (
        linear("a", 6, **{"from": "x"}),
        {"kind": "attention", "name": "look", "heads": 4, "mask": "kept"},
        MEAN,
        linear("out", 3),
    )
    assert [d.message for d in check(spec(layers))] == ["`look` has 4 heads, which do not divide 6 channels"]


@BACKENDS
def test_direct_feedback_brings_nothing_to_steps_behind_the_end(backend: str) -> None:
    """The error as it stands to each step that counts, and an equal part of it to each token that does."""
    session, given = opened(spec(recurrent("rnn"), {"rule": "dfa"}), backend), batch()
    state, x, kept = session.state(), given["x"], given["kept"]
    h, states = np.zeros((N, WIDTH)), []
    for t in range(T):
        states.append(h)
        said = x[:, t] @ state["r.ih.weight"].T + state["r.ih.bias"]
        new = np.tanh(said + h @ state["r.0.hh.weight"].T + state["r.0.hh.bias"])
        h = np.where(kept[:, t, None] == 1, new, h)
    z = h @ state["out.weight"].T + state["out.bias"]
    e = (np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(3)[given["y"]]) / N
    session.step(given)
    found = session.state()
    to_state = kept[:, :, None] * (e @ state["r.0.hh.feedback.B"].T)[:, None]
    part = kept / kept.sum(1, keepdims=True)
    to_token = part[:, :, None] * (e @ state["r.ih.feedback.B"].T)[:, None]
    own = np.einsum("ntw,tnh->wh", to_state, np.array(states))
    assert distance(state["r.0.hh.weight"] - found["r.0.hh.weight"], own) < 1e-12
    assert distance(state["r.0.hh.bias"] - found["r.0.hh.bias"], to_state.sum((0, 1))) < 1e-12
    read = np.einsum("ntw,ntd->wd", to_token, x)
    assert distance(state["r.ih.weight"] - found["r.ih.weight"], read) < 1e-12
