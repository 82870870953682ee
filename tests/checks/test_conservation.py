"""FAC328: which law of the probe `conservation` is void, at which layers, and why. Messages are exact.

That it predicts what steps do is tested in tests/probes/test_conservation.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.checks.specs import KP, NET, RANDOM, SGD, Layers, chain, diagnosed, found, linear, routes
from tests.forked import python

ASKED = ({"kind": "conservation"},)
RELU = {"kind": "relu"}


def void(layers: Layers = NET, **sections: Any) -> list[str]:
    """The messages of FAC328."""
    findings = diagnosed(layers, **{"probes": ASKED} | sections)
    return [finding.message for finding in findings if finding.rule.code == "FAC328"]


def test_nothing_is_said_unless_it_is_asked_for() -> None:
    tanh = chain(8, 8, act="tanh")
    assert not found(tanh)
    assert found(tanh, probes=ASKED) == [("FAC328", "probes[0].kind")]
    assert found(tanh, probes=({"kind": "alignment"}, *ASKED)) == [("FAC328", "probes[1].kind")]


@pytest.mark.parametrize("rule", ["bp", "fa"])
@pytest.mark.parametrize("act", ["relu", "leaky_relu", "abs", None])
def test_where_everything_holds_nothing_is_said(act: str | None, rule: str) -> None:
    assert not void(chain(8, 8, act=act), feedback={"rule": rule})


@pytest.mark.parametrize(
    "act",
    [
        "tanh",
        "sigmoid",
        "gelu",
        "silu",
        "elu",
        "selu",
        "softplus",
        "hardsigmoid",
        "hardswish",
        "exp",
        "softmax",
    ],
)
def test_activations_that_are_not_homogeneous(act: str) -> None:
    assert void(chain(8, 8, act=act)) == [
        f"`conservation` measures nothing at `fc1` and `fc2`: `{act}_1` and `{act}_2` are not positively homogeneous"
    ]


def test_of_two_between_two_layers_both_are_named() -> None:
    layers = (linear("fc1"), RELU, {"kind": "tanh"}, {"kind": "dropout"}, linear("logits", 4))
    assert void(layers) == [
        "`conservation` measures nothing at `fc1`: `tanh_1` is not positively homogeneous"
    ]


def test_many_layers_are_one_finding() -> None:
    (message,) = void(chain(*[8] * 100, act="tanh"))
    assert "`fc8` and 92 more: `tanh_1`" in message


def test_joins() -> None:
    layers = (
        linear("fc1"),
        {"kind": "relu", "name": "r1"},
        linear("fc2"),
        {"kind": "relu", "name": "r2"},
        {"kind": "add", "name": "join", "from": ("r1", "r2")},
        linear("logits", 4),
    )
    assert void(layers) == [
        "`conservation` measures nothing at `fc1`: `r1` has several readers",
        "`conservation` measures nothing at `fc2`: `join` joins several layers",
    ]


def test_several_errors_at_one_value() -> None:
    both = routes({"to": "fc2", "combine": "add"}, {"through": "fc2"})
    assert void(feedback=both) == [
        "`conservation` measures nothing at `fc2`: several errors arrive at `relu_2`"
    ]


def test_direct_routes_conserve_something_at_the_last_hidden_layer_alone() -> None:
    assert void(feedback={"rule": "dfa"}) == [
        "nothing is conserved at `fc1`: no weight follows an error that comes directly from `loss`"
    ]
    assert not void(feedback={"rule": "dfa", "learn": KP})
    # from the layer above, that is `through` with another word
    assert not void(feedback=routes({"to": "fc1", "from": "fc2"}))
    task = {"subspaces": ({"name": "task", "rank": 2},)}
    assert void(feedback=routes({"to": "fc2", "from": "task"}, **task)) == [
        "nothing is conserved at `fc2`: no weight follows an error that comes directly from `task`"
    ]


def test_a_direct_route_spares_what_lies_above_its_site() -> None:
    layers = (linear("fc1"), RELU, {"kind": "tanh"}, linear("logits", 4))
    assert not void(layers, feedback=routes({"to": "fc1", "at": "relu_1", "matrix": RANDOM | {"learn": KP}}))


@pytest.mark.parametrize(
    ("matrix", "by"),
    [
        ({"write": {"rule": "fixed"}}, "`oja`"),
        ({"read": {"rule": "normative"}, "write": {"rule": "normative"}}, "`normative`"),
        ({"init": "svd", "refresh": 10}, "`refresh`"),
    ],
)
def test_feedback_that_moves_in_another_way(matrix: dict[str, Any], by: str) -> None:
    low_rank = {"kind": "low_rank", "rank": 4} | matrix
    assert void(feedback=routes({"through": "logits", "matrix": low_rank})) == [
        f"nothing is conserved at `fc2`: the feedback above moves by {by}"
    ]


def test_both_layers_have_to_learn() -> None:
    layers = (linear("fc1"), RELU, linear("fc2", trainable=False), RELU, linear("logits", 4))
    assert void(layers) == ["nothing is conserved at `fc1`: `fc2` is frozen"]


@pytest.mark.parametrize(
    ("update", "cause"),
    [
        ({"rule": "adam", "lr": 0.01}, "`adam`"),
        (SGD | {"momentum": 0.9}, "momentum"),
        (SGD | {"weight_decay": 0.01}, "weight decay"),
        (SGD | {"clip": {"by": "value", "at": 0.1}}, "clipping by value"),
        (SGD | {"groups": ({"match": "*.bias", "lr_scale": 2.0},)}, "unequal learning rates"),
    ],
)
def test_updates_under_which_it_drifts(update: dict[str, Any], cause: str) -> None:
    assert void(update=update) == [f"`conserved` drifts at `fc1` and `fc2` because of {cause}"]
    # where no balance holds there is nothing that could drift
    assert void(chain(8, act="tanh"), update=update) == void(chain(8, act="tanh"))


def test_each_layer_is_judged_by_its_own_steps() -> None:
    slow = SGD | {"groups": ({"match": "fc1.*", "lr_scale": 0.5, "weight_decay": 0.1},)}
    assert void(chain(8, 8, 8), update=slow) == [
        "`conserved` drifts at `fc1` because of weight decay",
        "`conserved` drifts at `fc1` because of unequal learning rates",
    ]


@pytest.mark.parametrize("more", [{"clip": {"by": "norm", "at": 0.1}}, {"schedule": "cosine"}])
def test_one_factor_for_all_does_no_harm(more: dict[str, Any]) -> None:
    assert not void(update=SGD | more)


def test_where_no_hidden_layer_learns_one_finding_says_so() -> None:
    expected = [("FAC314", "probes[0].kind")]
    assert found((linear("logits", 4),), probes=ASKED) == expected
    assert found(probes=ASKED, feedback={"rule": "shallow"}) == expected


PLUGIN = '''
from typing import Literal

from fac.program.kinds import Facts, LayerKind, MatrixKind
from fac.spec.feedback import Matrix
from fac.spec.layers import Layer


class BySize(Layer):
    """x / sqrt(mean of x^2)."""

    kind: Literal["by_size"] = "by_size"


def forward(b, layer, inputs, state, mode):
    (x,) = inputs
    return b.div(x, b.sqrt(b.add(b.sum(b.mul(x, x), (1,), keep=True), 1e-6)))


class Half(Matrix):
    """d / 2."""

    kind: Literal["half"] = "half"


KINDS = (LayerKind("by_size", BySize, lambda layer, name, shapes: Facts(shapes[0]), forward),)
MATRICES = (MatrixKind("half", Half, lambda *_: (), lambda b, m, s, signals: b.mul(signals.error, 0.5)),)
'''
NORMALISED = """\
fac: 1
name: example
input: {shape: [6]}
layers:
  - {kind: linear, name: fc1, out: 8}
  - {kind: by_size, name: norm}
  - {kind: relu}
  - {kind: linear, name: fc2, out: 4}
  - {kind: relu}
  - {kind: linear, name: logits, out: 4}
loss: {kind: cross_entropy}
feedback: {routes: [{through: logits, matrix: {kind: half}}]}
update: {rule: sgd, lr: 0.1}
probes: [{kind: conservation}]
"""


def test_a_normalisation_and_an_operator_of_a_plugin(tmp_path: Path) -> None:
    """A kind that says nothing is taken for one that voids the law. Plug-ins are found once per process."""
    info = tmp_path / "normalising-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: normalising\nVersion: 1.0\n")
    points = "[fac.layers]\nnorm = normalising:KINDS\n[fac.feedback]\nnorm = normalising:MATRICES\n"
    (info / "entry_points.txt").write_text(points)
    (tmp_path / "normalising.py").write_text(PLUGIN)
    (tmp_path / "spec.yaml").write_text(NORMALISED)
    run = python(tmp_path, "-m", "fac", "check", "spec.yaml", "--json", PYTHONPATH=str(tmp_path))
    findings = json.loads(run.stdout)["findings"]
    assert {finding["code"] for finding in findings} == {"FAC328"}
    assert [finding["message"] for finding in findings] == [
        "`conservation` measures nothing at `fc1`: `norm` is not positively homogeneous",
        "`conservation` measures nothing at `fc2`: the operator `half` does not say its matrix",
    ]
