"""What `fac show` prints of a network small enough to count by hand, and of each kind of routing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings

import fac
import fac.program.lower as lower_module
from fac import plugins
from fac.build.costs import cost
from fac.build.functions import routed
from fac.build.transport import transport
from fac.checks import run_checks
from fac.diagnostics import Severity
from fac.feedback.random import RANDOM, Random
from fac.program.kinds import Learned, MatrixKind, Signals
from fac.program.lower import lower
from fac.program.program import Program
from fac.render import facts, show
from fac.render.lineage import Lineage
from fac.render.operators import Owner
from fac.spec.feedback import Matrix
from fac.step.builder import Builder
from tests.checks.test_flow import specs

LAYERS = (
    {"kind": "linear", "name": "fc1", "out": 3},
    {"kind": "relu"},
    {"kind": "linear", "name": "logits", "out": 2},
)
CORE = plugins.kinds
RESIDUAL = (
    {"kind": "linear", "name": "fc1", "out": 3},
    {"kind": "relu", "name": "h1"},
    {"kind": "linear", "name": "fc2", "out": 3},
    {"kind": "relu", "name": "h2"},
    {"kind": "add", "name": "join", "from": ("h2", "h1")},
    {"kind": "linear", "name": "logits", "out": 2},
)


def program(feedback: Any, layers: Any = LAYERS, **fields: Any) -> Program:
    spec = {
        "fac": 1,
        "name": "tiny",
        "input": {"shape": (4,)},
        "layers": layers,
        "loss": {"kind": "cross_entropy"},
        "feedback": feedback,
        "update": {"rule": "sgd", "lr": 0.1},
    }
    return lower(fac.load(spec | fields))


def lineage(made: Program) -> Lineage:
    return Lineage(made)


def chains(made: Program) -> dict[str, str]:
    """What `--updates` prints, by name."""
    lines = show.updates(lineage(made)).splitlines()
    return {name: " ".join(rest) for name, *rest in map(str.split, lines)}


def rows(made: Program) -> dict[str, list[str]]:
    """The layer table by layer, from `error from` on; columns stand two spaces apart."""
    lines = show.layers(made, lineage(made), cost(made, 2)).splitlines()[1:-1]
    cells = ([c.strip() for c in line.split("  ") if c.strip()] for line in lines)
    return {row[0]: row[4:] for row in cells if len(row) > 1}  # lines below the table are of one piece


TINY = program({"rule": "ldfa", "rank": 1})


def test_layers() -> None:
    # Backward: gradients 2*(4*3 + 3*2), errors 2*1*(2 + 3), Oja 2*2 + 2 + 2, Kolen-Pollack 2*3: 60; backprop has
    # the gradients and 2*3*2: 48. Memory in floats of 4 bytes: x and state 36, labels 4, and while the last bias
    # gradient is made an activation 6, the error at logits 4, its gradients 6 + 2, s 2, the error at fc1 6 and
    # its gradients 12 + 3.
    assert (
        show.layers(TINY, lineage(TINY), cost(TINY, 2))
        == """\
 layer   kind    output  params  error from        operator      rank  update
 fc1     linear       3      15  logits (through)  Q P, learned   1/2  sgd
 logits  linear       2       8  loss              exact            -  sgd
 backward multiply-adds: 1.25 of backprop     peak memory at batch 2: 324 B     weight transport: none
"""
    )


def test_costs() -> None:
    # Bytes of fc1, in floats: x W^T 8 + 12 + 6, its bias 6 + 3 + 6, gradients 6 + 8 + 12 and 6 + 3, updates
    # 12 + 12, 12 + 12 + 12, 3 + 3 and 3 + 3 + 3: 151.
    assert (
        show.costs(cost(TINY, 2))
        == """\
 batch 2   forward  error  gradient  learn  bytes  feedback words
 fc1            24      0        24      0    604               0
 relu_1          0      0         0      0    120               0
 logits         12     10        12     14    700               5
 loss            0      0         0      0     80               0
 total          36     10        36     14  1,504               5
 backprop       36     12        36      0  1,220               6
 backward multiply-adds: 60, backprop 48, ratio 1.250
 peak memory: 324 B, backprop 256 B
"""
    )


def test_updates() -> None:
    assert (
        show.updates(lineage(TINY))
        == """\
 fc1.weight         <- sgd <- fc1.error x input <- relu' <- Q P (logits.feedback, rank 1, oja / kolen_pollack) <- loss error
 fc1.bias           <- sgd <- sum of fc1.error <- relu' <- Q P (logits.feedback, rank 1, oja / kolen_pollack) <- loss error
 logits.weight      <- sgd <- logits.error x relu_1 <- loss error
 logits.bias        <- sgd <- sum of logits.error <- loss error
 logits.feedback.P  <- oja <- loss error
 logits.feedback.Q  <- sgd <- kolen_pollack <- loss error x relu_1
"""  # noqa: E501 - what is printed
    )


@pytest.mark.parametrize("feedback", [{"rule": "bp"}, {"rule": "ldfa", "rank": 1}])
def test_an_error_of_maps_that_is_laid_out_as_rows_is_no_step_of_its_own(feedback: Any) -> None:
    """Least of all one called `transpose`, which means another thing where feedback is spoken of."""
    layers = [
        {"kind": "reshape", "shape": [1, 2, 2]},
        {"kind": "conv2d", "name": "c1", "out": 2, "kernel": 1},
        {"kind": "relu"},
        {"kind": "conv2d", "name": "c2", "out": 2, "kernel": 1},
        {"kind": "permute", "axes": [1, 2, 0]},
        {"kind": "flatten"},
        {"kind": "linear", "name": "logits", "out": 2},
    ]
    made = program(feedback, layers)
    past = "W^T (c2.weight)" if feedback["rule"] == "bp" else "Q P (c2.feedback, rank 1, oja / kolen_pollack)"
    assert chains(made)["c1.weight"] == f"<- sgd <- c1.error x reshape_1 <- relu' <- {past} <- c2.error"


def test_the_exact_error_shows_its_weight_transport() -> None:
    made = program({"rule": "bp"}, RESIDUAL)
    assert transport(made).layers(made) == ["fc2", "logits"]
    assert chains(made)["fc2.weight"] == "<- sgd <- fc2.error x h1 <- relu' <- join.error"
    assert chains(made)["join.error"] == "<- W^T (logits.weight) <- loss error"
    # The skip stands beside the layer that it jumps over.
    assert chains(made)["fc1.bias"] == (
        "<- sgd <- sum of fc1.error <- relu' <- (W^T (fc2.weight) <- fc2.error) + (join.error)"
    )
    assert rows(made)["fc2"] == ["logits via join", "W^T", "-", "sgd"]
    assert rows(made)["fc1"] == ["fc2 + logits via join", "W^T + W^T", "- + -", "sgd"]


def test_layers_that_a_rule_freezes() -> None:
    made = program({"rule": "shallow"})
    assert chains(made)["fc1.weight"] == chains(made)["fc1.bias"] == "frozen"
    assert rows(made)["fc1"] == ["-", "-", "-", "frozen"]
    assert transport(made).layers(made) == []


def test_direct_routes() -> None:
    made = program({"rule": "dfa"}, RESIDUAL)
    assert rows(made)["fc1"] == ["loss (direct)", "B, fixed", "-", "sgd"]
    assert (
        chains(made)["fc1.weight"]
        == "<- sgd <- fc1.error x input <- relu' <- B (fc1.feedback, fixed) <- loss error"
    )
    assert chains(made)["fc1.feedback.B"] == "fixed"


def test_routes_that_add_show_both() -> None:
    routes = (
        {"to": "fc1", "matrix": {"kind": "random", "learn": {"rule": "kolen_pollack"}}, "combine": "add"},
        {"to": "fc1", "matrix": {"kind": "low_rank", "rank": 1, "scale": 0.5}, "combine": "add"},
    )
    made = program({"routes": routes})
    assert chains(made)["fc1.weight"] == (
        "<- sgd <- fc1.error x input <- relu' <- (W^T (logits.weight) <- loss error)"
        " + (B (fc1.feedback, kolen_pollack) <- loss error)"
        " + (x 0.5 <- Q P (fc1.feedback.2, rank 1, oja / kolen_pollack) <- loss error)"
    )
    assert chains(made)["fc1.feedback.B"] == "<- sgd <- kolen_pollack <- loss error x relu_1"
    assert rows(made)["fc1"] == [
        "logits + loss (direct) + loss (direct)",
        "W^T + B, learned + Q P, learned",
        "- + - + 1/2",
        "sgd",
    ]


def test_a_subspace_has_a_line_of_its_own() -> None:
    feedback = {
        "subspaces": ({"name": "task", "rank": 2, "basis": {"rule": "oja"}},),
        "routes": ({"to": "fc*", "from": "task", "matrix": {"kind": "random"}},),
    }
    made = program(feedback, RESIDUAL)
    assert (
        chains(made)["fc1.weight"]
        == "<- sgd <- fc1.error x input <- relu' <- B (fc1.feedback, fixed) <- task.read"
    )
    assert chains(made)["task.read"] == "<- P (task, rank 2, oja) <- loss error"
    assert rows(made)["fc2"] == ["task (direct)", "B, fixed", "-", "sgd"]


def test_a_join_does_not_hide_the_routes_above_it() -> None:
    routes = ({"through": "logits", "matrix": {"kind": "random"}},)
    made = program({"routes": routes}, RESIDUAL)
    assert rows(made)["fc2"] == ["logits (through) via join", "B, fixed", "-", "sgd"]
    assert rows(made)["fc1"] == ["fc2 + logits (through) via join", "W^T + B, fixed", "- + -", "sgd"]
    (arrival,) = facts.as_json(made, lineage(made), cost(made, 2))["layers"][2]["error"]
    assert (arrival["from"], arrival["operator"], arrival["via"]) == (
        "logits (through)",
        "B, fixed",
        ["join"],
    )


def stacked(blocks: int) -> tuple[Any, ...]:
    """Residual blocks `a`, `b`, ..., each joined with what it reads, and a layer on top."""
    layers, below = [{"kind": "linear", "name": "stem", "out": 3}], "stem"
    for name in "abcdefgh"[:blocks]:
        own = {"kind": "linear", "name": name, "out": 3, "from": (below,)}
        layers += [own, {"kind": "add", "name": f"{name}+", "from": (name, below)}]
        below = f"{name}+"
    return (*layers, {"kind": "linear", "name": "logits", "out": 2})


def test_joins_above_joins_are_opened_while_a_line_holds_them() -> None:
    made = program({"rule": "ldfa", "rank": 1}, stacked(2))
    assert rows(made)["a"][0] == "b (through) via a+ + logits (through) via a+, b+"
    deep = program({"rule": "ldfa", "rank": 1}, stacked(8))
    # The fourth way is all that comes from above; the rows of the layers above and `--updates` say what that is.
    ways = [
        f"{name} (through) via a+" + "".join(f", {j}+" for j in more)
        for name, more in (("b", ""), ("c", "b"))
    ]
    assert rows(deep)["a"][0] == " + ".join((*ways, "d (through) via a+, b+, c+", "d+ via a+, b+, c+"))
    assert "<- (e+.error) + (Q P (e.feedback," in chains(deep)["d.weight"]


def test_every_operator_on_the_way_is_told() -> None:
    """No error of a frozen layer is needed for itself, but what passes it goes through its feedback."""
    layers = (*LAYERS[:2], {"kind": "linear", "name": "fc2", "out": 3, "trainable": False}, LAYERS[2])
    made = program({"rule": "fa"}, layers)
    assert rows(made)["fc1"][:2] == ["fc2 (through) <- logits (through)", "B, fixed <- B, fixed"]
    error = facts.as_json(made, lineage(made), cost(made, 2))["layers"][0]["error"]
    assert [hop["from"] for hop in error[0]["above"]] == ["logits (through)"]


class Mirror(Matrix):
    """What a plug-in may bring: a matrix B, of another kind than `random`."""

    kind: Literal["mirror"] = "mirror"


def mirror(**more: Any) -> MatrixKind:
    return MatrixKind("mirror", Mirror, tensors=lambda m, ends: RANDOM.tensors(Random(), ends), **more)


def taught(b: Builder, m: Any, state: Any, signals: Signals) -> tuple[Learned, ...]:
    """By no rule of the spec."""
    return (Learned("B", signals.taught(b, signals.error), gradient=True),)


@pytest.mark.parametrize(
    ("kind", "table", "chain"),
    [
        (
            mirror(apply=lambda b, m, state, signals: signals.sent(b, signals.error, state["B"])),
            "mirror B, fixed",
            "mirror B (logits.feedback, fixed)",
        ),
        (
            mirror(
                apply=lambda b, m, state, signals: signals.sent(b, signals.error, state["B"]), learn=taught
            ),
            "mirror B, learned",
            "mirror B (logits.feedback, learned)",
        ),
        (
            MatrixKind(
                "mirror",
                Mirror,
                lambda *_: (),
                lambda b, m, s, signals: signals.sent(b, signals.error, b.mul(signals.weight or 0.0, 2.0)),
            ),
            "mirror",
            "mirror (logits.feedback)",
        ),
    ],
    ids=["fixed", "learned", "made of the weight"],
)
def test_an_operator_of_a_plugin_is_called_by_its_kind(
    monkeypatch: pytest.MonkeyPatch, kind: MatrixKind, table: str, chain: str
) -> None:
    known = plugins.kinds("fac.feedback")
    monkeypatch.setattr(
        plugins, "kinds", lambda group: (*known, kind) if group == "fac.feedback" else CORE(group)
    )
    lower_module._kind.cache_clear()
    bare = program({"rule": "fa"})
    routes = (replace(bare.routes[0], matrix=Mirror()),)
    made = replace(bare, routes=lower_module._named(replace(bare, routes=routes)))
    try:
        assert rows(made)["fc1"][:2] == ["logits (through)", table]
        assert f"<- {chain} <- " in chains(made)["fc1.weight"]
        assert transport(made).layers(made) == (["logits"] if table == "mirror" else [])
    finally:
        lower_module._kind.cache_clear()


def test_settings_of_groups_are_told() -> None:
    """Rate, decay and rule of what moves otherwise than `update:` says, feedback included."""
    groups = (
        {"match": "*.bias", "weight_decay": 0.0},
        {"match": "fc1.weight", "lr_scale": 0.5},
        {"match": "logits.bias", "use": {"rule": "adam", "lr": 0.01, "beta1": 0.8}},
    )
    update = {"rule": "sgd", "lr": 0.1, "weight_decay": 0.01, "groups": groups, "feedback": {"lr_scale": 2.0}}
    made = program({"rule": "ldfa", "rank": 1}, update=update)
    told = chains(made)
    assert told["fc1.weight"].startswith("<- sgd (lr 0.05) <- fc1.error")
    assert told["fc1.bias"].startswith("<- sgd (weight_decay 0) <- sum")
    assert told["logits.weight"].startswith("<- sgd <- ")
    assert told["logits.bias"].startswith("<- adam (lr 0.01, beta1 0.8) <- sum")
    assert told["logits.feedback.Q"].startswith("<- sgd (lr 0.2) <- kolen_pollack")
    assert told["logits.feedback.P"].startswith("<- oja <- ")
    table = show.layers(made, lineage(made), cost(made, 2)).splitlines()
    assert table[3:-1] == [
        " sgd (lr 0.05): fc1.weight",
        " sgd (weight_decay 0): fc1.bias",
        " adam (lr 0.01, beta1 0.8): logits.bias",
        " sgd (lr 0.2): logits.feedback.Q",
        " match `*.bias` (groups): 1 of 6 arrays: fc1.bias",
    ]
    told_settings = {
        u["name"]: u["settings"] for u in facts.as_json(made, lineage(made), cost(made, 2))["updates"]
    }
    assert told_settings["fc1.bias"] == {
        "rule": "sgd",
        "lr": 0.1,
        "momentum": 0.0,
        "nesterov": False,
        "weight_decay": 0.0,
    }
    assert (told_settings["fc1.weight"]["lr"], told_settings["logits.bias"]["rule"]) == (0.05, "adam")
    assert told_settings["logits.feedback.P"] is None


def test_what_patterns_mean_is_told() -> None:
    """Of each glob the layers, and of how many; a name counts before it, in whichever order they stand."""
    routes = (
        {"through": "fc2", "matrix": {"kind": "sign"}},
        {"through": "fc*", "matrix": {"kind": "random"}},
    )
    groups = ({"match": "fc1.bias", "lr_scale": 3.0}, {"match": "*.bias", "lr_scale": 2.0})
    made = program({"routes": routes}, RESIDUAL, update={"rule": "sgd", "lr": 0.1, "groups": groups})
    assert [(route.node, type(route.matrix).__name__) for route in made.routes] == [
        ("fc2", "Sign"),
        ("fc1", "Random"),
    ]
    told = chains(made)
    assert told["fc1.bias"].startswith("<- sgd (lr 0.3)")
    assert told["fc2.bias"].startswith("<- sgd (lr 0.2)")
    table = show.layers(made, lineage(made), cost(made, 2)).splitlines()
    assert [line for line in table if "`" in line] == [
        " through `fc*` (random): 1 of 3 layers with weights: fc1",
        " match `*.bias` (groups): 2 of 7 arrays: fc2.bias, logits.bias",
    ]
    told_patterns = facts.as_json(made, lineage(made), cost(made, 2))["patterns"]
    assert [(found["glob"], found["names"], found["among"]) for found in told_patterns] == [
        ("fc*", ("fc1",), 3),
        ("*.bias", ("fc2.bias", "logits.bias"), 7),
    ]
    direct = program({"rule": "dfa", "nodes": ["fc*"]}, RESIDUAL)
    table = show.layers(direct, lineage(direct), cost(direct, 2)).splitlines()
    assert " nodes `fc*` (dfa): 2 of 3 layers with parameters: fc1, fc2" in table


def test_layers_that_learn_whole_beside_adapters_are_told() -> None:
    adapters = ({"match": "*", "kind": "lora", "rank": 2}, {"match": "logits", "kind": "lora", "rank": 1})
    net = (
        {"kind": "reshape", "shape": [4, 1, 1]},
        {"kind": "conv2d", "name": "grouped", "out": 4, "kernel": 1, "groups": 2},
        {"kind": "flatten"},
        {"kind": "linear", "name": "fc", "out": 4},
        {"kind": "linear", "name": "logits", "out": 3},
    )
    made = program({"rule": "bp"}, net, adapters=adapters)
    table = show.layers(made, lineage(made), cost(made, 2)).splitlines()
    assert table[-3:-1] == [
        " match `*` (adapters): 1 of 3 layers with weights: fc",
        " without adapters, and learn whole: grouped",
    ]


def test_an_operator_without_state_is_named() -> None:
    layers = ({"kind": "linear", "name": "fc1", "out": 2}, *LAYERS[1:])
    made = program({"routes": ({"to": "fc1", "matrix": {"kind": "identity"}},)}, layers)
    assert rows(made)["fc1"] == ["loss (direct)", "identity", "-", "sgd"]
    assert (
        chains(made)["fc1.weight"]
        == "<- sgd <- fc1.error x input <- relu' <- identity (fc1.feedback) <- loss error"
    )


def test_normative_learning_reads_the_weight() -> None:
    made = program({"rule": "ldfa", "rank": 1, "learn": "normative"})
    assert transport(made).layers(made) == ["logits"]
    assert chains(made)["logits.feedback.Q"] == "<- sgd <- normative <- logits.weight"


def test_feedback_that_no_error_needs_is_not_used() -> None:
    frozen = tuple(
        layer | {"trainable": False} if layer["kind"] == "linear" else layer for layer in LAYERS[:2]
    )
    written = {"routes": ({"through": "logits", "matrix": {"kind": "random"}},)}
    made = program(written, (*frozen, LAYERS[2]))
    assert chains(made)["logits.feedback.B"] == "not used"
    data = facts.as_json(made, lineage(made), cost(made, 2))
    assert [route["used"] for route in data["routes"]] == [False]
    assert program({"rule": "fa"}, (*frozen, LAYERS[2])).routes == ()


@pytest.mark.parametrize(
    ("update", "chain"),
    [
        ({"rule": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, "sgd"),
        ({"rule": "adamw", "lr": 0.1}, "adamw"),
        ({"rule": "sgd", "lr": 0.1, "clip": {"by": "norm", "at": 1.0}}, "sgd <- clip"),
        ({"rule": "sgd", "lr": 0.1, "clip": {"by": "value", "at": 1.0}}, "sgd <- clip"),
        (
            {"rule": "sgd", "lr": 0.1, "groups": ({"match": "fc1.*", "use": {"rule": "adam", "lr": 0.1}},)},
            "adam (lr 0.1)",
        ),
    ],
)
def test_update_rules(update: dict[str, Any], chain: str) -> None:
    found = chains(program({"rule": "bp"}, update=update))
    assert (
        found["fc1.weight"]
        == f"<- {chain} <- fc1.error x input <- relu' <- W^T (logits.weight) <- loss error"
    )


def test_mean_squared_error_of_a_network_that_ends_in_an_activation() -> None:
    made = program({"rule": "bp"}, (*LAYERS, {"kind": "sigmoid"}), loss={"kind": "mse"})
    assert chains(made)["logits.bias"] == "<- sgd <- sum of logits.error <- sigmoid' <- loss error"


def test_json() -> None:
    made = program({"rule": "ldfa", "rank": 1})
    data = facts.as_json(made, lineage(made), cost(made, 2))
    assert data["parameters"] == 23
    assert [layer["name"] for layer in data["layers"]] == ["fc1", "relu_1", "logits"]
    assert data["layers"][0]["error"] == [
        {
            "from": "logits (through)",
            "operator": "Q P, learned",
            "rank": 1,
            "full_rank": 2,
            "via": [],
            "above": [],
        }
    ]
    (route,) = data["routes"]
    assert (route["node"], route["direction"], route["learning"]) == (
        "logits",
        "through",
        ["oja", "kolen_pollack"],
    )
    assert route["learned"] == route["state"] == ["logits.feedback.P", "logits.feedback.Q"]
    assert data["cost"]["backward_ratio"] == 1.25
    assert data["cost"]["step"]["macs"] == 36 + 60
    # In floats: |d|^2 4 + 4, s^T d 2 + 4 + 2, s^T s 2 + 2 + 1, (s^T s) P 1 + 2 + 2, then 6, 4 and 6, and gQ 6 + 2 + 3.
    assert data["cost"]["step"]["layers"][2]["phases"]["learn"] == {
        "macs": 14,
        "bytes": 212,
        "feedback_words": 0,
    }
    assert data["updates"][4] == {
        "name": "logits.feedback.P",
        "chain": ["oja", "loss error"],
        "still": None,
        "settings": None,
    }


def test_depth_is_no_limit() -> None:
    layers = [{"kind": "linear", "out": 2}, {"kind": "relu"}] * 1500
    made = program({"rule": "ldfa", "rank": 1}, (*layers, LAYERS[2]))
    assert len(show.updates(lineage(made)).splitlines()) == 2 * 1501 + 2 * 1500


def test_a_skip_over_everything_is_told_once_per_join() -> None:
    layers: list[dict[str, Any]] = [{"kind": "linear", "name": "stem", "out": 3}]
    for index in range(40):
        before = f"join{index - 1}" if index else "stem"
        layers += [{"kind": "linear", "name": f"fc{index}", "out": 3, "from": before}, {"kind": "relu"}]
        layers += [{"kind": "add", "name": f"join{index}", "from": (f"relu_{index + 1}", before)}]
    made = program({"rule": "bp"}, (*layers, LAYERS[2]))
    assert len(show.updates(lineage(made))) < 40 * 400
    assert chains(made)["join7.error"] == "<- (W^T (fc8.weight) <- fc8.error) + (join8.error)"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 29, "1.5 GiB")],
)
def test_binary(size: int, text: str) -> None:
    assert show.binary(size) == text


LOOKED_AT = (  # a loss reads a layer that others read, too
    {"kind": "linear", "name": "n0", "out": 4},
    {"kind": "linear", "name": "n1", "from": "n0", "out": 4, "trainable": False},
)


@settings(max_examples=150)
@given(specs())
@example(
    {
        "fac": 1,
        "name": "random",
        "input": {"shape": (4,)},
        "layers": LOOKED_AT,
        "losses": ({"kind": "mse", "of": "n0"},),
        "feedback": {"routes": ({"to": "n1", "from": "loss", "matrix": {"kind": "identity"}},)},
        "update": {"rule": "sgd", "lr": 0.1},
    }
)
def test_every_route_that_is_used_stands_in_the_table(spec: dict[str, Any]) -> None:
    """At a layer that learns by it, whatever joins and frozen layers lie between."""
    made = lower(fac.load({k: v for k, v in spec.items() if k != "constraints"}))
    if any(finding.rule.severity is Severity.ERROR for finding in run_checks(made)):
        return
    found = lineage(made)
    told: list[Owner] = []
    for node in made.nodes:
        for error in dict.fromkeys(error for tensor in node.tensors for error in found.arriving(tensor)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("fac.render.lineage.OPENED", 1000)  # a line may be as long as it takes
                told += (owner for way, _ in found.ways(error) for owner in way.operators)
    used = [made.routes[index] for index in routed(made)[0].used]
    assert [route for route in used if route not in told] == []
