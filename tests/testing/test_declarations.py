"""What kinds declare is true of everything that is installed, and a kind that lies is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from math import exp
from typing import Any, Literal

import pytest

from fac.feedback.exact import TRANSPOSE, Transpose
from fac.feedback.kolen_pollack import KOLEN_POLLACK
from fac.feedback.local import LOCAL
from fac.feedback.low_rank import LOW_RANK, LowRank
from fac.feedback.normative import NORMATIVE
from fac.feedback.random import RANDOM, Random
from fac.layers.batch_norm import BATCH_NORM
from fac.layers.blocks import RESIDUAL
from fac.layers.convolution import CONV2D
from fac.layers.elementwise import DROPOUT, GELU, RELU, SIGMOID, TANH
from fac.layers.linear import LINEAR, Linear
from fac.layers.norms import LAYER_NORM, RMS_NORM
from fac.layers.pools import GLOBAL_AVG_POOL, MAX_POOL2D
from fac.layers.recurrence import ZEROS
from fac.layers.reductions import MEAN
from fac.layers.repeat import REPEAT
from fac.layers.shapes import FLATTEN, PERMUTE
from fac.losses.bce import BCE, Bce
from fac.losses.cross_entropy import CROSS_ENTROPY, CrossEntropy
from fac.losses.huber import HUBER, Huber
from fac.losses.mse import MSE, Mse
from fac.plugins import Refusal, kinds
from fac.program.kinds import Descent, Facts, Kind, LayerKind, Learned, LossKind, Made, ShapeError, Sight
from fac.program.tensors import Role, Tensor
from fac.program.traits import Curve, Traits
from fac.spec.base import Model
from fac.spec.init import Density, PerUnit
from fac.spec.layers import Layer, ParametricLayer, WeightedLayer
from fac.spec.ranks import AutoRank
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.ops.losses import one_hot
from fac.step.types import DType, N
from fac.testing import check_declarations
from fac.testing.layer_laws import declared, is_homogeneous
from fac.updates.adam import ADAM
from fac.updates.gram_orthogonal import GRAM_ORTHOGONAL, GramOrthogonal
from fac.updates.sgd import SGD, Sgd

GROUPS = ("fac.layers", "fac.losses", "fac.feedback", "fac.learning", "fac.updates", "fac.schedules")
INSTALLED = {f"{group}/{kind.name}": kind for group in GROUPS for kind in kinds(group)}
LAYERS = tuple(kind for kind in kinds("fac.layers") if isinstance(kind, LayerKind))
INNER = {"kind": "residual", "body": ({"kind": "relu"}, {"kind": "linear", "out": 6})}
"""Two layers and their sum."""
SETTINGS: dict[str, dict[str, Any]] = {
    "sequence": {"body": ({"kind": "relu"}, INNER)},
    "residual": {"body": (INNER,), "shortcut": (INNER, {"kind": "relu"})},
    "repeat": {"body": (INNER, {"kind": "repeat", "times": 2, "body": (INNER,)}), "times": 3},
    "parallel": {"branches": ((INNER,), ({"kind": "relu"},), ({"kind": "tanh"},))},
    "linear": {"out": 3},
    "step": {"every": 2},
    "zeros": {"shape": (3,)},
    "rnn": {"out": 3},
    "gru": {"out": 3},
    "carry": {"index": 1, "mask": "kept"},
    "conv2d": {"out": 3, "kernel": 2, "padding": 1},
    "group_norm": {"groups": 2},
    "clamp": {"min": -0.3, "max": 0.5},
    "rescaling": {"scale": -0.5, "offset": 0.25},
    "scale": {"axes": (0, 2), "init": 0.1},
    "bias": {"axes": 0},
    "slice": {"axis": -1, "start": 1},
    "conv1d": {"out": 3, "kernel": 1},
    "conv_transpose2d": {"out": 3, "kernel": 2, "stride": 2},
    "low_rank": {"rank": 2},
    "dropout": {"rate": 0.5},
    "reshape": {"shape": (3, -1)},
    "concat": {"from": ("a", "b")},
    "multiply": {"from": ("a", "b")},
    "matmul": {"from": ("a", "b")},
    "pow": {"exponent": 2.0},
    "avg_pool2d": {"kernel": 2, "stride": 1},
    "adaptive_avg_pool2d": {"out": (6, 4)},
    "pad": {"padding": (0, 2)},
    "upsample": {"scale_factor": (3, 2)},
    "permute": {"axes": (1, 0)},
    "one_hot": {"num_classes": 3},
    "mean": {"axes": "spatial"},
    "max": {"axes": "channels"},
    "attend": {"heads": 2},
    "embedding": {"num_embeddings": 5, "out": 3, "padding_idx": 1},
    "attention": {"heads": 2},
    "patch_embed": {"patch": 2, "out": 3},
    "max_pool2d": {"kernel": (3, 2), "padding": 1},
    "sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.2},
}
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "batch_norm": ((2, 3, 2),),
    "group_norm": ((4, 3),),
    "flatten": ((2, 3),),
    "reshape": ((2, 3),),
    "scale": ((3, 4, 2),),
    "bias": ((3, 4, 2),),
    "slice": ((3, 4),),
    "add": ((6,), (6,)),
    "conv2d": ((2, 4, 3),),
    "concat": ((60, 4), (60, 4)),
    "multiply": ((6,), (6,)),
    "matmul": ((3, 4), (4, 2)),
    "conv1d": ((2, 4),),
    "conv_transpose2d": ((2, 4, 3),),
    "max_pool2d": ((3, 7, 4),),
    "avg_pool2d": ((6, 12, 12),),
    "adaptive_avg_pool2d": ((6, 12, 12),),
    "pad": ((6, 8, 8),),
    "upsample": ((6, 8, 8),),
    "permute": ((2, 3),),
    "mean": ((60, 4),),
    "max": ((5, 2),),
    "global_avg_pool": ((3, 5, 2),),
    "positional_embedding": ((3, 4),),
    "class_token": ((3, 4),),
    "stack": ((60, 4), (60, 4)),
    "rnn": ((3, 4),),
    "gru": ((3, 4),),
    "zeros": ((5,),),
    "gru_gates": ((12,), (12,), (4,)),
    "carry": ((6,), (6,), (3,)),
    "select": ((3, 4),),
    "rotary": ((3, 4),),
    "attend": ((3, 12),),
    "attention": ((3, 4),),
    "patch_embed": ((2, 4, 4),),
}
"""Of the samples that a layer reads, where it is not one vector of 6."""


def settings(kind: Any) -> Model:
    made: Model = kind.spec(**SETTINGS.get(kind.name, {"lr": 0.1} if "lr" in kind.spec.model_fields else {}))
    return made


def shapes(kind: Any) -> tuple[tuple[int, ...], ...]:
    return SHAPES.get(kind.name, () if isinstance(kind, LossKind) else ((6,),))


@pytest.mark.parametrize("name", INSTALLED)
def test_what_is_installed_says_the_truth(name: str) -> None:
    check_declarations(INSTALLED[name], settings(INSTALLED[name]), shapes(INSTALLED[name]))


MASKED: dict[str, tuple[dict[str, Any], tuple[tuple[int, ...], ...]]] = {
    "mean": ({"axes": (0,), "mask": "m"}, ((4, 3), (4,))),
    "mean of places": ({"axes": (0, 1), "mask": "m"}, ((4, 3, 2), (4, 3))),
    "mean along another axis": ({"axes": (1,), "mask": "m"}, ((4, 3), (3,))),
    "max": ({"axes": (0,), "mask": "m", "keep": True}, ((4, 3), (4,))),
    "attend": ({"heads": 2, "mask": "m"}, ((4, 12), (4,))),
    "attend three": ({"heads": 2, "mask": "m"}, ((4, 6), (4, 6), (4, 4), (4,))),
    "select": ({"index": -2}, ((4, 3),)),
    "softmax": ({"axis": 0}, ((4, 3),)),
    "softmax of channels": ({"axis": -1}, ((4, 3),)),
    "layer_norm": ({"axes": (0, 1)}, ((4, 3),)),
    "rms_norm": ({"axes": (-1,)}, ((4, 3),)),
    "tanh": ({}, ((4, 3),)),
    "linear": ({"out": 4}, ((4, 3),)),
}


@pytest.mark.parametrize("name", MASKED)
def test_what_is_read_of_what_a_mask_leaves_out(name: str) -> None:
    kind = next(kind for kind in LAYERS if kind.name == name.split()[0])
    fields, given = MASKED[name]
    check_declarations(kind, kind.spec(**fields), given)


@pytest.mark.parametrize(
    ("name", "sights"),
    [
        ("attend", (Sight(masked=True),)),
        ("attend three", (Sight(masked=True),)),
        ("mean along another axis", (Sight(masked=True),)),
        ("select", (Sight(at=1),)),
        ("softmax", ()),
        ("layer_norm", ()),
    ],
)
def test_a_layer_that_reads_more_than_it_says_is_caught(name: str, sights: tuple[Sight, ...]) -> None:
    kind = next(kind for kind in LAYERS if kind.name == name.split()[0])
    fields, given = MASKED[name]
    lying = replace(kind, infer=lambda *of: replace(kind.infer(*of), sights=sights))
    with pytest.raises(AssertionError, match="says that it does not read"):
        check_declarations(lying, kind.spec(**fields), given)


OTHERWISE: dict[str, dict[str, Any]] = {
    "max_pool2d": {"kernel": 3, "stride": 2},
    "avg_pool2d": {"kernel": 3, "stride": 2, "padding": 1},
    "adaptive_avg_pool2d": {"out": 5},
    "upsample": {"scale_factor": 2, "mode": "bilinear"},
}
"""Settings at which a layer on maps says less: what it does depends on how alike neighbours are, or on the place."""


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_said_depends_on_the_settings(name: str) -> None:
    kind = next(kind for kind in LAYERS if kind.name == name)
    layer = kind.spec(**OTHERWISE[name])
    check_declarations(kind, layer, ((2, 9, 8),))
    assert declared(kind, layer, ((2, 9, 8),)).error is None
    assert declared(kind, settings(kind), shapes(kind)).error is not None


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.name)
def test_no_layer_hides_that_it_is_homogeneous(kind: LayerKind) -> None:
    layer = settings(kind)
    assert is_homogeneous(kind, layer, shapes(kind)) == declared(kind, layer, shapes(kind)).homogeneous


class Plain(ParametricLayer):
    """A layer of these tests, whose kind says what it is."""

    kind: Literal["it"] = "it"


class Weighted(WeightedLayer):
    """The same with a weight."""

    kind: Literal["it"] = "it"


class Bare(Layer):
    """The same without parameters."""

    kind: Literal["it"] = "it"


def lying(kind: LayerKind, **traits: Any) -> LayerKind:
    return replace(kind, curve=None, traits=lambda *_: Traits(**traits))


def negated(kind: LayerKind) -> LayerKind:
    return replace(kind, forward=lambda b, *given: b.neg(kind.forward(b, *given)))


def added(b: Builder, layer: Any, inputs: Any, state: Any, mode: Any) -> Value:
    return b.add(b.matmul(inputs[0], state["weight"], tb=True), b.sum(state["weight"], (1,)))


def with_tensors(**roles: Role) -> Any:
    """An `infer` of square matrices; the first parameter of the name `weight` is the weight."""

    def infer(layer: Any, name: str, inputs: Any) -> Facts:
        ((n,),) = inputs
        found = tuple(
            Tensor(f"{name}.{part}", (n, n), "kaiming_uniform", n, n, role, role is not Role.STATISTIC)
            for part, role in roles.items()
        )
        return Facts((n,), found, next((t for t in found if t.part == "weight"), None))

    return infer


def past(part: str) -> Any:
    return lambda b, layer, xs, state, mode: b.matmul(xs[0], state[part], tb=True)


def gated(b: Builder, layer: Any, xs: Any, state: Any, mode: Any) -> Value:
    """s(V x) W x."""
    return b.mul(
        b.emit("sigmoid", past("gate")(b, layer, xs, state, mode)), past("weight")(b, 0, xs, state, 0)
    )


def stretched(b: Builder, layer: Any, xs: Any, state: Any, mode: Any) -> Value:
    """W x as a sum of products of numbers, which no op of the step says to be one."""
    (x,) = xs
    n = x.type.shape[-1]
    return b.sum(b.mul(b.reshape(x, (N, 1, n)), state["gate"]), (2,))


def mean(b: Builder, xs: Any) -> Value:
    return b.matmul(xs[0], xs[0], ta=True)


def moving(forward: Any, always: bool = False) -> Any:
    """A layer that hands on what it reads, and moves what `forward(b, xs, state)` says; outside training, if always."""

    def made(b: Builder, layer: Any, xs: Any, state: Any, mode: Any) -> Any:
        return Made(xs[0], forward(b, xs, state)) if mode.training or always else xs[0]

    return made


def at_every_build_another() -> Any:
    """W x, then 2 W x, then W x: what it makes depends on what it was asked for before."""
    scales = cycle((1.0, 2.0))

    def forward(b: Builder, layer: Any, xs: Any, state: Any, mode: Any) -> Value:
        return b.mul(past("weight")(b, layer, xs, state, mode), next(scales))

    return forward


def layer_of(forward: Any, **roles: Role) -> Callable[[], Kind]:
    model = Weighted if "weight" in roles else Plain
    return lambda: LayerKind("it", model, with_tensors(**roles), forward)


LIARS: dict[str, tuple[Callable[[], Kind], Model | None, str]] = {
    "a layer that is another one at every build": (
        lambda: layer_of(at_every_build_another(), weight=Role.PARAMETER)(),
        None,
        "with feedback F = W passes on another error than by backpropagation",
    ),
    "averages": (
        lambda: replace(BATCH_NORM, traits=lambda layer, facts: Traits(averages=1.0)),
        None,
        "says that its first averages multiply squares by 1, and they do not",
    ),
    "residual without its sum": (
        lambda: replace(RESIDUAL, own=lambda _: 0),
        None,
        r"says that it stands for 7 layers, and writes 8",
    ),
    "repeat, once": (
        lambda: replace(REPEAT, times=None),
        None,
        r"says that it stands for 9 layers, and writes 27",
    ),
    "tanh is homogeneous": (
        lambda: lying(TANH, homogeneous=True),
        None,
        "says that it is homogeneous, and is not",
    ),
    "sigmoid normalises": (
        lambda: lying(SIGMOID, unit=0.0),
        None,
        "that it normalises, and its mean square is",
    ),
    "sigmoid keeps zeros": (lambda: lying(SIGMOID, zero=True), None, "zeros of zeros, and does not"),
    "gelu keeps signs": (lambda: lying(negated(GELU), sign=True), None, "not negative so, and makes"),
    "a layer norm has pairs": (
        lambda: lying(LAYER_NORM, centred=2),
        None,
        "2 numbers share a mean, and one moves 6",
    ),
    "a layer norm has samples": (
        lambda: lying(LAYER_NORM, centred=6, channels=True),
        None,
        "42 numbers share a mean",
    ),
    "an RMS norm subtracts": (lambda: lying(RMS_NORM, centred=6), None, "subtracts a mean, and 3 more"),
    "relu is affine": (lambda: lying(RELU, affine=True), None, "is W x \\+ b, and is not"),
    "relu is linear": (lambda: lying(RELU, value=0.5), None, "is linear, and is not"),
    "tanh is linear": (lambda: lying(TANH, value=0.394), None, "is linear, and is not"),
    "dropout keeps squares": (
        lambda: lying(DROPOUT, value=1.0),
        None,
        "`value` is 1, and it is about 1.98",
    ),
    "dropout keeps errors": (lambda: lying(DROPOUT, error=1.0), None, "`error` is 1, and it is about"),
    "a weight that is not only multiplied with": (
        lambda: replace(LINEAR, forward=added),
        Linear(out=6),
        "multiplies with `it.weight`, and reads the weight by `matmul` and `sum`",
    ),
    "a matrix that is no weight": (
        layer_of(past("gate"), gate=Role.PARAMETER),
        None,
        "multiplies with `it.gate`, and does not name it as the weight",
    ),
    "a matrix beside the weight": (
        layer_of(gated, weight=Role.PARAMETER, gate=Role.PARAMETER),
        None,
        "multiplies with `it.gate`, and does not name it",
    ),
    "a matrix that no product says": (
        layer_of(stretched, gate=Role.PARAMETER),
        None,
        "multiplies with `it.gate`, and does not name it",
    ),
    "a statistic as a matrix": (
        layer_of(
            lambda b, layer, xs, state, mode: Made(
                past("gate")(b, layer, xs, state, mode), {"gate": mean(b, xs)}
            ),
            gate=Role.STATISTIC,
        ),
        None,
        "multiplies with `it.gate`, and does not name it",
    ),
    "a weight that is not multiplied with": (
        layer_of(lambda b, layer, xs, state, mode: xs[0], weight=Role.PARAMETER),
        None,
        "says that it multiplies with `it.weight`, and reads the weight by nothing",
    ),
    "a weight whose product is dropped": (
        layer_of(
            lambda b, layer, xs, state, mode: (past("weight")(b, layer, xs, state, mode), xs[0])[1],
            weight=Role.PARAMETER,
        ),
        None,
        "says that it multiplies with `it.weight`, and reads the weight by nothing",
    ),
    "a weight that multiplies another": (
        layer_of(
            lambda b, layer, xs, state, mode: b.matmul(
                xs[0], b.matmul(state["gate"], state["weight"], tb=True)
            ),
            weight=Role.PARAMETER,
            gate=Role.PARAMETER,
        ),
        None,
        "which is the same for all samples",
    ),
    "a statistic that is not moved": (
        layer_of(lambda b, layer, xs, state, mode: xs[0], mean=Role.STATISTIC),
        None,
        "`forward` of the layer `it`, .*does not move `mean` in training.*: mend the plug-in at .*test_declarations",
    ),
    "one of two statistics that is not moved": (
        layer_of(moving(lambda b, xs, state: {"mean": mean(b, xs)}), mean=Role.STATISTIC, var=Role.STATISTIC),
        None,
        "does not move `var` in training",
    ),
    "a statistic that stays where it is": (
        layer_of(moving(lambda b, xs, state: {"mean": b.add(state["mean"], 0.0)}), mean=Role.STATISTIC),
        None,
        "says that `mean` is a statistic, and leaves it where it is",
    ),
    "a statistic that there is not": (
        layer_of(moving(lambda b, xs, state: {"mean": mean(b, xs), "var": mean(b, xs)}), mean=Role.STATISTIC),
        None,
        "moves `var`, and may move `mean`: updates move parameters",
    ),
    "a parameter that is moved": (
        layer_of(moving(lambda b, xs, state: {"gain": mean(b, xs)}), gain=Role.PARAMETER),
        None,
        "moves `gain`, and may move nothing: updates move parameters",
    ),
    "a statistic of another shape": (
        layer_of(moving(lambda b, xs, state: {"mean": b.mean(xs[0], (0,))}), mean=Role.STATISTIC),
        None,
        r"returns f\[6\] where f\[6, 6\] is needed, the shape of `it.mean`",
    ),
    "a statistic of each sample": (
        layer_of(moving(lambda b, xs, state: {"mean": xs[0]}), mean=Role.STATISTIC),
        None,
        r"returns f\[N, 6\] where f\[6, 6\] is needed",
    ),
    "a statistic of integers": (
        layer_of(moving(lambda b, xs, state: {"mean": b.cast(mean(b, xs), DType.INT)}), mean=Role.STATISTIC),
        None,
        r"returns i\[6, 6\] where f\[6, 6\] is needed",
    ),
    "a statistic that moves in evaluation": (
        layer_of(moving(lambda b, xs, state: {"mean": mean(b, xs)}, always=True), mean=Role.STATISTIC),
        None,
        r"moves \['mean'\] where `mode.training` is false: frozen, and in evaluation",
    ),
    "another shape than it infers": (
        layer_of(lambda b, layer, xs, state, mode: b.sum(xs[0], (1,))),
        None,
        r"returns f\[N\] where f\[N, 6\] is needed, the shape of `infer`",
    ),
    "another shape in evaluation": (
        layer_of(lambda b, layer, xs, state, mode: xs[0] if mode.training else b.sum(xs[0], (1,))),
        None,
        r"returns f\[N\] where f\[N, 6\] is needed, the shape of `infer`",
    ),
    "a weight of a model that is not weighted": (
        lambda: LayerKind("it", Plain, with_tensors(weight=Role.PARAMETER), past("weight")),
        None,
        "has the weight `it.weight`, and its model is no WeightedLayer",
    ),
    "a weighted model without a weight": (
        lambda: LayerKind("it", Weighted, with_tensors(), moving(lambda b, xs, state: {})),
        None,
        "is a WeightedLayer, and `infer` names no weight",
    ),
    "parameters that nobody can freeze": (
        lambda: LayerKind("it", Bare, with_tensors(gate=Role.PARAMETER), past("gate")),
        None,
        "its model is no ParametricLayer: nobody could freeze it",
    ),
    "a weight that is none of its tensors": (
        lambda: replace(LINEAR, infer=lambda *given: replace(LINEAR.infer(*given), tensors=())),
        Linear(out=6),
        "says the weight `it.weight`, which is none of its tensors",
    ),
    "a curve of another layer": (
        lambda: replace(TANH, curve=SIGMOID.curve),
        None,
        "makes other numbers than its curve",
    ),
    "a curve with another derivative at its kink": (
        lambda: replace(RELU, forward=lambda b, layer, xs, *_: b.maximum(xs[0], 0.0)),
        None,
        "has the slope 0 at 0, and it",
    ),
    "a curve with a hole": (
        lambda: replace(TANH, curve=lambda _: Curve(lambda x: exp(x) / (1 + exp(x)))),
        None,
        "not a finite number everywhere",
    ),
    "a curve and traits": (lambda: replace(TANH, traits=DROPOUT.traits), None, "traits beside it"),
    "a surrogate that reads the output": (
        lambda: replace(CROSS_ENTROPY, surrogate=lambda b, loss, z, y: b.neg(z)),
        None,
        "the surrogate of `cross_entropy` reads the output",
    ),
    "a surrogate of the other sign": (
        lambda: replace(CROSS_ENTROPY, surrogate=lambda b, loss, z, y: one_hot(b, z, y)),
        None,
        "the surrogate of `cross_entropy` has another sign than its error",
    ),
    "mse reads labels": (lambda: replace(MSE, classes=True), None, "and cannot read them"),
    "the matrix is another": (
        lambda: replace(RANDOM, matrix=lambda b, m, ends, state, w: b.mul(state["B"], 2.0)),
        Random(),
        "another matrix than its `matrix`",
    ),
    "a full matrix of rank 1": (
        lambda: replace(RANDOM, rank=lambda *_: 1),
        Random(),
        "rank is 1, and it is 4",
    ),
    "a rank below that of the factors": (
        lambda: replace(LOW_RANK, rank=lambda *_: 2),
        LowRank(rank=3),
        "rank is 2, and it is 3",
    ),
    "a number that is measured": (
        lambda: replace(LOW_RANK, auto=lambda _: AutoRank()),
        LowRank(rank=2),
        "says that its rank is measured, and has no field `rank` that says so",
    ),
    "rules that nobody asks": (
        lambda: replace(LOW_RANK, learn=lambda *_: ()),
        LowRank(rank=2),
        "a rule teaches P, Q, and nothing does",
    ),
    "a transpose that is refreshed": (
        lambda: replace(TRANSPOSE, refresh=lambda _: 3),
        Transpose(),
        "no P and Q to set anew",
    ),
    "a rule that follows no weight": (
        lambda: replace(NORMATIVE, follows=True),
        None,
        "does not take the step of the forward weight",
    ),
    "a follower that does not say so": (
        lambda: replace(KOLEN_POLLACK, follows=False),
        None,
        "takes the step of the forward weight",
    ),
    "a rule for P that teaches Q": (lambda: replace(LOCAL, read=KOLEN_POLLACK.write), None, "should teach P"),
    "a step of another shape": (
        lambda: replace(LOCAL, read=lambda b, rule, state, signals: Learned("P", state["Q"], True)),
        None,
        "should teach P",
    ),
    "a rule that descends to something else": (
        lambda: replace(LOCAL, tracks=True),
        None,
        "P and Q do not descend their distance",
    ),
    "a descent that does not say so": (
        lambda: replace(NORMATIVE, tracks=False),
        None,
        "P and Q descend their distance",
    ),
    "a momentum that is not there": (
        lambda: replace(SGD, descent=lambda rule: Descent(0.5, nesterov=False)),
        Sgd(lr=0.1, momentum=0.9),
        "another step than its `descent`",
    ),
    "a decay that is not told": (
        lambda: replace(SGD, decay=lambda rule: 0.0, descent=lambda rule: None),
        Sgd(lr=0.1, weight_decay=0.1),
        "its decay is 0, and it takes of the weight",
    ),
    "a loss that is a sum": (
        lambda: replace(
            MSE, forward=lambda b, loss, z, y: b.mul(MSE.forward(b, loss, z, y), b.emit("batch_size"))
        ),
        None,
        "`mse` is no mean over samples",
    ),
    "a mean over weights that are not told": (
        lambda: replace(CROSS_ENTROPY, weight=lambda *_: None),
        CrossEntropy(weight=(1.0, 2.0, 3.0)),
        "`cross_entropy` is no mean over samples",
    ),
    "a mean over other weights": (
        lambda: replace(MSE, weight=lambda b, loss, z, y: b.sum(b.mul(y, y), (0, 1))),
        None,
        "is no mean over its `weight`",
    ),
    "weights of samples that are not added up": (
        lambda: replace(MSE, weight=lambda b, loss, z, y: b.sum(y, (1,))),
        None,
        "the weight of `mse` is no scalar",
    ),
    "a rest that is not told": (
        lambda: replace(CROSS_ENTROPY, least=lambda *_: 0.0),
        CrossEntropy(label_smoothing=0.2),
        "the best output has a loss of 0, and it has 0",
    ),
    "a rest that there is not": (
        lambda: replace(MSE, least=lambda *_: 0.1),
        None,
        "the best output has a loss of 0.1, and it has",
    ),
    "targets without bounds": (
        lambda: replace(BCE, within=None),
        None,
        "says that the best output has a loss of",
    ),
    "bounds that are too wide": (
        lambda: replace(BCE, within=(-1.0, 1.0)),
        None,
        "says that the best output has a loss of",
    ),
    "bounds the other way round": (lambda: replace(MSE, within=(1.0, 0.0)), None, "targets lie within"),
    "bounds of labels": (lambda: replace(CROSS_ENTROPY, within=(0.0, 2.0)), None, "labels have no bounds"),
    "a softmax that is not inside": (
        lambda: replace(MSE, within=(0.0, 1.0), inside="sigmoid"),
        None,
        "applies `sigmoid`, and behind one its loss still falls to",
    ),
    "what is inside is no layer": (
        lambda: replace(CROSS_ENTROPY, inside="logits"),
        None,
        "applies `logits`, which is no layer",
    ),
    "a loss that reads no such output": (
        lambda: replace(MSE, misfit=lambda loss, shape: ShapeError("too few")),
        None,
        r"cannot read an output of \[3\]: too few",
    ),
    "a misfit that is not told": (
        lambda: replace(CROSS_ENTROPY, misfit=lambda *_: None),
        CrossEntropy(weight=(1.0, 2.0, 3.0)),
        r"says that it can read an output of \[2\], and fails with TypeRuleError",
    ),
    "a misfit of a field that there is not": (
        lambda: replace(
            BCE, misfit=lambda loss, shape: ShapeError("no", field="wide") if len(shape) > 1 else None
        ),
        None,
        "says that `wide` misfits: there is no such field",
    ),
    "a misfit of another sort": (
        lambda: replace(MSE, misfit=lambda loss, shape: Refusal("no") if len(shape) > 1 else None),  # type: ignore[arg-type,return-value]
        None,
        "says a misfit by Refusal",
    ),
    "a loss that gives no error back": (
        lambda: replace(
            MSE, forward=lambda b, loss, z, y: MSE.forward(b, loss, b.stop_gradient(z), y), constant=None
        ),
        None,
        "gives no error back",
    ),
    "a best constant that is better": (
        lambda: replace(MSE, constant=lambda *_: 0.0),
        None,
        "best constant output has a loss of 0, and",
    ),
    "a curve that goes on where the layer does not": (
        lambda: replace(RELU, forward=lambda b, layer, xs, *_: b.clamp(b.emit("relu", xs[0]), 0.0, 50.0)),
        None,
        "other large numbers than its curve",
    ),
    "an operator that reads a weight where there is none": (
        lambda: replace(TRANSPOSE, misfit=lambda *_: None),
        None,
        "`transpose` fails on a `to` route, where `signals.weight` is None; .* its `misfit`",
    ),
    "learning that is not told": (
        lambda: replace(LOW_RANK, learning=lambda matrix: {}),
        LowRank(rank=2),
        "has a rule in `read`, and does not say what it teaches",
    ),
    "rules that change places": (
        lambda: replace(LOW_RANK, learning=lambda m: {"P": m.write, "Q": m.read}),
        LowRank(rank=2),
        "says that `kolen_pollack` teaches P, and another rule does",
    ),
    "a rank that it does not reach": (
        lambda: replace(LOW_RANK, rank=lambda *_: 4),
        LowRank(rank=2),
        "its rank is 4, and it is 2",
    ),
    "a decay that passes through moments": (
        lambda: replace(ADAM, decay=lambda rule: 0.5),
        None,
        "its decay is 0.5, and it is not",
    ),
    "moments the other way round": (
        lambda: replace(ADAM, moments=("beta2", "beta1")),
        None,
        "other means than its `moments`",
    ),
    "factors of which another step is made": (
        lambda: replace(
            GRAM_ORTHOGONAL,
            factored=lambda _: (
                lambda b, rule, w, product, *rest: GRAM_ORTHOGONAL.apply(
                    b, rule, w, b.matmul(product.left, b.mul(product.right, -1.0), ta=True), *rest
                )
            ),
        ),
        GramOrthogonal(lr=0.1),
        "takes another step from the factors",
    ),
    "an update that keeps less than it says": (
        lambda: replace(ADAM, slots=lambda rule: (*ADAM.slots(rule), "more")),
        None,
        "says that it keeps",
    ),
}


@pytest.mark.parametrize(
    ("kind", "loss", "shape"),
    [
        (CROSS_ENTROPY, CrossEntropy(label_smoothing=0.2, weight=(0.0, 2.0, 0.5)), (3,)),
        (CROSS_ENTROPY, CrossEntropy(weight=(1.0, 2.0)), (2,)),
        (BCE, Bce(pos_weight=(0.5, 3.0, 1.0)), (3,)),
        (BCE, Bce(pos_weight=2.0), (2, 2)),
        (HUBER, Huber(delta=0.3), (1,)),
        (MSE, Mse(), (2, 3)),
    ],
    ids=lambda value: "" if isinstance(value, LossKind) else str(value),
)
def test_losses_say_the_truth_of_other_settings_and_shapes(
    kind: LossKind, loss: Model, shape: tuple[int, ...]
) -> None:
    check_declarations(kind, loss, (shape,))


@pytest.mark.parametrize("mask", [PerUnit(per_unit=2), PerUnit(per_unit=1, rank=3), Density(density=0.5)])
def test_masked_matrices_say_the_truth(mask: PerUnit | Density) -> None:
    check_declarations(RANDOM, Random(mask=mask))


def test_a_rank_that_is_measured_says_the_truth() -> None:
    check_declarations(LOW_RANK, LowRank(rank="auto"))
    check_declarations(LOW_RANK, LowRank(rank=AutoRank(at_most=2)))


HONEST: dict[str, Callable[[], Kind]] = {
    "a matrix named as the weight": layer_of(past("weight"), weight=Role.PARAMETER),
    "one number for each unit": lambda: LayerKind(
        "it",
        Plain,
        lambda layer, name, inputs: Facts(inputs[0], (Tensor(f"{name}.gain", inputs[0], "ones"),)),
        lambda b, layer, xs, state, mode: b.mul(xs[0], state["gain"]),
    ),
    "a matrix past which no error is sent": layer_of(
        lambda b, layer, xs, state, mode: b.add(
            xs[0], past("code")(b, layer, [b.stop_gradient(xs[0])], state, mode)
        ),
        code=Role.PARAMETER,
    ),
    "a fixed matrix that is no tensor": layer_of(
        lambda b, layer, xs, state, mode: b.matmul(xs[0], b.reshape(b.table((0.0, 1.0) * 18), (6, 6)))
    ),
    "a statistic that is moved in training": layer_of(
        moving(lambda b, xs, state: {"mean": mean(b, xs)}), mean=Role.STATISTIC
    ),
    "a statistic that only large numbers move": layer_of(
        moving(lambda b, xs, state: {"peak": b.maximum(state["peak"], b.sub(mean(b, xs), 1e4))}),
        peak=Role.STATISTIC,
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_who_says_the_truth_is_believed(name: str) -> None:
    check_declarations(HONEST[name]())


@pytest.mark.parametrize("turned", [False, True])
def test_a_weight_may_be_kept_in_another_shape_than_it_is_multiplied_in(turned: bool) -> None:
    """As a vector, or with its axes the other way round; W x + b is meant of the one in the product."""

    def infer(layer: Any, name: str, inputs: Any) -> Facts:
        facts = LINEAR.infer(layer, name, inputs)
        weight, *rest = facts.tensors
        kept = replace(weight, shape=weight.shape[::-1] if turned else (weight.size,))
        return replace(facts, tensors=(kept, *rest))

    def forward(b: Builder, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:
        w = state["weight"]
        w = b.transpose(w, (1, 0)) if turned else b.reshape(w, (layer.out, inputs[0].type.shape[1]))
        return LINEAR.forward(b, layer, inputs, {**state, "weight": w}, mode)

    kind = replace(LINEAR, infer=infer, forward=forward)
    if turned:  # a solve would set it the other way round
        with pytest.raises(AssertionError, match="what it makes beside weight times rows"):
            check_declarations(kind, Linear(out=4))
        kind = replace(kind, inverse=None)
    check_declarations(kind, Linear(out=4))


@pytest.mark.parametrize("name", LIARS)
def test_a_liar_is_caught(name: str) -> None:
    liar, spec, message = LIARS[name]
    made: Any = liar()
    with pytest.raises(AssertionError, match=message):
        check_declarations(made, spec or settings(made))


NOT_AN_AXIS = "says that axis 0 of its output is axis {} of its input, and it is not"
NOT_BY_WINDOWS = "moves windows along all axes but axis 0, and does not say that channels lie along that one"


@pytest.mark.parametrize(
    ("kind", "shape", "said", "message"),
    [
        (LINEAR, (4, 5), {"channels": 0}, "makes the channels along axis 0 of its output, and it does not"),
        (
            CONV2D,
            (2, 4, 3),
            {"channels": 1},
            "makes the channels along axis 1 of its output, and it does not",
        ),
        (CONV2D, (2, 4, 3), {"channels": None}, "does not say along which axis its weight makes channels"),
        (BATCH_NORM, (3, 6, 5), {"channels": 2}, "has numbers for each place along axis 0"),
        (BATCH_NORM, (3, 6), {"channels": 1}, "has numbers for each place along axis 0"),
        (MAX_POOL2D, (3, 7, 4), {"channels": 2}, NOT_BY_WINDOWS),
        (MAX_POOL2D, (3, 7, 4), {"channels": None}, NOT_BY_WINDOWS),
        (PERMUTE, (4, 4), {"axes": (0, 1)}, NOT_AN_AXIS.format(0)),
        (PERMUTE, (2, 4), {"axes": (0, 1)}, NOT_AN_AXIS.format(0)),
        (MEAN, (4, 4, 4), {"axes": (1,)}, NOT_AN_AXIS.format(1)),
        (GLOBAL_AVG_POOL, (3, 5, 2), {"axes": (2,)}, NOT_AN_AXIS.format(2)),
        (RELU, (3, 6, 5), {"axes": (2, 1, 0)}, NOT_AN_AXIS.format(2)),
        (FLATTEN, (5, 6), {"axes": (0,)}, NOT_AN_AXIS.format(0)),
        (RELU, (6,), {"stops": True}, "says that it stops errors, and passes them to what it reads"),
        (
            ZEROS,
            (6,),
            {"stops": False},
            "passes no error to what it reads, and does not say that it stops it",
        ),
    ],
    ids=lambda given: given.name if isinstance(given, LayerKind) else None,
)
def test_what_is_said_of_axes_and_errors_is_held(
    kind: LayerKind, shape: Any, said: Any, message: str
) -> None:
    check_declarations(kind, settings(kind), (shape,))
    lying = replace(kind, infer=lambda *given: replace(kind.infer(*given), **said))
    with pytest.raises(AssertionError, match=message):
        check_declarations(lying, settings(kind), (shape,))


@pytest.mark.parametrize(
    ("kind", "layer", "shape"),
    [
        ("max_pool2d", {"kernel": (1, 2)}, (3, 5, 4)),
        ("avg_pool2d", {"kernel": 3, "stride": 1, "padding": 1}, (3, 4, 4)),
        ("layer_norm", {"axes": (1, 2)}, (3, 5, 4)),
        ("softmax", {"axis": -1}, (3, 5, 4)),
        ("conv2d", {"out": 3, "kernel": (3, 1)}, (3, 4, 4)),
        ("conv2d", {"out": 6, "kernel": 3, "padding": 1, "groups": 3}, (3, 4, 4)),
        ("linear", {"out": 4}, (4, 4, 4)),
        ("batch_norm", {}, (4, 4, 4)),
        ("batch_norm", {"moments": "averages", "affine": False}, (4, 4)),
        ("reshape", {"shape": (2, 3, 20)}, (2, 3, 5, 4)),
        ("select", {"axis": 0, "index": 1}, (4, 3, 2)),
    ],
)
def test_what_is_true_of_axes_passes_at_other_settings(kind: str, layer: Any, shape: Any) -> None:
    found = next(each for each in LAYERS if each.name == kind)
    check_declarations(found, found.spec(**layer), (shape,))


def test_settings_without_a_default_have_to_be_given() -> None:
    with pytest.raises(
        ValueError, match=r"`linear` has settings without a default, `out`: give `spec=Linear\(...\)`"
    ):
        check_declarations(LINEAR)
