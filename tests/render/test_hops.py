"""A layer without weights is one hop of an error, however it is written: `fac show` says the same as of a single op."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fac.build.costs import cost
from fac.layers import Add, Linear, Tanh
from fac.layers.elementwise import TANH
from fac.layers.joins import ADD
from fac.layers.linear import LINEAR
from fac.pipeline import load, lowered
from fac.program import lower
from fac.program.tensors import Tensor
from fac.render import facts, show
from fac.render.lineage import Lineage
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.testing.nets import linear, mlp, spec

Written = Callable[[Builder, Value], Value]

LAYERS: dict[str, Written] = {
    "x clamp(x + 3, 0, 6) / 6": lambda b, x: b.mul(x, b.mul(b.clamp(b.add(x, 3.0), 0.0, 6.0), 1 / 6)),
    "log(exp(x) + 1)": lambda b, x: b.emit("log", b.add(b.emit("exp", x), 1.0)),
    "x sigmoid(x)": lambda b, x: b.mul(x, b.emit("sigmoid", x)),
    "x / sqrt(1 + x x)": lambda b, x: b.div(x, b.emit("sqrt", b.add(b.mul(x, x), 1.0))),
    "x + (x - max x)": lambda b, x: b.add(x, b.sub(x, b.emit("max", x, axes=(1,), keep=True))),
    "x + x": lambda b, x: b.add(x, x),
    "x tanh(x), in another shape": lambda b, x: b.reshape(
        b.mul(b.reshape(x, (*x.type.shape, 1)), b.reshape(b.emit("tanh", x), (*x.type.shape, 1))),
        x.type.shape,
    ),
    "2^x, straight through a step": lambda b, x: b.add(
        b.pow(2.0, x), b.stop_gradient(b.sub(b.maximum(x, 0.0), x))
    ),
}
T = {"kind": "tanh"}


def joined(name: str, *names: str) -> dict[str, Any]:
    return {"kind": "add", "name": name, "from": names}


NETS: dict[str, tuple[Any, ...]] = {
    "plain": mlp(8, 6, 3, activation=T),
    "two layers above one another": (linear("fc1", 6), T, T, linear("out", 3)),
    "a skip around the layer": (linear("fc1", 6), T, joined("j", "tanh_1", "fc1"), linear("out", 3)),
    "a skip around a layer with weights": (
        linear("fc1", 6), T, linear("fc2", 6), T, joined("j", "tanh_2", "tanh_1", "fc1"), linear("out", 3),
    ),
    "the layer reads last": (
        linear("fc1", 6), linear("fc2", 6, **{"from": ("fc1",)}), joined("j", "fc1", "fc2"),
        {"kind": "tanh", "name": "t", "from": ("fc1",)}, joined("k", "j", "t", "fc1"), linear("out", 3),
    ),
    "two layers read one": (
        linear("fc1", 6), {"kind": "tanh", "name": "t"}, {"kind": "tanh", "name": "u", "from": ("fc1",)},
        joined("j", "t", "u"), T, linear("out", 3),
    ),
}  # fmt: skip
FEEDBACK = ({"rule": "bp"}, {"rule": "fa"}, {"rule": "dfa"}, {"rule": "ldfa", "rank": 2})


def plant(patch: pytest.MonkeyPatch, model: type, planted: Any) -> None:
    """Put a kind in the place of that of a layer."""
    found = lower._kind
    patch.setattr(lower, "_kind", lambda group, asked: planted if asked is model else found(group, asked))


def told(net: tuple[Any, ...], feedback: Any) -> dict[str, Any]:
    """What `fac show` says of errors: the table but for its costs, `--updates`, and their parts of `--json`."""
    program = lowered(load(spec(net, feedback)))
    lineage, counted = Lineage(program), cost(program, 2)
    data = json.loads(json.dumps(facts.as_json(program, lineage, counted)))
    return {
        "table": [line for line in show.layers(program, lineage, counted).splitlines() if "peak" not in line],
        "lines": show.updates(lineage).splitlines(),
    } | {part: data[part] for part in ("layers", "routes", "subspaces", "updates", "errors")}


@pytest.mark.parametrize("net", NETS)
def test_a_layer_of_several_ops_is_told_as_one_of_a_single_op(net: str) -> None:
    for feedback in FEEDBACK:
        single = told(NETS[net], feedback)
        for name, write in LAYERS.items():
            with pytest.MonkeyPatch.context() as patch:
                forward: Any = lambda b, layer, inputs, state, mode, write=write: write(b, inputs[0])  # noqa: E731
                plant(patch, Tanh, replace(TANH, forward=forward))
                assert told(NETS[net], feedback) == single, f"{name}, {feedback}"


def test_what_a_single_op_is_told_as() -> None:
    """So that the law above does not compare two things that are both wrong."""
    found = told(NETS["plain"], {"rule": "bp"})
    assert found["lines"][0].split(None, 1)[1] == (
        "<- sgd <- fc1.error x input <- tanh' <- W^T (fc2.weight) <- fc2.error"
    )
    (fc1, _, _, _, _) = (layer["error"] for layer in found["layers"])
    assert [(e["from"], e["operator"], e["rank"], e["via"]) for e in fc1] == [("fc2", "W^T", None, [])]


def test_a_join_that_reads_one_of_its_layers_twice_is_one_hop_to_each() -> None:
    net = (*mlp(6, 6, activation=T)[:3], joined("gate", "fc1", "out"), linear("top", 3))
    found: list[dict[str, Any]] = []
    for write in (
        lambda b, layer, inputs, state, mode: b.mul(*inputs),
        lambda b, layer, inputs, state, mode: b.mul(
            b.mul(inputs[0], b.emit("sigmoid", inputs[0])), inputs[1]
        ),
    ):
        with pytest.MonkeyPatch.context() as patch:
            plant(patch, Add, replace(ADD, forward=write))
            found.append(told(net, {"rule": "bp"}))
    assert found[0] == found[1]
    assert any("(add' <- gate.error)" in line for line in found[0]["lines"])


@pytest.mark.parametrize("mixes", [False, True], ids=["a gain", "a matrix"])
def test_an_operator_is_told_of_a_layer_without_contraction_if_it_mixes_units(
    monkeypatch: pytest.MonkeyPatch, mixes: bool
) -> None:
    def facts(layer: Any, name: str, shapes: Any) -> Any:
        width = shapes[0][0]
        shape = (width, width) if mixes else (width,)
        return replace(TANH.infer(layer, name, shapes), tensors=(Tensor(f"{name}.gain", shape, "launay"),))

    def forward(b: Builder, layer: Any, inputs: Any, state: Any, mode: Any) -> Value:
        return b.matmul(inputs[0], state["gain"]) if mixes else b.mul(inputs[0], state["gain"])

    plant(monkeypatch, Tanh, replace(TANH, infer=facts, forward=forward))
    found = told(mlp(6, 3, activation=T), {"rule": "bp"})
    hop = "W^T (tanh_1)" if mixes else "tanh'"
    assert f"fc1.error x input <- {hop} <- tanh_1.error" in found["lines"][0]


@pytest.mark.parametrize(
    "written", ["x clamp(x + 3, 0, 6) / 6", "x sigmoid(x)", "2^x, straight through a step"]
)
def test_what_a_layer_with_weights_does_besides_is_one_word(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own activation, in however many ops; a factor of a route is told as such."""

    def forward(b: Builder, *args: Any) -> Value:
        made = LINEAR.forward(b, *args)
        assert isinstance(made, Value)
        return LAYERS[written](b, made)

    plant(monkeypatch, Linear, replace(LINEAR, forward=forward))
    routes = ({"through": "fc2", "matrix": {"kind": "random", "scale": 0.5}},)
    lines = show.updates(Lineage(lowered(spec(mlp(6, 6, 3, activation=T), {"routes": routes})))).splitlines()
    chains = {line.split()[0]: line.partition(" <- ")[2] for line in lines}
    own = r"sgd <- fc2\.[\w.]*error x tanh_1 <- linear' <- (fc2\.error|tanh' <- W\^T \(out\.weight\) <- .*)"
    assert re.fullmatch(own, chains["fc2.weight"])
    assert "tanh' <- x 0.5 <- B (fc2.feedback, fixed) <- " in "\n".join(chains.values())
    assert not any(op in line for line in lines for op in (" mul", " add ", "greater", " x 0.1"))
