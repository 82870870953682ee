"""The emitted module as text: golden, straight-line, frugal with buffers, and true to names that specs may choose."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fac.pipeline import compile
from fac.testing.nets import NET, RELU, Data, batch, conv2d, linear, mlp, spec
from fac.testing.rules import RULES, UPDATES, crossed, pairs
from fac_torch import emit
from fac_torch.emit import Emitter
from tests.passes.golden import matches

MOMENTUM = UPDATES["momentum"]


def source(data: Data) -> str:
    artifact: Any = compile(data, backend="torch", precision="float64")
    text: str = artifact.source
    return text


def function_in(text: str, name: str) -> ast.FunctionDef:
    return next(f for f in ast.parse(text).body if isinstance(f, ast.FunctionDef) and f.name == name)


def test_golden() -> None:
    layers = (linear("fc1", 4), RELU, {"kind": "dropout", "rate": 0.25}, linear("out", 3))
    data = spec(layers, {"rule": "ldfa", "rank": 2}, MOMENTUM, probes=({"kind": "feedback_alignment"},))
    compiled = compile(data, backend="torch").compiled
    fixed = replace(compiled, spec_hash="0123456789abcdef", version="1.2.3")
    matches(Path(__file__).with_name("step.py.txt"), emit.source(fixed, "float32"))


# -- straight-line --------------------------------------------------------------------------------------------------

CONTROL = (
    ast.For, ast.While, ast.If, ast.IfExp, ast.With, ast.Try, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.GeneratorExp, ast.Yield, ast.Await, ast.Global, ast.Nonlocal, ast.Raise, ast.Assert, ast.AugAssign,
)  # fmt: skip
AUTOGRAD = {"backward", "grad", "requires_grad", "requires_grad_", "autograd", "detach", "Variable", "nn"}


def calls(node: ast.AST) -> int:
    return sum(isinstance(child, ast.Call) for child in ast.walk(node))


def test_what_is_written_for_a_layer_in_a_block_bears_its_full_name() -> None:
    """Also what only moves or measures its feedback: the name of a layer may have dots in it."""
    layers = ({"kind": "sequence", "name": "q", "body": mlp(6, 5, 4)}, RELU, linear("out", 3))
    compiled = compile(spec(layers, {"rule": "ldfa", "rank": 2}, MOMENTUM), backend="torch").compiled
    known = {"q.fc1", "q.fc2", "q.out", "q.relu_1", "q.relu_2", "relu_1", "out", "loss", "all", ""}
    for function, moves in ((compiled.step, True), (compiled.probe, False)):
        owners = {statement.origin.node for statement in Emitter(function, moves).lines}
        assert known >= owners >= {"q.fc2", "q.out", "out"}


@pytest.mark.parametrize(("rule", "update"), [*pairs()])
def test_straight_line(rule: str, update: str) -> None:
    text = source(crossed(rule, update))
    tree = ast.parse(text)
    # What happens every so many steps is no part of a step.
    tree.body = [node for node in tree.body if getattr(node, "name", "") != "between"]
    assert not [node for node in ast.walk(tree) if isinstance(node, CONTROL)]
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & AUTOGRAD
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for line in function.body:
            if isinstance(line, ast.Assign):
                assert len(line.targets) == 1
                # A product may read `state.T`, and a scalar may be arithmetic; nothing nests two calls.
                assert calls(line) <= 1, ast.unparse(line)


def test_every_line_computes_what_it_is_called() -> None:
    """No name is assigned twice: the emitted code is single assignment, like the IR that it comes from."""
    for rule in RULES.values():
        step = function_in(source(spec(NET, rule, MOMENTUM)), "step")
        targets = [target for line in step.body if isinstance(line, ast.Assign) for target in line.targets]
        assigned = [target.id for target in targets if isinstance(target, ast.Name)]
        assert len(assigned) == len(set(assigned))


def test_norms_are_written_without_detours() -> None:
    """Numbers of the batch are made once, under names of no layer, and none is undone; views are few."""
    layers = (
        *(conv2d("c1", 4, 3), {"kind": "batch_norm", "name": "n1"}, RELU),
        *(conv2d("c2", 4, 3, padding=1), {"kind": "batch_norm", "name": "n2"}, RELU),
        *({"kind": "flatten"}, linear("out", 3)),
    )
    text = source(spec(layers, shape=(2, 10, 10)))
    lines = [line for line in function_in(text, "step").body if isinstance(line, ast.Assign)]
    numbers = {
        ast.unparse(line.targets[0]): ast.unparse(line.value)
        for line in lines
        if isinstance(line.value, ast.BinOp) or ast.unparse(line.value).startswith(("max(", "min("))
    }
    assert numbers == {
        "norm_values": "n * 64.0",
        "norm_others": "norm_values - 1.0",
        "norm_divisor": "max(norm_others, 1.0)",
        "norm_unbiasing": "norm_values / norm_divisor",
        "norm_varies": "min(norm_others, 1.0)",
        "norm_share": "norm_varies * 0.1",
        "norm_kept": "1.0 - norm_share",
    }
    for name, views in (("step", 2), ("forward", 3)):
        found = ast.unparse(function_in(text, name)).splitlines()
        assert [sum(f"{n}_" in line and "reshape(" in line for line in found) for n in ("n1", "n2")] == [
            views
        ] * 2


@pytest.mark.parametrize("rule", ["dfa", "direct_ldfa_fixed"])
def test_direct_route_has_no_product_with_forward_weights(rule: str) -> None:
    """Behind the forward pass, weights stand in update lines only."""
    text = source(spec(NET, RULES[rule], MOMENTUM))
    assert backward_products(text) == []
    assert len(backward_products(source(spec(NET, RULES["bp"], MOMENTUM)))) == 2


def backward_products(text: str) -> list[str]:
    """Lines of the step behind the loss that multiply with a forward weight."""
    lines = [ast.unparse(line) for line in function_in(text, "step").body]
    loss = next(i for i, line in enumerate(lines) if line.startswith("loss = "))
    return [line for line in lines[loss:] if "torch.mm" in line and "_weight" in line]


# -- buffers --------------------------------------------------------------------------------------------------------


def test_errors_share_slots() -> None:
    """Four layers of one width: the activations that gradients need, the output, and one slot more for errors."""
    artifact = compile(spec(mlp(8, 8, 8, 3), RULES["bp"], MOMENTUM), backend="torch")
    emitter = Emitter(artifact.compiled.step, buffered=True)
    batched = [numbers for numbers, per_sample in emitter.layout.slots if per_sample]
    assert sorted(batched) == [3, 8, 8, 8, 8]
    errors = [value for value in emitter.layout.places if value.name.endswith(".error")]
    assert len(errors) == 7


def test_activation_overwrites_the_pre_activation() -> None:
    emitter = Emitter(compile(spec(NET), backend="torch").compiled.step, buffered=True)
    slots = {value.name: place.slot for value, place in emitter.layout.places.items()}
    assert slots["relu_1"] == slots["fc1"]


def test_gelu_keeps_its_input() -> None:
    """Its derivative reads the pre-activation."""
    layers = mlp(8, 3, activation={"kind": "gelu"})
    emitter = Emitter(compile(spec(layers), backend="torch").compiled.step, buffered=True)
    slots = {value.name: place.slot for value, place in emitter.layout.places.items()}
    assert slots["gelu_1"] != slots["fc1"]


def test_weight_gradients_never_exist() -> None:
    artifact = compile(spec(NET, RULES["ldfa_fixed"], MOMENTUM), backend="torch")
    names = [value.name for value in Emitter(artifact.compiled.step, buffered=True).layout.places]
    assert not [name for name in names if name.endswith("weight.gradient")]


# -- names ------------------------------------------------------------------------------------------------------------


NAMES = pytest.mark.parametrize(
    "name",
    [
        *("len", "SGD", "B", "S", "n", "t", "torch", "kernels", "tile", "between"),
        *("lambda", "None", "1st", "a-b", "__class__", "_"),
    ],
)


@NAMES
def test_layers_may_be_called_anything(name: str) -> None:
    """Whatever the emitted code itself uses, and what Python keeps for itself."""
    layers = (linear(name, 4), RELU, {"kind": "dropout", "rate": 0.5}, linear("out", 3))
    data = spec(layers, RULES["ldfa_oja_kp"], MOMENTUM)
    states = []
    for backend in ("reference", "torch"):
        session = compile(data, backend, "float64").open(device="cpu")
        for n in (7, 7, 5):
            session.step(*batch(n))
        states.append(session.state())
    for key, value in states[0].items():
        np.testing.assert_allclose(states[1][key], value, rtol=1e-12, atol=1e-14)


@NAMES
@pytest.mark.parametrize("of", ["input", "target"])
def test_inputs_and_targets_may_be_called_anything(name: str, of: str) -> None:
    """They are arguments of the emitted functions, beside the numbers of a step."""
    layers = (linear("fc", 4), RELU, {"kind": "dropout", "rate": 0.5}, linear("out", 3))
    read, wanted = (name, "wanted") if of == "input" else ("read", name)
    data = {k: v for k, v in spec(layers, RULES["fa"], MOMENTUM).items() if k not in ("input", "loss")}
    data |= {"inputs": {read: {"shape": (5,)}}, "losses": ({"kind": "mse", "target": wanted},)}
    x, y = np.random.default_rng(0).standard_normal((2, 7, 5))
    given, states = {read: x, wanted: y[:, :3]}, []
    for backend in ("reference", "torch"):
        session = compile(data, backend, "float64").open(device="cpu")
        session.step(given)
        session.evaluate(given)
        session.probe(given)
        states.append(session.state())
    for key, value in states[0].items():
        np.testing.assert_allclose(states[1][key], value, rtol=1e-12, atol=1e-14)


def test_names_that_differ_in_punctuation_alone() -> None:
    layers = (linear("a.b", 4), RELU, linear("a-b", 4), RELU, linear("a_b", 3))
    session = compile(spec(layers, RULES["fa"]), "torch", "float64").open(device="cpu")
    assert torch.isfinite(torch.tensor(float(session.step(*batch())["loss"])))


@pytest.mark.parametrize("name", ['a"""; raise SystemExit("ran"); """', "back\\", "\\", '"', "naïve ✓"])
def test_the_name_of_a_spec_is_text_and_never_code(name: str) -> None:
    text = source(spec(NET, name=name))
    assert ast.get_docstring(ast.parse(text), clean=False).startswith(f"{name}: forward")  # type: ignore[union-attr]
    compile(spec(NET, name=name), backend="torch").open(device="cpu")
