"""What kinds declare is true of everything that is installed, and a kind that lies is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import exp
from typing import Any

import pytest

from fac.feedback.exact import TRANSPOSE, Transpose
from fac.feedback.kolen_pollack import KOLEN_POLLACK
from fac.feedback.local import LOCAL
from fac.feedback.low_rank import LOW_RANK, LowRank
from fac.feedback.normative import NORMATIVE
from fac.feedback.random import RANDOM, Random
from fac.layers.blocks import REPEAT, RESIDUAL
from fac.layers.elementwise import DROPOUT, GELU, RELU, SIGMOID, TANH
from fac.layers.linear import LINEAR, Linear
from fac.layers.norms import LAYER_NORM, RMS_NORM
from fac.losses.mse import MSE
from fac.plugins import kinds
from fac.program.kinds import Descent, Facts, Kind, LayerKind, Learned
from fac.program.traits import Curve, Traits
from fac.spec.base import Model
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.testing import check_declarations
from fac.testing.layer_laws import declared, is_homogeneous
from fac.updates.adam import ADAM
from fac.updates.sgd import SGD, Sgd

GROUPS = ("fac.layers", "fac.losses", "fac.feedback", "fac.learning", "fac.updates")
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
    "conv2d": {"out": 3, "kernel": 2, "padding": 1},
    "group_norm": {"groups": 2},
    "conv1d": {"out": 3, "kernel": 1},
    "conv_transpose2d": {"out": 3, "kernel": 2, "stride": 2},
    "low_rank": {"rank": 2},
    "dropout": {"rate": 0.5},
    "reshape": {"shape": (3, -1)},
    "concat": {"from": ("a", "b")},
    "multiply": {"from": ("a", "b")},
    "avg_pool2d": {"kernel": 2, "stride": 1},
    "adaptive_avg_pool2d": {"out": (6, 4)},
    "pad": {"padding": (0, 2)},
    "upsample": {"scale_factor": (3, 2)},
    "permute": {"axes": (1, 0)},
    "mean": {"axes": "spatial"},
    "max": {"axes": "channels"},
    "max_pool2d": {"kernel": (3, 2), "padding": 1},
    "sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.2},
}
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "batch_norm": ((2, 3, 2),),
    "group_norm": ((4, 3),),
    "flatten": ((2, 3),),
    "reshape": ((2, 3),),
    "add": ((6,), (6,)),
    "conv2d": ((2, 4, 3),),
    "concat": ((60, 4), (60, 4)),
    "multiply": ((6,), (6,)),
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
}
"""Of the samples that a layer reads, where it is not one vector of 6."""


def settings(kind: Any) -> Model:
    made: Model = kind.spec(**SETTINGS.get(kind.name, {"lr": 0.1} if "lr" in kind.spec.model_fields else {}))
    return made


def shapes(kind: Any) -> tuple[tuple[int, ...], ...]:
    return SHAPES.get(kind.name, ((6,),))


@pytest.mark.parametrize("name", INSTALLED)
def test_what_is_installed_says_the_truth(name: str) -> None:
    check_declarations(INSTALLED[name], settings(INSTALLED[name]), shapes(INSTALLED[name]))


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


def lying(kind: LayerKind, **traits: Any) -> LayerKind:
    return replace(kind, curve=None, traits=lambda *_: Traits(**traits))


def negated(kind: LayerKind) -> LayerKind:
    return replace(kind, forward=lambda b, *given: b.neg(kind.forward(b, *given)))


def added(b: Builder, layer: Any, inputs: Any, state: Any, mode: Any) -> Value:
    return b.add(b.matmul(inputs[0], state["weight"], tb=True), b.sum(state["weight"], (1,)))


LIARS: dict[str, tuple[Callable[[], Kind], Model | None, str]] = {
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
    "an update that keeps less than it says": (
        lambda: replace(ADAM, slots=lambda rule: (*ADAM.slots(rule), "more")),
        None,
        "says that it keeps",
    ),
}


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

    check_declarations(replace(LINEAR, infer=infer, forward=forward), Linear(out=4))


@pytest.mark.parametrize("name", LIARS)
def test_a_liar_is_caught(name: str) -> None:
    liar, spec, message = LIARS[name]
    made: Any = liar()
    with pytest.raises(AssertionError, match=message):
        check_declarations(made, spec or settings(made))
