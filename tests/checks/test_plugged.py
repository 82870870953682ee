"""FAC220: where a derivative is asked for, and where none is. Kinds of a plug-in stand behind those of the core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import pytest

from fac import plugins
from fac.build.transport import transport
from fac.feedback.random import RANDOM as MATRIX
from fac.layers.elementwise import RELU
from fac.losses.mse import MSE
from fac.pipeline import load
from fac.plugins.guard import guarded
from fac.program import lower
from fac.program.kinds import Facts, Made, Signals, Updated
from fac.program.tensors import Role, Tensor
from fac.schedules.cosine import COSINE
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import DType
from fac.testing.nets import spec
from fac.updates.sgd import SGD
from tests.checks.specs import NET, Layers, diagnosed, found, linear, routes

UNMEASURED: dict[str, Any] = {"probes": ()}


def gate(b: Builder, x: Value) -> Value:
    """FLOAT 1 where x > 0."""
    return b.cast(b.less(0.0, x), DType.FLOAT)


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, Any], None]:
    """`plant(kind, replacement)`: what a model of the core means from then on, as if a plug-in had declared it."""

    def plant(kind: Any, planted: Any) -> None:
        known = lower._kind
        monkeypatch.setattr(
            lower,
            "_kind",
            lambda group, model: planted if kind.spec in model.__mro__ else known(group, model),
        )
        monkeypatch.setattr(plugins, "foreign", lambda group: {kind.spec: "planted 1.0"})

    return plant


@pytest.fixture
def hard(plant: Callable[[Any, Any], None]) -> None:
    """`relu` is x [0 < x]."""
    plant(RELU, replace(RELU, forward=lambda b, layer, xs, state, mode: b.mul(xs[0], gate(b, xs[0]))))


@pytest.mark.usefixtures("hard")
def test_an_error_that_has_to_go_back_through_a_comparison() -> None:
    """The finding is that of the last layer, where the sweep stops; another one below is found when that is mended."""
    assert found(NET, **UNMEASURED) == [("FAC220", "layers[3].kind")]
    (finding,) = diagnosed(NET, **UNMEASURED)
    assert finding.message == (
        "`relu_2`, of the plug-in `planted 1.0`, reads `fc2` by `less`, which has no derivative there: "
        "its result moves in steps"
    )


@pytest.mark.usefixtures("hard")
@pytest.mark.parametrize(
    "layers",
    [
        ({"kind": "relu"}, linear("logits", 4)),
        (linear("fc1", trainable=False), {"kind": "relu"}, linear("logits", 4)),
    ],
)
def test_where_nothing_below_learns_nothing_is_asked(layers: Layers) -> None:
    assert found(layers, **UNMEASURED) == []


@pytest.mark.usefixtures("hard")
@pytest.mark.parametrize(
    ("below", "expected"),
    [({"at": "fc1"}, []), ({"at": "relu_1"}, [("FAC220", "layers[1].kind")]), ({}, None)],
)
def test_what_a_route_cuts_is_not_asked_for(below: dict[str, str], expected: Any) -> None:
    """An error that enters before the comparison does not meet it; one that enters behind it does."""
    layers = (linear("fc1"), {"kind": "relu"}, linear("logits", 4))
    written = routes({"to": "fc1", **below})
    codes = [("FAC220", "layers[1].kind")] if expected is None else expected
    assert found(layers, feedback=written, **UNMEASURED) == codes


@pytest.mark.usefixtures("hard")
def test_the_cost_of_backpropagation_is_counted_where_it_does_not_exist() -> None:
    """The other factor of x [0 < x] has a derivative, so both have the same products."""
    layers = (linear("fc1"), {"kind": "relu"}, linear("logits", 4))
    limit = {"backward_macs_vs_backprop": {"at_most": 0.01}}
    (finding,) = diagnosed(
        layers, feedback=routes({"to": "fc1", "at": "fc1"}), constraints=limit, **UNMEASURED
    )
    assert "costs 1 times backprop's multiply-adds" in finding.message


@pytest.mark.usefixtures("hard")
def test_a_probe_of_backpropagation_asks_everywhere() -> None:
    layers = (linear("fc1"), {"kind": "relu"}, linear("logits", 4))
    (finding,) = diagnosed(layers, feedback=routes({"to": "fc1", "at": "fc1"}))
    assert finding.rule.code == "FAC220"
    assert finding.message.startswith(
        "a probe asks for the error that backpropagation sends through it, but `relu_1`"
    )
    assert finding.help.endswith("or measure nothing: `probes: []`")


def test_a_loss(plant: Callable[[Any, Any], None]) -> None:
    def counted(b: Builder, loss: Any, output: Value, y: Value) -> Value:
        return b.mean(gate(b, b.sub(output, y)), (0, 1))

    plant(MSE, replace(MSE, forward=counted))
    assert found(NET, loss={"kind": "mse"}) == [("FAC220", "loss.kind")]


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ({"shape": lambda _, step, *__: 1 / step}, "fails with ZeroDivisionError"),
        ({"shape": lambda _, step, *__: inf if step == 399 else 1.0}, "returns inf at step 399"),
        ({"shape": lambda *_: None}, "returns None at step "),
        ({"body": lambda *_: ("lambda",)}, "returns lines that are no Python: SyntaxError"),
        ({"body": lambda *_: (1.0,)}, "returns (1.0,) where lines are needed"),
    ],
)
def test_a_schedule(functions: dict[str, Any], said: str, plant: Callable[[Any, Any], None]) -> None:
    """What is asked for is the factor of a hundred steps, the last among them: here 100 an epoch are taken."""
    plant(COSINE, guarded(replace(COSINE, **functions), "planted 1.0", "tests", "schedule"))
    update = {"rule": "sgd", "lr": 0.1, "schedule": "cosine"}
    (finding,) = diagnosed(NET, update=update, train={"epochs": 4}, **UNMEASURED)
    assert (finding.rule.code, finding.path) == ("FAC402", ("update", "schedule"))
    assert finding.message.startswith("the learning rate is not known: `")
    assert said in finding.message
    assert diagnosed(NET, update=update | {"schedule": "constant"}, **UNMEASURED) == ()


def test_feedback_and_updates_are_not_differentiated(plant: Callable[[Any, Any], None]) -> None:
    """A feedback operator may well be a step of the error, and an update one of the gradient."""

    def apply(b: Builder, matrix: Any, state: Any, signals: Signals) -> Value:
        gated = replace(signals, error=gate(b, signals.error))
        return MATRIX.apply(b, matrix, state, gated)

    plant(MATRIX, replace(MATRIX, apply=apply))
    plant(SGD, replace(SGD, apply=lambda b, r, w, g, s, lr, n: Updated(b.sub(w, b.mul(gate(b, g), lr)), {})))
    assert found(NET, feedback={"rule": "fa"}) == []
    assert found(NET, feedback={"rule": "dfa"}) == []


def test_specs_without_plugins_are_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which would take longer than all the other checks together."""

    def build(program: Any) -> Any:
        raise AssertionError("built")

    monkeypatch.setattr("fac.build.functions.routed", build)
    assert found(NET) == []
    monkeypatch.setattr(plugins, "foreign", lambda group: {RELU.spec: "planted 1.0"})
    assert found(NET) == [("FAC402", "")]


def test_a_value_that_a_plugin_kept_from_another_build_is_found(plant: Callable[[Any, Any], None]) -> None:
    kept: list[Value] = []

    def forward(b: Builder, layer: Any, xs: Any, state: Any, mode: Any) -> Value:
        kept.append(xs[0])
        return b.neg(kept[0])

    plant(RELU, replace(RELU, forward=forward))
    (finding,) = diagnosed(NET, **UNMEASURED)
    assert finding.rule.code == "FAC402"
    assert "before it is defined" in finding.message


@pytest.mark.parametrize("role", [Role.PARAMETER, Role.STATISTIC])
def test_a_matrix_that_is_named_as_the_weight_is_replaced(
    role: Role, plant: Callable[[Any, Any], None]
) -> None:
    """As the remedy says. `relu` becomes M x, M learned or moved; not named, it is told of, and named, no more."""
    named = False

    def infer(layer: Any, name: str, inputs: Any) -> Facts:
        ((n,),) = inputs
        m = Tensor(f"{name}.m", (n, n), "kaiming_uniform", n, n, role, trainable=role is Role.PARAMETER)
        return Facts((n,), (m,), m if named else None)

    def forward(b: Builder, layer: Any, xs: Any, state: Any, mode: Any) -> Value | Made:
        y = b.matmul(xs[0], state["m"], tb=True)
        moves = mode.training and role is Role.STATISTIC
        return Made(y, {"m": b.matmul(xs[0], xs[0], ta=True)}) if moves else y

    plant(RELU, replace(RELU, infer=infer, forward=forward, curve=None))
    told = diagnosed(NET, feedback={"rule": "fa"}, **UNMEASURED)
    assert [(d.rule.code, d.path) for d in told] == [
        ("FAC402", ("layers", 1, "kind")),
        ("FAC402", ("layers", 3, "kind")),
    ]
    named = True
    assert found(NET, feedback={"rule": "fa"}, **UNMEASURED) == []
    program = lower.lower(load(spec(NET, {"rule": "fa"})))
    assert transport(program).exact == ()
    assert {route.node for route in program.routes} == {"relu_1", "fc2", "relu_2", "logits"}


def test_a_matrix_that_is_no_weight_is_told_where_errors_are_meant_to_go_another_way(
    plant: Callable[[Any, Any], None],
) -> None:
    """`relu` becomes M x behind the only weight: `fa` has no route to make, and the error of M^T would go unseen."""

    def infer(layer: Any, name: str, inputs: Any) -> Facts:
        ((n,),) = inputs
        return Facts((n,), (Tensor(f"{name}.m", (n, n), "kaiming_uniform", n, n),))

    plant(
        RELU,
        replace(RELU, infer=infer, forward=lambda b, layer, xs, state, mode: b.matmul(xs[0], state["m"])),
    )
    layers = (linear("logits", 4), {"kind": "relu"})
    assert not lower.lower(load(spec(layers, {"rule": "fa"}))).routes

    def mistakes(feedback: Any, layers: Layers = layers) -> list[tuple[str, str]]:
        return [f for f in found(layers, feedback=feedback, **UNMEASURED) if f[0] == "FAC402"]

    told = [("FAC402", "layers[1].kind")]
    assert mistakes({"rule": "bp"}) == []
    assert mistakes({"rule": "fa"}) == told
    assert mistakes(({"rule": "fa", "nodes": "logits"},)) == told
    hidden = (linear("fc1"), {"kind": "relu"}, linear("logits", 4))
    assert mistakes(routes(), hidden) == []
    assert mistakes(routes({"through": "logits"}), hidden) == told


def test_what_a_feedback_operator_multiplies_with_is_no_part_of_a_layer(
    plant: Callable[[Any, Any], None],
) -> None:
    """B d + b^T d, b the bias of the layer: on a way of feedback, which a route can well replace."""

    def apply(b: Builder, matrix: Any, state: Any, signals: Signals) -> Value:
        (bias,) = (v for v in b.inputs if v.name == "logits.bias")
        crossed = b.matmul(signals.error, b.reshape(bias, (4, 1)))
        return b.add(MATRIX.apply(b, matrix, state, signals), crossed)

    plant(MATRIX, replace(MATRIX, apply=apply))
    assert found(NET, feedback=routes({"through": "logits"}), **UNMEASURED) == []
