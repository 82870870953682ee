"""Operations that are layers: contractions, normalisations, pools and activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isclose

from fac.backend import Ref
from fac_onnx.reading.graph import Graph, Node
from fac_onnx.reading.steps import TURNED, Step, Steps, Translator, UnreadError, Weight, plain, shaped

MIDDLE = "half_pixel", "pytorch_half_pixel"
"""Where numbers lie: apart only where an axis has one number, which lines do not show."""
DIGITS = 1e-6
"""Relative: what float32 leaves of a number."""


def near(a: float | None, b: float) -> bool:
    """Whether a number of the file is the one that is meant."""
    return a is not None and isclose(a, b, rel_tol=DIGITS)


def written(number: float) -> float:
    """A number that float32 has rounded, as somebody wrote it: 1e-6, and not 9.999999974752427e-07."""
    return float(f"{number:.7g}")


def array(graph: Graph, node: Node, slot: int, part: str) -> Weight | None:
    """An input that has to be an array of the file, if it is given.

    Raises:
        UnreadError: it is computed of the data.
    """
    name = node.input(slot)
    if not name:
        return None
    if name not in graph.constants:
        raise UnreadError(f"a `{part}` that is an array of the file, and not computed")
    return Weight(node, slot)


def given(**found: Weight | None) -> dict[str, Weight]:
    """Those that are there."""
    return {part: weight for part, weight in found.items() if weight is not None}


def conv(graph: Graph, node: Node, value: str) -> Steps:
    """A convolution; zeros that are not the same on both sides stand before it."""
    weight, bias = array(graph, node, 1, "weight"), array(graph, node, 2, "bias")
    kernel = graph.shapes[node.inputs[1]][2:]
    if len(kernel) > 2:
        raise UnreadError("a convolution of sequences or maps")
    before, padding = _padded(graph, node, kernel)
    args = {
        "input": Ref(before[-1].name if before else node.inputs[0]),
        "stride": list(node.get("strides", [1] * len(kernel))),
        "padding": padding,
        "dilation": list(node.get("dilations", [1] * len(kernel))),
        "groups": node.get("group", 1),
    }
    return [*before, Step(f"aten.conv{len(kernel)}d", args, given(weight=weight, bias=bias))]


def conv_transpose(graph: Graph, node: Node, value: str) -> Steps:
    """The transpose of a convolution."""
    weight, bias = array(graph, node, 1, "weight"), array(graph, node, 2, "bias")
    kernel = graph.shapes[node.inputs[1]][2:]
    if node.get("output_shape") or node.get("auto_pad", "NOTSET") != "NOTSET" or len(kernel) != 2:
        raise UnreadError("a transposed convolution of maps, with `pads` and `output_padding`")
    args = {
        "input": Ref(node.inputs[0]),
        "stride": list(node.get("strides", [1, 1])),
        "padding": _sides(node.get("pads", [0] * 4)),
        "output_padding": list(node.get("output_padding", [0, 0])),
        "dilation": list(node.get("dilations", [1, 1])),
        "groups": node.get("group", 1),
    }
    return Step("aten.conv_transpose2d", args, given(weight=weight, bias=bias))


def _sides(pads: Sequence[int]) -> list[int]:
    half = len(pads) // 2
    if pads[:half] != pads[half:]:
        raise UnreadError("as many zeros before as behind")
    return list(pads[:half])


def _padded(graph: Graph, node: Node, kernel: Sequence[int]) -> tuple[list[Step], list[int]]:
    """What puts zeros around maps, where a window cannot by itself, and what it then does."""
    pads = _pads(graph, node, kernel)
    half = len(kernel)
    if pads[:half] == pads[half:]:
        return [], list(pads[:half])
    x = node.inputs[0]
    ends = [end for axis in reversed(range(half)) for end in (pads[axis], pads[half + axis])]
    n, c, *sizes = graph.shapes[x]
    shape = n, c, *(size + pads[i] + pads[half + i] for i, size in enumerate(sizes))
    step = Step(
        "aten.pad", {"self": Ref(x), "pad": ends, "mode": "constant", "value": None}, {}, f"{x} padded", shape
    )
    return [step], [0] * half


def _pads(graph: Graph, node: Node, kernel: Sequence[int]) -> list[int]:
    auto = node.get("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID"):
        return list(node.get("pads", [0] * 2 * len(kernel))) if auto == "NOTSET" else [0] * 2 * len(kernel)
    strides = node.get("strides", [1] * len(kernel))
    dilations = node.get("dilations", [1] * len(kernel))
    first, last = list[int](), list[int]()
    for size, k, stride, dilation in zip(
        graph.shapes[node.inputs[0]][2:], kernel, strides, dilations, strict=True
    ):
        need = max((-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0)
        small, large = need // 2, need - need // 2
        first.append(small if auto == "SAME_UPPER" else large)
        last.append(large if auto == "SAME_UPPER" else small)
    return first + last


def gemm(graph: Graph, node: Node, value: str) -> Steps:
    """A linear layer; behind it a factor, and a sum with what is no bias, where there are such."""
    if node.get("transA", 0) or node.inputs[1] not in graph.constants:
        raise UnreadError("a product with a matrix of the file")
    weight = Weight(node, 1) if node.get("transB", 0) else Weight(node, 1, TURNED)
    shape, alpha, beta = graph.shapes[value], written(node.get("alpha", 1.0)), written(node.get("beta", 1.0))
    read, other = {"input": Ref(node.inputs[0])}, node.input(2)
    fits = other in graph.constants and graph.shapes[other] in (shape[-1:], (1, *shape[-1:]))
    if fits and alpha == beta == 1:
        bias = Weight(node, 2, shaped(graph.shapes[other], shape[-1:]))
        return Step("aten.linear", read, {"weight": weight, "bias": bias})
    steps = [Step("aten.linear", read, {"weight": weight}, f"{value} product", shape)]
    if alpha != 1:
        args = {"self": Ref(f"{value} product"), "other": alpha}
        steps.append(Step("aten.mul", args, {}, f"{value} scaled", shape))
    if other:
        args = {"self": Ref(steps[-1].name), "other": Ref(other), "alpha": beta}
        steps.append(Step("aten.add", args, {}, f"{value} sum", shape))
    return [*steps[:-1], replace(steps[-1], name="", shape=None)]


def matmul(graph: Graph, node: Node, value: str) -> Steps:
    """A linear layer without bias, whichever side the weight is on; or the product of two tensors."""
    a, b = node.inputs
    if b in graph.constants and len(graph.shapes[b]) == 2:
        return Step("aten.linear", {"input": Ref(a)}, {"weight": Weight(node, 1, TURNED)})
    if a in graph.constants and len(graph.shapes[a]) == 2:
        return _from_the_left(graph, node, value)
    return Step("aten.matmul", {"self": Ref(a), "other": Ref(b)})


def _from_the_left(graph: Graph, node: Node, value: str) -> Steps:
    """W X as (X^T W^T)^T."""
    x, shape = node.inputs[1], graph.shapes[value]
    turned = (*graph.shapes[x][:-2], graph.shapes[x][-1], graph.shapes[x][-2])
    swap = {"dim0": -1, "dim1": -2}
    return [
        Step("aten.transpose", {"self": Ref(x), **swap}, {}, f"{value} reads", turned),
        Step(
            "aten.linear",
            {"input": Ref(f"{value} reads")},
            {"weight": Weight(node, 0)},
            f"{value} turned",
            (*shape[:-2], shape[-1], shape[-2]),
        ),
        Step("aten.transpose", {"self": Ref(f"{value} turned"), **swap}),
    ]


def batch_norm(graph: Graph, node: Node, value: str) -> Steps:
    """By averages, as a network that learns has them: in training it goes by the moments of the batch."""
    names = {"weight": 1, "bias": 2, "running_mean": 3, "running_var": 4}
    arrays = {part: array(graph, node, slot, part) for part, slot in names.items()}
    weights = {
        part: Weight(node, names[part], statistic=part.startswith("running")) for part in given(**arrays)
    }
    args = {
        "input": Ref(node.inputs[0]),
        "momentum": written(1 - node.get("momentum", 0.9)),
        "eps": written(node.get("epsilon", 1e-5)),
        "training": True,
    }
    return Step("aten.batch_norm", args, weights)


def layer_norm(graph: Graph, node: Node, value: str) -> Steps:
    """Over the last axes."""
    shape = graph.shapes[node.inputs[0]]
    axes = shape[node.get("axis", -1) % len(shape) :]
    args = {
        "input": Ref(node.inputs[0]),
        "normalized_shape": list(axes),
        "eps": written(node.get("epsilon", 1e-5)),
    }
    weight, bias = array(graph, node, 1, "weight"), array(graph, node, 2, "bias")
    return Step("aten.layer_norm", args, given(weight=weight, bias=bias))


def rms_norm(graph: Graph, node: Node, value: str) -> Steps:
    """Over the last axes."""
    found = layer_norm(graph, node, value)
    assert isinstance(found, Step)
    return Step("aten.rms_norm", found.args, found.weights)


def instance_norm(graph: Graph, node: Node, value: str) -> Steps:
    """Each channel of each sample by itself: as many groups as there are channels."""
    return _groups(graph, node, graph.shapes[node.inputs[0]][1])


def group_norm(graph: Graph, node: Node, value: str) -> Steps:
    """With a scale and a summand for each channel, as from opset 21 on."""
    return _groups(graph, node, node.get("num_groups"))


def _groups(graph: Graph, node: Node, groups: int) -> Step:
    args = {
        "input": Ref(node.inputs[0]),
        "num_groups": groups,
        "eps": written(node.get("epsilon", 1e-5)),
    }
    weight, bias = array(graph, node, 1, "weight"), array(graph, node, 2, "bias")
    return Step("aten.group_norm", args, given(weight=weight, bias=bias))


def pool(op: str, **more: object) -> Translator:
    """A pool of maps; before means that count zeros stand those that are not the same on both sides."""

    def read(graph: Graph, node: Node, value: str) -> Steps:
        kernel = node.get("kernel_shape")
        if len(kernel) != 2:
            raise UnreadError("a pool of maps [channels, height, width]")
        counts, ceil = bool(node.get("count_include_pad", 0)), bool(node.get("ceil_mode", 0))
        before, padding = _padded(graph, node, kernel)
        if before and not (op == "aten.avg_pool2d" and counts and not ceil):
            raise UnreadError(
                "a pool whose `pads` are the same before and behind: the zeros of a layer `pad` would count in it"
            )
        args = {
            "self": Ref(before[-1].name if before else node.inputs[0]),
            "kernel_size": list(kernel),
            "stride": list(node.get("strides", [1, 1])),
            "padding": padding,
            "dilation": list(node.get("dilations", [1, 1])),
            "ceil_mode": ceil,
            "count_include_pad": counts,
        }
        return [*before, Step(op, args | more)]

    return read


def global_average(graph: Graph, node: Node, value: str) -> Steps:
    """The mean of each channel."""
    axes = [*range(2, len(graph.shapes[node.inputs[0]]))]
    if len(axes) == 2:
        return Step("aten.adaptive_avg_pool2d", {"self": Ref(node.inputs[0]), "output_size": [1, 1]})
    return Step("aten.mean", {"self": Ref(node.inputs[0]), "dim": axes, "keepdim": True})


def global_largest(graph: Graph, node: Node, value: str) -> Steps:
    """The largest number of each channel."""
    axes = [*range(2, len(graph.shapes[node.inputs[0]]))]
    return Step("aten.amax", {"self": Ref(node.inputs[0]), "dim": axes, "keepdim": True})


def gelu(graph: Graph, node: Node, value: str) -> Steps:
    """Exact or not, as it says."""
    return Step("aten.gelu", {"self": Ref(node.inputs[0]), "approximate": node.get("approximate", "none")})


def hard_sigmoid(graph: Graph, node: Node, value: str) -> Steps:
    """The one of PyTorch."""
    if not (near(node.get("alpha", 0.2), 1 / 6) and near(node.get("beta", 0.5), 0.5)):
        raise UnreadError("a `HardSigmoid` with alpha = 1/6 and beta = 0.5")
    return Step("aten.hardsigmoid", {"self": Ref(node.inputs[0])})


def elu(graph: Graph, node: Node, value: str) -> Steps:
    """With its alpha."""
    args = {"alpha": written(node.get("alpha", 1.0)), "scale": 1, "input_scale": 1}
    return Step("aten.elu", {"self": Ref(node.inputs[0])} | args)


def selu(graph: Graph, node: Node, value: str) -> Steps:
    """With the numbers that keep mean and variance."""
    if not (near(node.get("alpha", 1.67326319), 1.6732632) and near(node.get("gamma", 1.05070102), 1.050701)):
        raise UnreadError("a `Selu` with its own alpha and gamma")
    return Step("aten.selu", {"self": Ref(node.inputs[0])})


def leaky_relu(graph: Graph, node: Node, value: str) -> Steps:
    """With its slope."""
    slope = written(node.get("alpha", 0.01))
    return Step("aten.leaky_relu", {"self": Ref(node.inputs[0]), "negative_slope": slope})


def softmax(graph: Graph, node: Node, value: str) -> Steps:
    """Along one axis."""
    return Step("aten.softmax", {"self": Ref(node.inputs[0]), "dim": node.get("axis", -1), "dtype": None})


def dropout(graph: Graph, node: Node, value: str) -> Steps:
    """Which a file of a network that does not learn may hold, and which then does nothing."""
    rate = graph.single(node.input(1)) if node.input(1) else 0.5
    if rate is None:
        raise UnreadError("a dropout whose rate is a number")
    return Step("aten.dropout", {"input": Ref(node.inputs[0]), "p": written(rate), "train": False})


def resize(graph: Graph, node: Node, value: str) -> Steps:
    """Maps made larger, if each number is repeated as often, or lines go from the middle of one to that of the next."""
    x = node.inputs[0]
    before, after = graph.shapes[x], graph.shapes[value]
    factors = [new / old for old, new in zip(before, after, strict=True)]
    scales = graph.constants[node.input(2)].tolist() if node.input(2) else factors
    scales = scales or factors
    mode, places = node.get("mode", "nearest"), node.get("coordinate_transformation_mode", "half_pixel")
    plain = len(before) == 4 and before[:2] == after[:2] and not node.get("axes") and scales == factors
    if not plain or any(factor != int(factor) for factor in factors):
        raise UnreadError("maps whose height and width are multiplied by whole numbers")
    args = {"input": Ref(x), "output_size": [*after[2:]], "scale_factors": None}
    if mode == "nearest":
        rounded = node.get("nearest_mode", "round_prefer_floor")
        middle = places in MIDDLE and rounded in ("round_prefer_floor", "round_prefer_ceil")
        if middle or (places == "asymmetric" and rounded == "floor"):
            return Step("aten.upsample_nearest2d", args)
    if (
        mode == "linear"
        and places in MIDDLE
        and not node.get("antialias")
        and not node.get("exclude_outside")
    ):
        return Step("aten.upsample_bilinear2d", args | {"align_corners": False})
    raise UnreadError("a `Resize` that repeats numbers, or one by lines between the middles of numbers")


def gather(graph: Graph, node: Node, value: str) -> Steps:
    """Rows of a table, or one of what stands along an axis."""
    table, indices = node.inputs[:2]
    if table in graph.constants and indices not in graph.constants and not node.get("axis", 0):
        args = {"indices": Ref(indices), "padding_idx": -1}
        return Step("aten.embedding", args, {"weight": Weight(node, 0)})
    if indices in graph.constants and graph.shapes[indices] == ():
        index = int(graph.constants[indices][()])
        return Step("aten.select", {"self": Ref(table), "dim": node.get("axis", 0), "index": index})
    raise UnreadError("a layer that picks several by their numbers")


CONVOLUTIONS: Mapping[str, Translator] = {"Conv": conv, "ConvTranspose": conv_transpose}
TRANSLATORS: Mapping[str, Translator] = {
    **CONVOLUTIONS,
    "Gemm": gemm,
    "MatMul": matmul,
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm,
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "MaxPool": pool("aten.max_pool2d"),
    "AveragePool": pool("aten.avg_pool2d", divisor_override=None),
    "GlobalAveragePool": global_average,
    "GlobalMaxPool": global_largest,
    "Gather": gather,
    "Resize": resize,
    "Relu": plain("aten.relu"),
    "LeakyRelu": leaky_relu,
    "Sigmoid": plain("aten.sigmoid"),
    "Tanh": plain("aten.tanh"),
    "Gelu": gelu,
    "HardSwish": plain("aten.hardswish"),
    "HardSigmoid": hard_sigmoid,
    "Elu": elu,
    "Selu": selu,
    "Softplus": plain("aten.softplus", beta=1.0, threshold=20.0),
    "Softmax": softmax,
    "Dropout": dropout,
}
