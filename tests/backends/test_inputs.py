"""Networks with several inputs, and masks: against autograd, and by the laws that masks obey, on each backend."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fac
from fac.backend import Array, Artifact, Session
from fac.diagnostics import FacError
from fac.testing.nets import SGD, linear

BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
N, T, D = 7, 5, 4
RNG = np.random.default_rng(0)
MASK = (np.arange(T) < np.array([[5], [3], [1], [2], [4], [0], [3]])).astype(float)
"""One sample has no place that counts."""
BATCH: dict[str, Array] = {
    "tokens": RNG.standard_normal((N, T, D)),
    "word": RNG.integers(0, 6, N * 2).reshape(N, 2),
    "my-mask": MASK,
    "y": RNG.integers(0, 3, N),
}
LAYERS: tuple[dict[str, Any], ...] = (
    linear("fc1", 6, **{"from": "tokens"}),
    {"kind": "tanh", "name": "h"},
    {"kind": "mean", "name": "average", "axes": (0,), "mask": "my-mask"},
    {"kind": "max", "name": "largest", "from": "h", "axes": (0,), "mask": "my-mask"},
    {"kind": "one_hot", "name": "words", "from": "word", "num_classes": 6},
    {"kind": "flatten", "name": "flat"},
    {"kind": "concat", "from": ("average", "flat", "largest")},
    linear("out", 3),
)


RULES: dict[str, dict[str, Any]] = {
    "bp": {"rule": "bp"},
    "fa": {"rule": "fa"},
    "ldfa": {"rule": "ldfa", "rank": 2},
}


def spec(rule: str) -> dict[str, Any]:
    """Tokens, whole numbers and a mask, whose name is none that Python has."""
    return {
        "fac": 1,
        "name": "three",
        "inputs": {
            "tokens": {"shape": (T, D)},
            "word": {"shape": (2,), "classes": 6},
            "my-mask": {"shape": (T,), "mask": True},
        },
        "layers": LAYERS,
        "loss": {"kind": "cross_entropy"},
        "feedback": RULES[rule],
        "update": SGD,
    }


@cache
def artifact(backend: str, rule: str = "bp") -> Artifact:
    return fac.compile(spec(rule), backend=backend, precision="float64")


def started(backend: str, rule: str = "bp") -> Session:
    """With biases, and the values that the reference draws."""
    session = artifact(backend, rule).open()
    rng = np.random.default_rng(1)
    state = {name: a + 0.1 * rng.standard_normal(a.shape) for name, a in session.state().items() if a.ndim}
    session.load_state(state)
    return session


def by_hand(state: dict[str, Array]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The output and the parameters, in torch."""
    p = {name: torch.tensor(a, requires_grad=True) for name, a in state.items() if a.ndim}
    tokens, mask = torch.tensor(BATCH["tokens"]), torch.tensor(MASK)
    h = torch.tanh(tokens @ p["fc1.weight"].T + p["fc1.bias"])
    average = torch.stack(
        [a[m > 0].mean(0) if m.any() else a.sum(0) * 0 for a, m in zip(h, mask, strict=True)]
    )
    largest = torch.stack(
        [a[m > 0].amax(0) if m.any() else a.sum(0) * 0 for a, m in zip(h, mask, strict=True)]
    )
    words = nn.functional.one_hot(torch.tensor(BATCH["word"]), 6).flatten(1).double()
    z = torch.cat([average, words, largest], 1) @ p["out.weight"].T + p["out.bias"]
    return z, p


@BACKENDS
def test_backpropagation_is_autograd(backend: str) -> None:
    """Loss, output and step, to 1e-12 in float64. A mean over no places, and the largest of none, are 0."""
    session = started(backend)
    z, p = by_hand(session.state())
    loss = nn.functional.cross_entropy(z, torch.tensor(BATCH["y"]))
    loss.backward()  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(session.forward(BATCH), z.detach().numpy(), rtol=1e-12, atol=1e-12)
    assert session.evaluate(BATCH)["loss"] == pytest.approx(loss.item(), rel=1e-12)
    assert float(session.step(BATCH)["loss"]) == pytest.approx(loss.item(), rel=1e-12)
    for name, tensor in p.items():
        assert tensor.grad is not None
        expected = (tensor - SGD["lr"] * tensor.grad).detach().numpy()
        np.testing.assert_allclose(session.state()[name], expected, rtol=1e-12, atol=1e-12, err_msg=name)


@BACKENDS
@pytest.mark.parametrize("rule", RULES)
def test_what_is_masked_changes_nothing(backend: str, rule: str) -> None:
    """Not to the bit: neither outputs nor steps know what stands at places where the mask is 0."""
    session, other = started(backend, rule), started(backend, rule)
    noise = 1e3 * np.random.default_rng(2).standard_normal((N, T, D))
    far = BATCH | {"tokens": BATCH["tokens"] + noise * (1 - MASK[:, :, None])}
    np.testing.assert_array_equal(session.forward(BATCH), other.forward(far))
    assert session.probe(BATCH).keys() == other.probe(far).keys()
    assert float(session.step(BATCH)["loss"]) == float(other.step(far)["loss"])
    for name, array in session.state().items():
        if ".feedback." not in name:
            np.testing.assert_allclose(other.state()[name], array, rtol=1e-9, atol=1e-9, err_msg=name)


@BACKENDS
def test_what_is_placed_is_taken_by_rows(backend: str) -> None:
    session, other = started(backend), started(backend)
    rows = np.array([4, 0, 6, 2])
    placed = {name: session.take(session.place(array), rows) for name, array in BATCH.items()}
    session.step(placed)
    other.step({name: array[rows] for name, array in BATCH.items()})
    for name, array in session.state().items():
        np.testing.assert_array_equal(other.state()[name], array, err_msg=name)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a mask of another shape": (
        {"my-mask": MASK[:, :4]},
        "my-mask has shape [7, 4], but `inputs.my-mask.shape` asks for [7, 5]",
    ),
    "a mask for other samples": (
        {"my-mask": MASK[:6]},
        "my-mask has shape [6, 5], but `inputs.my-mask.shape` asks for [7, 5]",
    ),
    "no mask": (
        {"my-mask": np.where(MASK.cumsum(1) == 4, 0.5, MASK)},
        "my-mask is a mask of 0 and 1, and has 0.5 in sample 0",
    ),
    "no class": (
        {"word": BATCH["word"] + 3 * (np.arange(N) == 4)[:, None] + 3 * (np.arange(N) == 4)[:, None]},
        "word {} of sample 4 at [0] is not in 0..5",
    ),
    "real numbers": (
        {"word": BATCH["word"] * 1.0},
        "word has to hold whole numbers from 0 to 5, not float64",
    ),
    "a misspelt name": (
        {"mymask": MASK},
        "the batch has `mymask`, and `three` is fed with `tokens`, `word`, `my-mask` and `y`; "
        "did you mean `my-mask`?",
    ),
}


@BACKENDS
@pytest.mark.parametrize("case", BAD)
def test_batches_that_do_not_fit(backend: str, case: str) -> None:
    session = started(backend)
    before = session.state()
    wrong, message = BAD[case]
    for call in (session.step, session.evaluate, session.probe, session.forward):
        with pytest.raises(FacError) as caught:
            call({**BATCH, **wrong})
        assert str(caught.value) == message.format(wrong.get("word", [[0]] * N)[4][0])
    assert all((session.state()[name] == before[name]).all() for name in before)


@BACKENDS
def test_a_batch_without_names_or_without_an_input(backend: str) -> None:
    session = started(backend)
    with pytest.raises(FacError) as caught:
        session.step(BATCH["tokens"], BATCH["y"])
    assert str(caught.value) == (
        "`three` is fed with `tokens`, `word`, `my-mask` and `y`: give a mapping from these names to arrays"
    )
    lacking = {name: array for name, array in BATCH.items() if name not in ("word", "y")}
    with pytest.raises(FacError) as caught:
        session.step(lacking)
    assert str(caught.value) == (
        "the batch lacks `word` and `y`: `three` is fed with `tokens`, `word`, `my-mask` and `y`"
    )
    with pytest.raises(FacError) as caught:
        session.forward(lacking)
    assert str(caught.value) == "the batch lacks `word`: `three` is fed with `tokens`, `word` and `my-mask`"


def test_a_written_step_is_called_with_them(tmp_path: Path) -> None:
    """By torch alone, in the order of the spec, under names that Python has."""
    made = artifact("torch")
    made.write(tmp_path)
    source = (tmp_path / "step.py").read_text()
    assert "loss = step(S, B, tokens, word, my_mask, y, lr, t)" in source
    assert "# tokens, my-mask in the type of S, word, labels int64" in source
    session = started("torch")
    script = (
        "import torch, numpy, step, kernels\n"
        "S = {k: torch.from_numpy(a) for k, a in numpy.load('state.npz').items()}\n"
        "given = [torch.from_numpy(a) for a in numpy.load('batch.npz').values()]\n"
        "print(float(step.step(S, step.workspace(S, len(given[0])), *given, 0.1, 0)))\n"
    )
    state: dict[str, Any] = {name: a for name, a in session.state().items() if a.ndim}
    batch: dict[str, Any] = dict(BATCH)
    np.savez(tmp_path / "state.npz", **state)
    np.savez(tmp_path / "batch.npz", **batch)
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert float(ended.stdout) == pytest.approx(float(session.step(BATCH)["loss"]), rel=1e-14)
