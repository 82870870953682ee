"""A step of backpropagation as ONNX, as a person writes it who knows the network: the yardstick of `onnx_step`.

What the emitter keeps general is fixed here. The size of the batch is a constant. Plain SGD scales the error by the
learning rate, once, because every gradient is linear in it. Adam makes 11 passes over a weight instead of 13: a factor
goes into the product that makes the gradient, and the corrections into two scalars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

from benchmarks.onnx_spec import BATCH, INPUT, MOMENTUM

SLOTS = {"sgd": (), "momentum": ("momentum",), "adam": ("mean", "square")}
"""By update: the optimiser state of each parameter."""
CLASSES = 10
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
Shapes = Mapping[str, Sequence[int]]


def hand_made(update: str, hidden: Sequence[int] = (1024, 1024)) -> bytes:
    """The step of `onnx_spec.mlp`, as a model with the inputs and outputs of the emitted one."""
    widths = (INPUT, *hidden, CLASSES)
    names = [f"fc{i}" for i in range(1, len(widths) - 1)] + ["logits"]
    hand = Hand()
    updated = {"sgd": hand.sgd, "momentum": hand.momentum, "adam": hand.adam}[update]
    values = ["x"]
    for name in names:
        z = hand("Gemm", values[-1], f"{name}.weight", f"{name}.bias", transB=1)
        values.append(z if name == "logits" else hand("Relu", z))
    delta = hand.loss(values.pop(), scaled=update == "sgd")
    if update == "adam":
        hand.corrections()
    for name in reversed(names):
        below = values.pop()
        updated(name, delta, below)
        if values:
            live = hand("Greater", below, hand.number(0.0))
            delta = hand("Where", live, hand("MatMul", delta, f"{name}.weight"), hand.number(0.0))
    shapes: dict[str, Sequence[int]] = {}
    for name, (inputs, outputs) in zip(names, pairwise(widths), strict=True):
        for slot in ("", *(f".{slot}" for slot in SLOTS[update])):
            shapes[f"{name}.weight{slot}"] = (outputs, inputs)
            shapes[f"{name}.bias{slot}"] = (outputs,)
    return hand.model(shapes, step=update == "adam")


class Hand:
    """Nodes in the order in which they are written down: calling it adds one, and gives the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def __call__(self, op: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        """One node."""
        name = result or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def number(self, value: Any, dtype: str = "float32") -> str:
        """A constant."""
        name = f"{value}:{dtype}"
        self.constants[name] = numpy_helper.from_array(np.array(value, dtype), name)
        return name

    def loss(self, logits: str, *, scaled: bool) -> str:
        """Cross-entropy; returns the error of the logits, (softmax - target) / N, times the learning rate if asked."""
        log_p = self("LogSoftmax", logits, axis=1)
        labels = self("Unsqueeze", "y", self.number([1], "int64"))
        hit = self("Equal", labels, self.number(list(range(CLASSES)), "int64"))
        target = self("Cast", hit, to=TensorProto.FLOAT)
        total = self("ReduceSum", self("Mul", target, log_p), keepdims=0)
        self("Mul", total, self.number(-1 / BATCH), result="loss")
        factor = self.number(1 / BATCH)
        if scaled:
            factor = self("Mul", factor, "lr")
        return self("Mul", self("Sub", self("Exp", log_p), target), factor)

    def sgd(self, layer: str, delta: str, below: str) -> None:
        """W - dᵀh, b - Σd, where d holds the learning rate."""
        w, b = f"{layer}.weight", f"{layer}.bias"
        self("Gemm", delta, below, w, result=f"{w}.next", transA=1, alpha=-1.0)
        self("Sub", b, self.summed(delta), result=f"{b}.next")

    def momentum(self, layer: str, delta: str, below: str) -> None:
        """V = dᵀh + μV in one product; W - ηV."""
        w, b = f"{layer}.weight", f"{layer}.bias"
        v = f"{w}.momentum"
        self("Gemm", delta, below, v, result=f"{v}.next", transA=1, beta=MOMENTUM)
        kept = self("Mul", f"{b}.momentum", self.number(MOMENTUM))
        self("Add", kept, self.summed(delta), result=f"{b}.momentum.next")
        for p in (w, b):
            self("Sub", p, self("Mul", f"{p}.momentum.next", "lr"), result=f"{p}.next")

    def adam(self, layer: str, delta: str, below: str) -> None:
        """The gradient comes times 1 - β₁, which the mean wants; the square then wants (1 - β₂) / (1 - β₁)² of it."""
        share = 1 - BETA1
        self._adam(f"{layer}.weight", self("Gemm", delta, below, transA=1, alpha=share))
        self._adam(f"{layer}.bias", self("Mul", self.summed(delta), self.number(share)))

    def corrections(self) -> None:
        """η √c₂ / c₁ and ε √c₂, where c = 1 - βᵗ: one step size, one ε, for m and √v as they are."""
        t = self("Add", self("Cast", "step", to=TensorProto.DOUBLE), self.number(1.0, "float64"))

        def correction(beta: float) -> str:
            power = self("Pow", self.number(beta, "float64"), t)
            return self("Sub", self.number(1.0, "float64"), power)

        root = self("Sqrt", correction(BETA2))
        ratio = self("Cast", self("Div", root, correction(BETA1)), to=TensorProto.FLOAT)
        self("Mul", ratio, "lr", result="rate")
        epsilon = self("Mul", root, self.number(EPS, "float64"))
        self("Cast", epsilon, result="epsilon", to=TensorProto.FLOAT)

    def _adam(self, p: str, g: str) -> None:
        mean, square = f"{p}.mean.next", f"{p}.square.next"
        self("Add", self("Mul", f"{p}.mean", self.number(BETA1)), g, result=mean)
        new = self("Mul", self("Mul", g, g), self.number((1 - BETA2) / (1 - BETA1) ** 2))
        self("Add", self("Mul", f"{p}.square", self.number(BETA2)), new, result=square)
        root = self("Add", self("Sqrt", square), "epsilon")
        self("Sub", p, self("Mul", self("Div", mean, root), "rate"), result=f"{p}.next")

    def summed(self, delta: str) -> str:
        """Over the samples."""
        return self("ReduceSum", delta, self.number([0], "int64"), keepdims=0)

    def model(self, state: Shapes, *, step: bool) -> bytes:
        """The checked model: batch and scalars first, then the state."""
        floats: dict[str, Sequence[int]] = {"x": (BATCH, INPUT), "lr": (), **state}
        inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in floats.items()]
        integers: dict[str, Sequence[int]] = {"y": (BATCH,), **({"step": ()} if step else {})}
        inputs += [helper.make_tensor_value_info(n, TensorProto.INT64, s) for n, s in integers.items()]
        results: dict[str, Sequence[int]] = {"loss": (), **{f"{n}.next": s for n, s in state.items()}}
        outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in results.items()]
        constants = list(self.constants.values())
        graph = helper.make_graph(self.nodes, "hand", inputs, outputs, constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        checker.check_model(made, full_check=True)
        content: bytes = made.SerializeToString()
        return content
