"""FAC325 and the estimate behind it, against errors that are measured in networks as they are drawn."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
import pytest

from fac.build.initial import draw
from fac.build.routing import Routing
from fac.build.trace import Trace
from fac.checks.laws import mean_square
from fac.checks.spread import Spread
from fac.layers.elementwise import Gelu, Sigmoid, Tanh
from fac.program.declared import curve_of
from fac.program.lower import lower
from fac.spec.model import ModelSpec
from fac_reference.interpreter import run
from tests.checks.specs import Layers, chain, diagnosed, found, linear, routes

INPUTS, SEEDS, BATCH, WIDTH = 64, 12, 32, 96
TOLERANCE = 0.12
"""Of the norm of an error, relative: what the mean over the seeds still varies by, and finite widths add."""

STD1 = {"kind": "normal", "std": 1.0}


def spec(layers: Layers, feedback: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "fac": 1,
            "name": "spread",
            "input": {"shape": (INPUTS,)},
            "layers": layers,
            "loss": {"kind": "cross_entropy"},
            "feedback": feedback,
            "update": {"rule": "sgd", "lr": 0.1},
        }
    )


def measured(of: ModelSpec) -> dict[str, float]:
    """Mean over draws of |error|^2 at each layer with weights, beside that at the output; its root."""
    program = lower(of)
    trace = Trace(program, training=True)
    routing = Routing(trace, trace.loss())
    wanted = {node.name: routing.reverse.cotangent(trace.values[node.name]) for node in program.weighted}
    function = trace.b.finish("errors", {name: value for name, value in wanted.items() if value is not None})
    sums = dict.fromkeys(wanted, 0.0)
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        known: dict[str, Any] = dict(draw(program.arrays, seed)) | {
            "x": rng.standard_normal((BATCH, INPUTS)),
            "y": rng.integers(0, 10, BATCH),
            "step": 0,
        }
        errors = run(function, {v.name: known[v.name] for v in function.inputs}, np.dtype(np.float64))
        whole = np.vdot(errors[program.output], errors[program.output])
        for name, error in errors.items():
            sums[name] += float(np.vdot(error, error) / whole)
    return {name: (total / SEEDS) ** 0.5 for name, total in sums.items()}


def net(act: str | None = "relu", depth: int = 5, **fields: Any) -> Layers:
    return chain(*([WIDTH] * depth), act=act, classes=10, **fields)


def residual(blocks: int, width: int = WIDTH) -> Layers:
    """Blocks that read an activation of the sum and add to the sum, as pre-activation networks do."""
    layers: list[dict[str, Any]] = [linear("fc0", width)]
    below = "fc0"
    for i in range(1, blocks + 1):
        layers += [
            {"kind": "relu", "from": below},
            linear(f"fc{i}", width),
            {"kind": "add", "name": f"sum{i}", "from": (below, f"fc{i}")},
        ]
        below = f"sum{i}"
    return (*layers, linear("logits", 10))


def kernels(*behind: dict[str, Any], depth: int = 2, **fields: Any) -> Layers:
    """Convolutions without padding, so that every error goes to all that a kernel reads."""
    layers: list[dict[str, Any]] = [{"kind": "reshape", "shape": (4, 4, 4)}]
    for i in range(1, depth + 1):
        kernel = {"kind": "conv2d", "name": f"c{i}", "out": 48, "kernel": 2} | fields
        layers += [kernel, *behind, {"kind": "relu"}]
    return (*layers, {"kind": "flatten"}, linear("logits", 10))


EXACT: dict[str, tuple[Layers, Any]] = {
    "kernels": (kernels(), {"rule": "bp"}),
    "kernels, fa": (kernels(), {"rule": "fa", "scale": 0.5}),
    "kernels, dfa": (kernels(), {"rule": "dfa"}),
    "kernels that enlarge": (kernels(kind="conv_transpose2d", stride=2), {"rule": "bp"}),
    "kernels that enlarge, fa": (kernels(kind="conv_transpose2d", stride=2), {"rule": "fa"}),
    "kernels that enlarge, ldfa": (
        kernels(kind="conv_transpose2d", stride=2),
        {"rule": "ldfa", "rank": 9, "learn": "fixed"},
    ),
    "groups": (kernels(groups=4), {"rule": "fa"}),
    "kernels, ldfa": (kernels(), {"rule": "ldfa", "rank": 9, "learn": "fixed"}),
    "relu": (net(), {"rule": "bp"}),
    "linear": (net(None), {"rule": "bp"}),
    "tanh": (net("tanh"), {"rule": "bp"}),
    "tanh, saturated": (net("tanh", init=STD1), {"rule": "bp"}),
    "sigmoid": (net("sigmoid"), {"rule": "bp"}),
    **{kind: (net(kind), {"rule": "bp"}) for kind in ("gelu", "silu", "elu", "selu", "softplus", "abs")},
    "hardsigmoid": (net("hardsigmoid"), {"rule": "bp"}),
    # Its slopes and its values go together most: at this width 4 % a layer.
    "hardswish": (net("hardswish", depth=3), {"rule": "bp"}),
    "leaky": (net("leaky_relu"), {"rule": "bp"}),
    "orthogonal": (net(init="orthogonal"), {"rule": "bp"}),
    "xavier": (net(init="xavier_uniform"), {"rule": "bp"}),
    "uniform": (net(init={"kind": "uniform", "bound": 0.3}), {"rule": "bp"}),
    "fa": (net(), {"rule": "fa"}),
    "fa, normal": (net(), {"rule": "fa", "init": STD1}),
    "fa, scaled": (net(), {"rule": "fa", "scale": 0.2}),
    "fa, tanh": (net("tanh"), {"rule": "fa", "init": STD1}),
    "dfa": (net(), {"rule": "dfa"}),
    "dfa, orthogonal": (net(), {"rule": "dfa", "init": "orthogonal"}),
    "ldfa, fixed": (net(), {"rule": "ldfa", "rank": 20, "learn": "fixed"}),
    "direct_ldfa, fixed": (net(), {"rule": "direct_ldfa", "rank": 5, "learn": "fixed"}),
    "dropout": (
        (linear("fc1", WIDTH), {"kind": "relu"}, {"kind": "dropout", "rate": 0.4}, *net(depth=3)[2:]),
        {"rule": "bp"},
    ),
    "residual": (residual(5), {"rule": "bp"}),
    "read twice": (
        (
            linear("fc1", WIDTH),
            {"kind": "add", "name": "twice", "from": ("fc1", "fc1")},
            {"kind": "tanh"},
            linear("fc2", WIDTH),
            {"kind": "add", "name": "thrice", "from": ("fc2", "fc2", "fc2")},
            linear("logits", 10),
        ),
        {"rule": "bp"},
    ),
    "subspace": (
        net(depth=3),
        routes(
            {"to": "fc1", "from": "task"},
            {"to": "fc2", "from": "fc3", "matrix": {"kind": "random", "scale": 3.0}},
            subspaces=({"name": "task", "rank": 5},),
        ),
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_the_estimate_is_what_networks_show(name: str) -> None:
    of = spec(*EXACT[name])
    spread = Spread(lower(of))
    for layer, size in measured(of).items():
        expected = spread.errors[layer]
        assert expected is not None
        assert expected.low == expected.high
        assert exp(expected.low / 2) == pytest.approx(size, rel=TOLERANCE), layer


@pytest.mark.parametrize("norm", ["batch_norm", "layer_norm", "rms_norm"])
@pytest.mark.parametrize("std", [1e-3, 30.0])
def test_what_is_normalised_is_bounded_from_below(norm: str, std: float) -> None:
    """By the mean square of what is read, which is never below its variance: small weights make large errors."""
    axes = {} if norm == "batch_norm" else {"axes": (0, 1, 2)}
    layers = kernels({"kind": norm} | axes)
    layers = (layers[0], layers[1] | {"init": {"kind": "normal", "std": std}}, *layers[2:])
    spread = Spread(lower(spec(layers, {"rule": "bp"})))
    sizes = measured(spec(layers, {"rule": "bp"}))
    for layer, size in sizes.items():
        expected = spread.errors[layer]
        assert expected is not None
        assert size / 2 <= exp(expected.low / 2) <= size * (1 + TOLERANCE)
    assert (sizes["c1"] > 100, sizes["c1"] < 0.1) == (std < 1, std > 1)


@pytest.mark.parametrize("std", [0.02, 0.3, 2.0])
@pytest.mark.parametrize("act", ["relu", "tanh"])
def test_a_frozen_norm_passes_errors_by_its_first_averages(std: float, act: str) -> None:
    """They say nothing of what it reads: what is small or large stays so."""
    norm = {"kind": "batch_norm", "trainable": False, "eps": 0.5}
    start, *rest = chain(*[WIDTH] * 4, act=act, classes=10, init={"kind": "normal", "std": std})
    layers: Layers = (
        start,
        *(each for layer in rest for each in ((norm, layer) if layer["kind"] == act else (layer,))),
    )
    of = spec(layers, {"rule": "bp"})
    foretold, sizes = Spread(lower(of)).errors, measured(of)
    for layer, size in sizes.items():
        expected = foretold[layer]
        assert expected is not None
        assert expected.low == expected.high
        assert exp(expected.low / 2) == pytest.approx(size, rel=TOLERANCE), layer
    codes = [finding.rule.code for finding in diagnosed(layers, input={"shape": (INPUTS,)})]
    assert ("FAC325" in codes) == (sizes["fc1"] > 1e3 or sizes["fc1"] < 1e-3)


@pytest.mark.parametrize("learn", ["oja_kp", "normative", "local"])
def test_what_learns_is_bounded_from_below(learn: str) -> None:
    """A P that learns turns towards the error, an SVD starts there: both pass on more than a random P."""
    of = spec(net(depth=4), {"rule": "ldfa", "rank": 12, "learn": learn})
    spread = Spread(lower(of))
    for layer, size in measured(of).items():
        expected = spread.errors[layer]
        assert expected is not None
        assert exp(expected.low / 2) <= size * (1 + TOLERANCE)
        assert layer in ("fc4", "logits") or expected.high > log(1e12)


@pytest.mark.parametrize("layer", [Tanh(), Sigmoid(), Gelu()], ids=lambda layer: layer.kind)
@pytest.mark.parametrize("square", [1e-4, 1.0, 100.0, 1e6])
def test_the_integrals(layer: Any, square: float) -> None:
    """Against a fine sum over a, where even a saturated derivative is wide."""
    kind, curve = layer.kind, curve_of(layer)
    assert curve is not None
    a = np.concatenate(
        [
            -np.geomspace(1e-9, 8 * square**0.5 + 40, 200_000)[::-1],
            np.geomspace(1e-9, 8 * square**0.5 + 40, 200_000),
        ]
    )
    density = np.exp(-a * a / (2 * square)) / (2 * np.pi * square) ** 0.5
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-a))
    cumulative = np.array([_normal(value) for value in a[::40]])
    if kind == "gelu":
        a, density = a[::40], density[::40]
        values = {False: a * cumulative, True: cumulative + a * np.exp(-a * a / 2) / (2 * np.pi) ** 0.5}
    else:
        values = {
            "tanh": {False: np.tanh(a), True: 1 - np.tanh(a) ** 2},
            "sigmoid": {False: sigmoid, True: sigmoid * (1 - sigmoid)},
        }[kind]
    for derivative, f in values.items():
        assert mean_square(curve, derivative, square) == pytest.approx(
            float(np.trapezoid(f * f * density, a)), rel=2e-2
        )


def _normal(value: float) -> float:
    from math import erf

    return (1 + erf(value / 2**0.5)) / 2


@pytest.mark.parametrize(
    ("layers", "feedback", "place", "ratio"),
    [
        (
            net(depth=4),
            {"rule": "fa", "init": {"kind": "normal", "std": 1.0}},
            "feedback.init",
            "2300 times as large",
        ),
        (net(depth=3), {"rule": "fa", "scale": 15.0}, "feedback.scale", "3400 times as large"),
        (net(depth=3), {"rule": "fa", "scale": 0.05}, "feedback.scale", "0.00013 times that"),
        (net(depth=7), {"rule": "ldfa", "rank": 9, "learn": "fixed"}, "feedback.rank", "0.00078 times that"),
        (net("sigmoid", 7), {"rule": "bp"}, "layers[2].name", "0.00028 times that"),
    ],
)
def test_what_is_reported(layers: Layers, feedback: Any, place: str, ratio: str) -> None:
    reported = [d for d in diagnosed(layers, feedback=feedback) if d.rule.code == "FAC325"]
    assert [d.message for d in reported if ratio in d.message], [d.message for d in reported]
    assert ("FAC325", place) in found(layers, feedback=feedback)


@pytest.mark.parametrize(
    ("ratio", "reported"), [(998, False), (1002, True), (1 / 998, False), (1 / 1002, True)]
)
def test_a_thousand_times_is_the_limit(ratio: float, reported: bool) -> None:
    """The scale of the only route is a factor on the error of the first layer."""
    layers = net(None, depth=1, bias=False)
    error = Spread(lower(spec(layers, {"rule": "fa"}))).errors["fc1"]
    assert error is not None
    feedback = {"rule": "fa", "scale": ratio / exp(error.low / 2)}
    assert ("FAC325" in {code for code, _ in found(layers, feedback=feedback)}) == reported


def test_the_suggested_scale_mends_it() -> None:
    layers = net(depth=4)
    (finding,) = diagnosed(layers, feedback={"rule": "fa", "init": STD1})
    scale = float(finding.help.partition("`scale: ")[2].partition("`")[0])
    spread = Spread(lower(spec(layers, {"rule": "fa", "init": STD1, "scale": scale})))
    error = spread.errors["fc1"]
    assert error is not None
    assert abs(error.low) < 0.6


def test_the_suggested_init_mends_it() -> None:
    (finding,) = diagnosed(net(depth=8, init={"kind": "normal", "std": 0.4}))
    std = float(finding.help.partition("std: ")[2].partition("}")[0])
    spread = Spread(lower(spec(net(depth=8, init={"kind": "normal", "std": std}), {"rule": "bp"})))
    error = spread.errors["fc1"]
    assert error is not None
    assert abs(error.low) < 0.6


@pytest.mark.parametrize(
    "feedback",
    [
        {"rule": "ldfa", "rank": 10},
        {"rule": "ldfa", "rank": 10, "learn": "normative"},
        {"rule": "fa", "scale": 1e-3, "learn": {"rule": "kolen_pollack"}},
    ],
)
def test_what_learns_is_never_too_small(feedback: Any) -> None:
    decay = {"rule": "sgd", "lr": 0.1, "weight_decay": 0.01}
    assert "FAC325" not in {code for code, _ in found(net(depth=12), feedback=feedback, update=decay)}


def test_residual_blocks_grow_without_a_layer_to_blame() -> None:
    (finding,) = [d for d in diagnosed(residual(24, 32)) if d.rule.code == "FAC325"]
    assert "joins" in finding.help
    assert finding.message == "the error at `fc0` is expected to be 5800 times as large as that at the output"


def test_depth_is_no_limit() -> None:
    """Two to the power of 2,500: far beyond what a float holds."""
    (finding,) = [d for d in diagnosed(residual(5000, 4)) if d.rule.code == "FAC325"]
    assert "1e+753 times as large" in finding.message


@pytest.mark.parametrize(
    "layers",
    [
        (linear("fc1"), {"kind": "relu"}, linear("logits", 4, init="zeros")),
        chain(8, 8, act="tanh", init="zeros"),
    ],
)
def test_zeros_are_another_matter(layers: Layers) -> None:
    """The error of a layer below zeros is not small: it is not there yet."""
    assert "FAC325" not in {code for code, _ in found(layers)}


def test_nothing_is_estimated_beside_an_error() -> None:
    broken = (*net(depth=4)[:-1], linear("logits", 1))
    codes = [code for code, _ in found(broken, feedback={"rule": "fa", "init": STD1})]
    assert codes == ["FAC207"]
