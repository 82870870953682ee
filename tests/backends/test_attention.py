"""Attention against PyTorch's own, in float64: `MultiheadAttention` with its weights, and grouped queries."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fac
from fac.step.builder import Builder
from fac.step.random import bernoulli
from fac.step.types import Batch, DType, Type
from fac_reference.interpreter import run
from fac_torch import attention_kernels, kernels

N, T, D, MEMORY, HEADS = 3, 5, 12, 6, 3
M = TypeVar("M", bound=nn.Module)
BACKENDS = ("reference", "torch", "onnx")
TOLERANCE = 1e-10
LR = 0.5


def spec(*layers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Tokens [T, D], whose sum of squared distances to targets is minimised by plain descent."""
    return {
        "fac": 1,
        "name": "tokens",
        "input": {"shape": (T, D)},
        "layers": layers,
        "loss": {"kind": "mse"},
        "feedback": {"rule": "bp"},
        "update": {"rule": "sgd", "lr": LR},
    } | fields


def moved(data: dict[str, Any], backend: str, x: Any, y: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """What a network makes, its state, and the gradient of each parameter, read off a step."""
    session = fac.compile(data, backend, precision="float64").open()
    before, made = session.state(), session.forward(x)
    session.step(x, y)
    after = session.state()
    return made, before, {k: (v - after[k]) / LR for k, v in before.items() if k != "step"}


def samples() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, T, D)), rng.standard_normal((N, T, D))


def loaded(module: M, state: dict[str, Any]) -> M:
    """The module with these parameters, as they are."""
    given = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
    module.double().load_state_dict(given, strict=True)
    return module


def names(state: dict[str, Any], fused: bool) -> dict[str, Any]:
    """The parameters of the block `attn` as those of a MultiheadAttention."""
    found = {
        "out_proj.weight": state["attn.proj.weight"],
        "out_proj.bias": state["attn.proj.bias"],
    }
    if fused:
        return found | {"in_proj_weight": state["attn.qkv.weight"], "in_proj_bias": state["attn.qkv.bias"]}
    found |= {f"{part}_proj_weight": state[f"attn.{part}.weight"] for part in "qkv"}
    return found | {"in_proj_bias": np.concatenate([state[f"attn.{part}.bias"] for part in "qkv"])}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize("memory", [None, MEMORY], ids=["self", "cross"])
def test_it_is_multihead_attention(backend: str, causal: bool, memory: int | None) -> None:
    """Outputs, the gradients of the parameters, and the error that arrives below, by the gradient of `fc`."""
    attention = {"kind": "attention", "name": "attn", "heads": HEADS, "causal": causal}
    layers: tuple[dict[str, Any], ...] = ({"kind": "linear", "name": "fc", "out": D},)
    if memory:
        seen = {"kind": "linear", "name": "memory", "out": memory, "from": "input"}
        layers += (seen, attention | {"from": ("fc", "memory")})
    else:
        layers += (attention,)
    x, y = samples()
    made, state, gradients = moved(spec(*layers), backend, x, y)
    own = nn.MultiheadAttention(D, HEADS, batch_first=True, kdim=memory, vdim=memory)
    module = loaded(own, names(state, fused=not memory))
    below = loaded(nn.Linear(D, D), {"weight": state["fc.weight"], "bias": state["fc.bias"]})
    parameters = {**dict(module.named_parameters()), "fc.weight": below.weight}
    h = below(torch.from_numpy(x))
    key = h
    if memory:
        other = loaded(nn.Linear(D, memory), {"weight": state["memory.weight"], "bias": state["memory.bias"]})
        parameters["memory.weight"] = other.weight
        key = other(torch.from_numpy(x))
    later = torch.ones(T, T, dtype=torch.bool).triu(1) if causal else None
    output, _ = module(h, key, key, attn_mask=later, need_weights=False)
    np.testing.assert_allclose(made, output.detach().numpy(), rtol=0, atol=TOLERANCE)
    loss = F.mse_loss(output, torch.from_numpy(y))
    expected = torch.autograd.grad(loss, list(parameters.values()))
    found = names(gradients, fused=not memory) | gradients
    for name, gradient in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(found[name], gradient.numpy(), rtol=0, atol=TOLERANCE, err_msg=name)


def rotated(x: Tensor, base: float) -> Tensor:
    """[N, heads, T, d]: channels i and i + d / 2 as a complex number, turned."""
    half = x.shape[3] // 2
    pairs = torch.complex(x[..., :half], x[..., half:])
    speed = base ** -(torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(x.shape[2], dtype=torch.float64)[:, None] * speed
    turned = pairs * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([turned.real, turned.imag], -1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("heads", "rotary"), [(6, None), (6, 30.0), (3, 30.0)])
def test_grouped_queries_are_those_of_scaled_dot_product_attention(
    backend: str, heads: int, rotary: float | None
) -> None:
    """3 heads of queries on each of keys; `fused` says nothing of the numbers.

    Heads 4 wide have two pairs of channels, of which the second turns as the base says.
    """
    settings = {"heads": heads, "kv_heads": heads // 3, "causal": True, "bias": False, "rotary": rotary}
    x, y = samples()
    for fused in (True, False):
        attention = {"kind": "attention", "name": "attn", "fused": fused, **settings}
        made, state, gradients = moved(spec(attention), backend, x, y)
        given = torch.from_numpy(x)
        if fused:
            whole = torch.from_numpy(state["attn.qkv.weight"])
            weights = [w.clone().requires_grad_() for w in torch.tensor_split(whole, [D, D + D // 3])]
        else:
            weights = [torch.from_numpy(state[f"attn.{p}.weight"].copy()).requires_grad_() for p in "qkv"]
        q, k, v = ((given @ w.T).reshape(N, T, -1, D // heads).transpose(1, 2) for w in weights)
        if rotary:
            q, k = rotated(q, rotary), rotated(k, rotary)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        output = out.transpose(1, 2).flatten(2) @ torch.from_numpy(state["attn.proj.weight"]).T
        np.testing.assert_allclose(made, output.detach().numpy(), rtol=0, atol=TOLERANCE)
        parts = torch.autograd.grad(F.mse_loss(output, torch.from_numpy(y)), weights)
        found = (
            np.split(gradients["attn.qkv.weight"], [D, D + D // 3])
            if fused
            else [gradients[f"attn.{p}.weight"] for p in "qkv"]
        )
        for one, gradient in zip(found, parts, strict=True):
            np.testing.assert_allclose(one, gradient.numpy(), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_turn_is_that_of_complex_numbers(backend: str) -> None:
    x, y = samples()
    turn = {"kind": "rotary", "name": "turn", "heads": 3, "base": 30.0}
    made, state, _ = moved(spec({"kind": "linear", "name": "fc", "out": D}, turn), backend, x, y)
    given = x @ state["fc.weight"].T + state["fc.bias"]
    expected = rotated(torch.from_numpy(given).reshape(N, T, 3, 4).transpose(1, 2), 30.0)
    np.testing.assert_allclose(made, expected.transpose(1, 2).flatten(2).numpy(), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_places_of_a_longer_table_are_added_and_learn(backend: str) -> None:
    x, y = samples()
    layer = {"kind": "positional_embedding", "name": "places", "length": T + 3}
    made, state, gradients = moved(spec(layer), backend, x, y)
    table = state["places.weight"]
    np.testing.assert_allclose(made, x + table[:T], rtol=0, atol=TOLERANCE)
    expected = np.zeros_like(table)
    expected[:T] = 2 * (x + table[:T] - y).sum(0) / y.size
    np.testing.assert_allclose(gradients["places.weight"], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_class_token_stands_before_the_others(backend: str) -> None:
    x, _ = samples()
    y = np.random.default_rng(1).standard_normal((N, T + 1, D))
    made, state, gradients = moved(spec({"kind": "class_token", "name": "first"}), backend, x, y)
    token = state["first.weight"].reshape(D)
    np.testing.assert_allclose(made[:, 0], np.tile(token, (N, 1)), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(made[:, 1:], x, rtol=0, atol=TOLERANCE)
    expected = 2 * (token - y[:, 0]).sum(0) / y.size
    np.testing.assert_allclose(gradients["first.weight"].reshape(D), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_causal_attention_makes_of_a_token_knows_nothing_of_later_ones(backend: str) -> None:
    """To the bit, but for what `Gemm` makes of other rows beside it."""
    attention = {"kind": "attention", "name": "attn", "heads": HEADS, "causal": True}
    session = fac.compile(spec(attention, attention | {"name": "again"}), backend, precision="float64").open()
    x, other = samples()
    for t in range(T - 1):
        changed = np.concatenate([x[:, : t + 1], other[:, t + 1 :]], 1)
        found, expected = session.forward(changed), session.forward(x)
        np.testing.assert_allclose(found[:, : t + 1], expected[:, : t + 1], rtol=0, atol=1e-14)
        assert np.abs(found - expected)[:, t + 1 :].max() > 1e-3


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_products_written_out_make_what_the_fused_kernel_makes(
    masked: bool, causal: bool, dtype: torch.dtype, monkeypatch: Any
) -> None:
    """The other kernel is for other devices, and for a torch that has lost the first."""
    generator = torch.Generator().manual_seed(0)
    q, k, v, g = (torch.randn(N, T, w, generator=generator, dtype=dtype) for w in (12, 6, 6, 12))
    mask = (torch.rand(N, T, generator=generator) < 0.5).to(dtype) if masked else None
    if mask is not None:
        mask[0] = 0  # nobody sees anything

    def answers() -> list[Tensor]:
        made = kernels.attend_with_logsum(q, k, v, mask, 4, 2, causal)
        return [made[0], *kernels.attend_back(g, q, k, v, mask, *made, 4, 2, causal)]

    assert attention_kernels.FUSED, "else the two are one"
    fused = answers()
    monkeypatch.setattr(attention_kernels, "FUSED", False)
    near = 1e-13 if dtype == torch.float64 else 2e-6
    for one, other in zip(fused, answers(), strict=True):
        assert one.is_contiguous()
        torch.testing.assert_close(one, other, rtol=0, atol=near)
        assert not masked or not one[0].any()


def test_the_fused_kernel_multiplies_in_full_and_puts_the_setting_back(monkeypatch: Any) -> None:
    """A session on AMD computes at `medium`, at which this one kernel is four times slower."""
    seen: list[str] = []
    real = torch.set_float32_matmul_precision

    def spied(mode: str) -> None:
        seen.append(mode)
        real(mode)

    monkeypatch.setattr(torch, "set_float32_matmul_precision", spied)
    q = torch.ones(N, T, D)
    with torch.inference_mode():
        real("medium")
        try:
            made = kernels.attend_with_logsum(q, q, q, None, HEADS, HEADS, False)
            kernels.attend_back(q, q, q, q, None, *made, HEADS, HEADS, False)
            assert torch.get_float32_matmul_precision() == "medium"
        finally:
            real("highest")
    assert seen == ["highest", "medium"] * 2


def test_a_step_makes_the_derivatives_together() -> None:
    """One kernel for each attention, which reads what the forward one has kept."""
    attention = {"kind": "attention", "name": "attn", "heads": HEADS}
    source = fac.compile(spec(attention, attention | {"name": "again"}), "torch").source  # type: ignore[attr-defined]
    step = source[source.index("def step") : source.index("def forward")]
    calls = [
        line.split("kernels.")[1].split("(")[0] for line in step.splitlines() if "kernels.attend" in line
    ]
    assert calls == ["attend_with_logsum"] * 2 + ["attend_back"] * 2
    # The error of queries, keys and values is not a sum of each among zeros.
    assert (step.count("torch.cat("), step.count("kernels.pad(")) == (2, 0)


@pytest.mark.parametrize("learns", ["q", "k", "v", "qv"])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_step_that_needs_some_of_the_derivatives(learns: str, mixed: bool) -> None:
    """As the reference has it; where two attentions look with the same queries, each has its own errors."""
    parts = [
        {"kind": "linear", "name": name, "out": D, "from": "input", "trainable": name in learns}
        for name in "qkv"
    ]
    look = {"kind": "attend", "heads": HEADS, "from": ("q", "k", "v")}
    ends = ({"kind": "tanh"}, {"kind": "add", "from": ("two", "tanh_1")}) if mixed else ()
    layers = (*parts, look | {"name": "two", "causal": True}, look | {"name": "one"}, *ends)
    layers = layers if mixed else (*layers[:3], layers[4])
    x, y = samples()
    (_, _, found), (_, _, expected) = (
        moved(spec(*layers), backend, x, y) for backend in ("torch", "reference")
    )
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, rtol=0, atol=1e-13, err_msg=name)
        # What is added to all keys changes no shares: the gradient of its bias is rounding.
        assert gradient.any() == (name[0] in learns) or name == "k.bias"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("causal", [False, True])
def test_nobody_looks_at_what_is_masked(backend: str, causal: bool) -> None:
    """As PyTorch has it by `key_padding_mask`; and who sees nothing reads zeros, where PyTorch says NaN."""
    attention = {"kind": "attention", "name": "attn", "heads": HEADS, "causal": causal, "mask": "shown"}
    inputs = {"tokens": {"shape": (T, D)}, "shown": {"shape": (T,), "mask": True}}
    data = spec({"kind": "linear", "name": "fc", "out": D}, attention) | {"inputs": inputs}
    del data["input"]
    session = fac.compile(data, backend, precision="float64").open()
    state = session.state()
    x, y = samples()
    shown = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1], [1, 0, 0, 0, 0]], float)
    module = loaded(nn.MultiheadAttention(D, HEADS, batch_first=True), names(state, fused=True))
    below = loaded(nn.Linear(D, D), {"weight": state["fc.weight"], "bias": state["fc.bias"]})
    h = below(torch.from_numpy(x))
    later = torch.ones(T, T, dtype=torch.bool).triu(1) if causal else None
    hidden = torch.from_numpy(shown == 0)
    output, _ = module(h, h, h, attn_mask=later, key_padding_mask=hidden, need_weights=False)
    made = session.forward({"tokens": x, "shown": shown})
    np.testing.assert_allclose(made, output.detach().numpy(), rtol=0, atol=TOLERANCE)
    loss = F.mse_loss(output, torch.from_numpy(y))
    expected = torch.autograd.grad(loss, [module.in_proj_weight, below.weight])
    session.step({"tokens": x, "shown": shown, "y": y})
    after = session.state()
    for name, gradient in zip(("attn.qkv.weight", "fc.weight"), expected, strict=True):
        found = (state[name] - after[name]) / LR
        np.testing.assert_allclose(found, gradient.numpy(), rtol=0, atol=TOLERANCE, err_msg=name)
    nothing = session.forward({"tokens": x, "shown": 0 * shown})
    np.testing.assert_allclose(nothing - session.state()["attn.proj.bias"], 0, rtol=0, atol=1e-15)
    session.step({"tokens": x, "shown": 0 * shown, "y": y})
    assert all(np.isfinite(array).all() for array in session.state().values())


@pytest.mark.parametrize("backend", BACKENDS)
def test_shares_are_dropped_by_the_hash_of_the_layer(backend: str) -> None:
    """Against autograd with the mask written out: outputs of training by their loss, and gradients."""
    settings = {"heads": HEADS, "causal": True, "dropout": 0.4}
    x, y = samples()
    _, state, gradients = moved(
        spec({"kind": "linear", "name": "qkv", "out": 3 * D}, {"kind": "attend", "name": "look", **settings}),
        backend,
        x,
        y,
    )
    b = Builder()
    b.input("x", Type((Batch(), 1)))
    drawn = bernoulli(b, (Batch(), HEADS, T, T), 0.6, 0, "look", b.scalar("step", DType.INT))
    function = b.finish("mask", {"mask": drawn})
    mask = torch.from_numpy(run(function, {"x": np.zeros((N, 1)), "step": 0}, np.dtype(float))["mask"])
    assert 0 < mask.mean() < 1
    layer = loaded(nn.Linear(D, 3 * D), {part: state[f"qkv.{part}"] for part in ("weight", "bias")})
    q, k, v = (
        part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in layer(torch.from_numpy(x)).chunk(3, 2)
    )
    z = (q @ k.transpose(2, 3) / (D // HEADS) ** 0.5).masked_fill(
        torch.ones(T, T, dtype=torch.bool).triu(1), -torch.inf
    )
    output = (torch.softmax(z, 3) * mask / 0.6 @ v).transpose(1, 2).flatten(2)
    expected = torch.autograd.grad(F.mse_loss(output, torch.from_numpy(y)), [layer.weight, layer.bias])
    for part, gradient in zip(("weight", "bias"), expected, strict=True):
        np.testing.assert_allclose(gradients[f"qkv.{part}"], gradient.numpy(), rtol=0, atol=TOLERANCE)
