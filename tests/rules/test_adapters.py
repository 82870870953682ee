"""Adapters of low rank: what a step moves, against autograd, central differences and NumPy, on every backend."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, cross_entropy, linear

import fac
from fac.backend import Session
from fac.diagnostics import FacError, SpecError
from fac.importing.adapting import merged
from fac.importing.peft import apart
from fac.layers.adapters import lora
from fac.layers.convolution import CONV2D, Conv2d
from fac.layers.linear import LINEAR, Linear
from fac.pipeline import emit, find_backend, lowered
from fac.program.lower import without_adapters
from fac.testing import check_declarations
from tests.rules.nets import SGD, Spec, State, batch, gradients, opened, put, spec

LORA: Spec = {"kind": "lora", "rank": 3, "alpha": 6}
TRANSPOSED = "a `conv_transpose2d` of such settings, can have no adapter"


def layers(adapter: Spec = LORA) -> tuple[Spec, ...]:
    return (
        {"kind": "linear", "name": "fc1", "out": 9, "adapter": adapter},
        {"kind": "tanh"},
        {"kind": "linear", "name": "fc2", "out": 8, "adapter": adapter},
        {"kind": "tanh"},
        {"kind": "linear", "name": "fc3", "out": 4},
    )


def moved_away(session: Session) -> Session:
    """B away from zero, where A would have no gradient."""
    rng = np.random.default_rng(3)
    names = [name for name in session.state() if name.endswith("lora_B.weight")]
    return put(session, {name: 0.4 * rng.standard_normal(session.state()[name].shape) for name in names})


def autograd(state: State, x: Any, y: Any) -> State:
    """Gradients of the same network, in torch."""
    held = {name: torch.tensor(array, requires_grad=True) for name, array in state.items() if name != "step"}

    def adapted(h: torch.Tensor, name: str) -> torch.Tensor:
        base = linear(h, held[f"{name}.base_layer.weight"], held[f"{name}.base_layer.bias"])
        return base + 2 * linear(linear(h, held[f"{name}.lora_A.weight"]), held[f"{name}.lora_B.weight"])

    h = torch.tanh(adapted(torch.tensor(x), "fc1"))
    h = torch.tanh(adapted(h, "fc2"))
    cross_entropy(linear(h, held["fc3.weight"], held["fc3.bias"]), torch.tensor(y)).backward()  # type: ignore[no-untyped-call]
    return {name: value.grad.numpy() for name, value in held.items() if value.grad is not None}


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_a_step_takes_the_gradients_of_autograd_from_adapters_and_nothing_from_their_base(
    backend: str,
) -> None:
    session = moved_away(opened(spec(layers()), backend))
    x, y = batch()
    found, wanted = gradients(session, x, y), autograd(session.state(), x, y)
    for name, gradient in found.items():
        still = ".base_layer." in name
        np.testing.assert_allclose(gradient, 0 if still else wanted[name], atol=1e-12, err_msg=name)
        assert still or np.abs(gradient).max() > 1e-4, name


def test_gradients_are_central_differences() -> None:
    session = moved_away(opened(spec(layers())))
    x, y = batch()
    found, before = gradients(session, x, y), session.state()
    for name in ("fc1.lora_A.weight", "fc2.lora_B.weight"):
        turn = np.random.default_rng(0).standard_normal(before[name].shape)
        losses = []
        for side in (1e-5, -1e-5):
            losses.append(put(session, {name: before[name] + side * turn}).evaluate(x, y)["loss"])
        put(session, before)
        assert np.vdot(found[name], turn) == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-7)


def test_an_error_passes_a_frozen_base_through_low_rank_and_its_adapter_exactly() -> None:
    route = {
        "through": "fc2.base_layer",
        "matrix": {"kind": "low_rank", "rank": 4, "read": {"rule": "fixed"}, "write": {"rule": "fixed"}},
    }
    session = moved_away(opened(spec(layers(), {"routes": [route]})))
    x, y = batch()
    s, found = session.state(), gradients(session, x, y)

    def adapted(h: Any, name: str) -> Any:
        w = s[f"{name}.base_layer.weight"] + 2 * s[f"{name}.lora_B.weight"] @ s[f"{name}.lora_A.weight"]
        return h @ w.T + s[f"{name}.base_layer.bias"]

    h1 = np.tanh(adapted(x, "fc1"))
    h2 = np.tanh(adapted(h1, "fc2"))
    z = h2 @ s["fc3.weight"].T + s["fc3.bias"]
    p = np.exp(z - z.max(1, keepdims=True))
    d3 = (p / p.sum(1, keepdims=True) - np.eye(4)[y]) / len(y)
    d2 = d3 @ s["fc3.weight"] * (1 - h2**2)
    lowered = 2 * d2 @ s["fc2.lora_B.weight"]
    sent = d2 @ s["fc2.base_layer.feedback.P"].T @ s["fc2.base_layer.feedback.Q"].T
    d1 = (sent + lowered @ s["fc2.lora_A.weight"]) * (1 - h1**2)
    wanted = {
        "fc2.lora_B.weight": 2 * d2.T @ (h1 @ s["fc2.lora_A.weight"].T),
        "fc2.lora_A.weight": lowered.T @ h1,
        "fc1.lora_B.weight": 2 * d1.T @ (x @ s["fc1.lora_A.weight"].T),
        "fc1.lora_A.weight": 2 * (d1 @ s["fc1.lora_B.weight"]).T @ x,
    }
    for name, gradient in wanted.items():
        np.testing.assert_allclose(found[name], gradient, atol=1e-13, err_msg=name)


def test_at_first_a_layer_is_what_it_was() -> None:
    with_adapters = fac.compile(spec(layers()), backend="reference")
    plain = tuple({key: value for key, value in layer.items() if key != "adapter"} for layer in layers())
    without = opened(spec(plain))
    session = with_adapters.open()
    state = {name.replace("fc1.", "fc1.base_layer.").replace("fc2.", "fc2.base_layer."): array
             for name, array in without.state().items()}  # fmt: skip
    session.load_state(session.state() | state)
    x, _ = batch()
    np.testing.assert_array_equal(session.forward(x), without.forward(x))
    a = session.state()["fc1.lora_A.weight"]
    assert np.abs(a).max() < 1 / np.sqrt(7) < 1.2 * np.abs(a).max(), "U(-b, b), b = 1/sqrt(in)"


def test_a_convolution_has_an_adapter_of_its_own_window() -> None:
    conv = {"kind": "conv2d", "name": "c", "out": 5, "kernel": 3, "stride": 2, "padding": 1, "adapter": LORA}
    net = (
        {"kind": "reshape", "shape": [2, 6, 5]},
        conv,
        {"kind": "tanh"},
        {"kind": "flatten"},
        {"kind": "linear", "name": "out", "out": 4},
    )
    session = moved_away(opened(spec(net, inputs=60)))
    s, (x, y) = session.state(), batch(inputs=60)
    held = {name: torch.tensor(array, requires_grad=True) for name, array in s.items() if name != "step"}
    maps = torch.tensor(x).reshape(-1, 2, 6, 5)
    low = conv2d(maps, held["c.lora_A.weight"], stride=2, padding=1)
    h = conv2d(maps, held["c.base_layer.weight"], held["c.base_layer.bias"], stride=2, padding=1)
    h = torch.tanh(h + 2 * conv2d(low, held["c.lora_B.weight"])).flatten(1)
    cross_entropy(linear(h, held["out.weight"], held["out.bias"]), torch.tensor(y)).backward()  # type: ignore[no-untyped-call]
    found = gradients(session, x, y)
    for name in ("c.lora_A.weight", "c.lora_B.weight", "out.weight"):
        grad = held[name].grad
        assert grad is not None
        np.testing.assert_allclose(found[name], grad.numpy(), atol=1e-13)
    program = lowered(spec(net, inputs=60))
    without = merged(program, s)
    plain = tuple({key: value for key, value in layer.items() if key != "adapter"} for layer in net)
    back = fac.compile(spec(plain, inputs=60), backend="reference").open(without, derive=True)
    np.testing.assert_allclose(back.forward(x), session.forward(x), atol=1e-13)


def test_a_program_goes_without_its_adapters_whatever_else_names_them() -> None:
    layer = {"kind": "linear", "name": "fc", "out": 7, "adapter": LORA}
    net = (
        {
            "kind": "repeat",
            "name": "deep",
            "times": 2,
            "tie": True,
            "body": [layer, {"kind": "tanh", "name": "act"}],
        },
        layer | {"name": "again", "tie": "deep.0.fc"},
        {"kind": "batch_norm", "name": "norm"},
        {"kind": "linear", "name": "out", "out": 4},
    )
    low = {"kind": "low_rank", "rank": 2, "read": {"rule": "fixed"}, "write": {"rule": "fixed"}}
    feedback = {"routes": [{"through": "deep.1.fc.base_layer", "matrix": low}]}
    update = SGD | {"momentum": 0.9, "groups": [{"match": "*.lora_A.*", "lr_scale": 2.0}]}
    of = spec(net, feedback, update) | {"adapters": [LORA | {"match": "out", "freeze": False}]}
    program, session, (x, y) = lowered(of), moved_away(opened(of)), batch()
    session.step(x, y, lr=0.1)
    plain = without_adapters(program)
    assert [node.name for node in plain.nodes] == [
        "deep.0.fc", "deep.0.act", "deep.1.fc", "deep.1.act", "again", "norm", "out"
    ]  # fmt: skip
    backend = find_backend("reference")
    back = emit(plain, backend, "float64").open(merged(program, session.state()), derive=True)
    np.testing.assert_allclose(back.forward(x), session.forward(x), atol=1e-13)
    with pytest.raises(FacError, match=r"lies under an adapter, and `out.bias`, `out.weight` moved"):
        apart(program, session.state(), "float64")


@pytest.mark.parametrize("adapters", [{}, {"adapter": LORA | {"alpha": 1}}])
@pytest.mark.parametrize("turned", [False, True])
def test_a_weight_that_is_shared_without_its_adapter_is_not_merged(adapters: Spec, turned: bool) -> None:
    fc: Spec = {"kind": "linear", "out": 7}
    own = [{"adapter": LORA}, adapters]
    first, second = own[::-1] if turned else own
    net = (fc | first | {"name": "fc"}, fc | second | {"name": "again", "tie": "fc"}, fc | {"out": 4})
    session = opened(spec(net))
    with pytest.raises(FacError, match="`again` and `fc` share a weight and not its adapter"):
        merged(lowered(spec(net)), session.state())


def test_merged_weights_make_the_same_network() -> None:
    session = moved_away(opened(spec(layers())))
    program = lowered(spec(layers()))
    arrays = merged(program, session.state())
    plain = tuple({key: value for key, value in layer.items() if key != "adapter"} for layer in layers())
    x, _ = batch()
    back = fac.compile(spec(plain), backend="reference").open(arrays, derive=True)
    np.testing.assert_allclose(back.forward(x), session.forward(x), atol=1e-13)


def test_adapters_apart_are_called_as_peft_calls_them() -> None:
    net = (layers()[0], *layers({"kind": "lora", "rank": 2})[1:])
    session = opened(spec(net))
    kept = apart(lowered(spec(net)), session.state(), "float64")
    assert {name: array.shape for name, array in kept.arrays.items()} == {
        "base_model.model.fc3.weight": (4, 8),
        "base_model.model.fc3.bias": (4,),
        "base_model.model.fc1.lora_A.weight": (3, 7),
        "base_model.model.fc1.lora_B.weight": (9, 3),
        "base_model.model.fc2.lora_A.weight": (2, 9),
        "base_model.model.fc2.lora_B.weight": (8, 2),
    }
    for said in ('"r": 3', '"lora_alpha": 6.0', '"target_modules": "fc1|fc2"', '"^fc2$": 2', '"^fc2$": 2.0'):
        assert said in kept.config
    assert (kept.adapted, kept.modules) == (("fc1", "fc2"), ("fc3",))
    assert json.loads(kept.config)["modules_to_save"] == ["fc3"]


def test_what_moved_beside_adapters_is_kept_whole_and_what_stayed_is_not() -> None:
    """The same numbers from arrays of before the training and those of the files, as PEFT puts them together."""
    net = (
        {"kind": "linear", "name": "fc", "out": 6, "adapter": LORA},
        {"kind": "batch_norm", "name": "norm", "affine": False},
        {"kind": "linear", "name": "still", "out": 6, "trainable": False},
        {"kind": "batch_norm", "name": "frozen", "trainable": False},
        {"kind": "linear", "name": "half", "out": 5},
        {"kind": "linear", "name": "half_too", "out": 4, "adapter": LORA},
    )
    update = SGD | {"groups": [{"match": "half.weight", "trainable": False}]}
    of = spec(net, update=update)
    program, session, (x, y) = lowered(of), moved_away(opened(of)), batch()
    before = session.state()
    session.step(x, y, lr=0.1)
    session.step(x, y, lr=0.1)
    kept = apart(program, session.state(), "float64")
    assert (kept.adapted, kept.modules) == (("fc", "half_too"), ("half", "norm"))
    arrays = {key.removeprefix("base_model.model."): array for key, array in kept.arrays.items()}
    assert arrays.pop("norm.num_batches_tracked") == 2
    assert set(arrays) <= set(before)
    assert set(arrays) - {n for n, a in before.items() if not np.array_equal(a, session.state()[n])} == {
        "half.weight"
    }
    back = opened(of)
    np.testing.assert_array_equal(put(back, before | arrays).forward(x), session.forward(x))


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (("fc", "rest"), {"freeze": False}, "lies under an adapter, and `fc.bias`, `fc.weight` moved"),
        (("deep_out", "out"), {}, "as `out`, in which something moved, it would take `deep_out`, too"),
        (("fc", "layer"), {}, "as `layer`, in which something moved, it would take `fc.base_layer`, too"),
        (
            ("fc", "out"),
            {},
            "it would take `fc.lora_dropout`, too: give the layer a name that ends otherwise",
        ),
    ],
)
def test_what_peft_cannot_keep_is_refused(names: tuple[str, str], settings: Spec, message: str) -> None:
    net = (
        {"kind": "linear", "name": names[0], "out": 6, "adapter": LORA | settings},
        {"kind": "linear", "name": names[1], "out": 4},
    )
    with pytest.raises(FacError, match=re.escape(message)):
        apart(lowered(spec(net)), opened(spec(net)).state(), "float64")


def test_files_of_peft_have_the_keys_of_the_module() -> None:
    net = (
        {"kind": "linear", "name": "fc", "out": 6, "adapter": LORA},
        {"kind": "linear", "name": "again", "out": 6, "tie": "fc", "adapter": LORA},
        {"kind": "linear", "name": "fc3", "out": 4},
    )
    of = spec(net, inputs=6)
    keys: list[Spec] = [
        {"array": "fc.weight", "key": ["a.weight", "b.weight"]},
        {"array": "fc.bias", "key": ["a.bias", "b.bias"]},
        {"array": "fc3.weight", "key": "head.w", "transpose": True},
        {"array": "fc3.bias", "key": "head.b"},
    ]
    state = opened(of).state()
    plain = apart(lowered(of), state, "float64")
    assert (plain.adapted, plain.modules) == (("fc", "again"), ("fc3",))
    kept = apart(lowered(of | {"state_dict": keys}), state, "float64")
    assert (kept.adapted, kept.modules) == (("a", "b"), ("head",))
    np.testing.assert_array_equal(kept.arrays["base_model.model.head.w"], state["fc3.weight"].T)
    for module in "ab":
        np.testing.assert_array_equal(
            kept.arrays[f"base_model.model.{module}.lora_A.weight"], state["fc.lora_A.weight"]
        )
    assert len(kept.arrays) == 6
    keys[0] = keys[0] | {"key": "all_in_one"}
    with pytest.raises(FacError, match="`fc`, `again` is none of its own in the `state_dict`"):
        apart(lowered(of | {"state_dict": keys}), state, "float64")


def test_adapters_by_glob_reach_layers_within_blocks() -> None:
    body = [{"kind": "layer_norm"}, {"kind": "mlp", "name": "mlp"}]
    net = (
        {"kind": "sequence", "name": "body", "trainable": False, "body": body},
        {"kind": "linear", "name": "out", "out": 4, "adapter": {"kind": "lora", "rank": 1, "freeze": False}},
    )
    of = spec(net) | {
        "adapters": [LORA | {"match": "*", "rank": 5}, LORA | {"match": "body.*.fc2", "rank": 2}]
    }
    program = lowered(of)
    assert {layer.name: layer.adapter.rank for layer in program.adapted} == {
        "body.mlp.fc1": 5, "body.mlp.fc2": 2, "out": 1
    }  # fmt: skip
    session = moved_away(opened(of))
    taken = gradients(session, *batch())
    learns = {name for name, gradient in taken.items() if np.abs(gradient).max() > 1e-9}
    parts = {f"body.mlp.{fc}.lora_{side}.weight" for fc in ("fc1", "fc2") for side in "AB"}
    out = ("base_layer.weight", "base_layer.bias", "lora_A.weight", "lora_B.weight")
    assert learns == parts | {f"out.{name}" for name in out}


def test_layers_that_share_parameters_share_adapters() -> None:
    layer = {"kind": "linear", "name": "fc", "out": 7, "adapter": LORA}
    net = (
        {"kind": "repeat", "name": "deep", "times": 2, "tie": True, "body": [layer, {"kind": "tanh"}]},
        {"kind": "linear", "name": "again", "out": 7, "tie": "deep.0.fc"},
        {"kind": "linear", "name": "fc3", "out": 4},
    )
    names = opened(spec(net)).state().keys() - {"step", "fc3.weight", "fc3.bias"}
    parts = ("base_layer.bias", "base_layer.weight", "lora_A.weight", "lora_B.weight")
    assert names == {f"deep.0.fc.{part}" for part in parts}


def test_what_a_kind_says_of_its_adapters_is_held() -> None:
    wrong = {
        "changes the layer": lora(
            lambda _, rank: Linear(out=rank, bias=False), lambda of: Linear(out=of.out, bias=False)
        ),
        "more than a weight": lora(
            lambda _, rank: Linear(out=rank), lambda of: Linear(out=of.out, init="zeros")
        ),
        "is not what": lora(
            lambda _, rank: Linear(out=rank, bias=False),
            lambda of: Linear(out=of.out + 1, bias=False, init="zeros"),
        ),
    }
    for said, made in wrong.items():
        with pytest.raises(AssertionError, match=said):
            check_declarations(replace(LINEAR, lora=made), Linear(out=5))
    check_declarations(LINEAR, Linear(out=5))
    check_declarations(CONV2D, Conv2d(out=3, kernel=3, stride=2, padding=1), [(2, 6, 5)])


def test_what_can_have_no_adapter_is_refused() -> None:
    for kind, said in {
        "conv_transpose2d": TRANSPOSED,
        "conv2d": "a `conv2d` of such settings, can have no",
    }.items():
        conv = {"kind": kind, "name": "c", "out": 2, "kernel": 2, "groups": 2, "adapter": LORA}
        net = (
            {"kind": "reshape", "shape": [2, 4, 4]},
            conv,
            {"kind": "flatten"},
            {"kind": "linear", "out": 4},
        )
        with pytest.raises(SpecError, match=said):
            lowered(spec(net, inputs=32))
    with pytest.raises(FacError, match="no layer that can have an adapter matches `fc9`"):
        lowered(spec(layers()) | {"adapters": [LORA | {"match": "fc9"}]})


def test_feedback_of_an_adapter_is_drawn_as_its_a_is_and_teaches_it() -> None:
    session = opened(spec(layers(), {"rule": "fa"}))
    s, (x, y) = session.state(), batch()
    for fc in ("fc1", "fc2"):
        b = s[f"{fc}.lora_B.feedback.B"]
        assert np.abs(b).max() < 1 / np.sqrt(3) < 1.2 * np.abs(b).max(), "U(-b, b), b = 1/sqrt(rank)"
        assert not s[f"{fc}.lora_B.weight"].any()
    found = gradients(session, x, y)
    h1 = np.tanh(x @ s["fc1.base_layer.weight"].T + s["fc1.base_layer.bias"])
    h2 = np.tanh(h1 @ s["fc2.base_layer.weight"].T + s["fc2.base_layer.bias"])
    z = h2 @ s["fc3.weight"].T + s["fc3.bias"]
    p = np.exp(z - z.max(1, keepdims=True))
    d3 = (p / p.sum(1, keepdims=True) - np.eye(4)[y]) / len(y)
    d2 = d3 @ s["fc3.feedback.B"] * (1 - h2**2)
    a2 = 2 * d2 @ s["fc2.lora_B.feedback.B"]
    d1 = (d2 @ s["fc2.base_layer.feedback.B"] + a2 @ s["fc2.lora_A.feedback.B"]) * (1 - h1**2)
    wanted = {"fc2.lora_A": a2.T @ h1, "fc1.lora_A": (2 * d1 @ s["fc1.lora_B.feedback.B"]).T @ x}
    for name, gradient in wanted.items():
        np.testing.assert_allclose(found[f"{name}.weight"], gradient, atol=1e-13, err_msg=name)
        assert np.abs(gradient).max() > 1e-3


def trained(rule: Spec) -> tuple[State, State, float]:
    """The state before and after, and the loss, of labels that are linear in x."""
    x, _ = batch(64)
    y = (x @ np.random.default_rng(2).standard_normal((7, 4))).argmax(1)
    session = opened(spec(layers(), rule, SGD | {"weight_decay": 1e-4}))
    before = session.state()
    for _ in range(200):
        loss = session.step(x, y, lr=0.05)["loss"]
    return before, session.state(), loss


@cache
def alone() -> float:
    """The loss to which the last layer comes."""
    return trained({"rule": "shallow"})[2]


@pytest.mark.parametrize(
    "rule",
    [
        {"rule": "fa"},
        {"rule": "fa", "learn": {"rule": "kolen_pollack"}},
        {"rule": "dfa"},
        {"rule": "usf"},
        {"rule": "frsf"},
        {"rule": "brsf"},
        {"rule": "ldfa", "rank": 3, "learn": "normative"},
    ],
    ids=lambda rule: "-".join(map(str, rule.values())),
)
def test_rules_that_replace_errors_train_adapters(rule: Spec) -> None:
    """To a lower loss than the last layer comes to alone."""
    before, after, loss = trained(rule)
    for fc in ("fc1", "fc2"):
        assert np.abs(after[f"{fc}.lora_A.weight"] - before[f"{fc}.lora_A.weight"]).max() > 5e-3
        np.testing.assert_array_equal(after[f"{fc}.base_layer.weight"], before[f"{fc}.base_layer.weight"])
    assert loss < 0.9 * alone()


def test_factors_of_an_adapter_that_starts_with_zeros_are_orthonormal_rows_and_zeros() -> None:
    session = opened(spec(layers(), {"rule": "ldfa", "rank": 2, "learn": "normative"}))
    s = session.state()
    p = s["fc1.lora_B.feedback.P"]
    np.testing.assert_allclose(p @ p.T, np.eye(2), atol=1e-12)
    assert not s["fc1.lora_B.feedback.Q"].any()


def test_a_direct_error_enters_behind_the_curve_of_a_layer_with_an_adapter() -> None:
    """E = e B^T stands for the error of tanh(fc1), as it does where fc1 has no adapter."""
    session = opened(spec(layers(), {"rule": "dfa"}))
    s, (x, y) = session.state(), batch()
    found = gradients(session, x, y)
    h1 = np.tanh(x @ s["fc1.base_layer.weight"].T + s["fc1.base_layer.bias"])
    e = session.errors(x, y)["fc3"]
    d1 = e @ s["fc1.base_layer.feedback.B"].T * (1 - h1**2)
    np.testing.assert_allclose(
        found["fc1.lora_B.weight"], 2 * d1.T @ (x @ s["fc1.lora_A.weight"].T), atol=1e-13
    )
