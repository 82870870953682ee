"""What the golden folders do not show: what is left unsaid, what is said once, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from fac.checks import run_checks
from fac.diagnostics import dotted
from fac.program.lower import lower
from fac.spec.model import ModelSpec
from tests.checks.specs import KP, NET, RANDOM, SGD, diagnosed, found, routes


@pytest.mark.parametrize(
    "feedback",
    [
        {"rule": "bp"},
        {"rule": "fa"},
        {"rule": "dfa"},
        {"rule": "shallow"},
        {"rule": "ldfa", "rank": 4},
        {"rule": "ldfa", "rank": 4, "learn": "normative", "refresh": 10},
        {"rule": "direct_ldfa", "rank": 1000},
        ({"rule": "fa", "nodes": "logits"}, {"rule": "dfa", "nodes": "fc1"}),
    ],
)
def test_short_hands_have_no_findings(feedback: Any) -> None:
    assert found(feedback=feedback) == []
    frozen = ({"kind": "linear", "name": "fc1", "out": 8, "trainable": False}, *NET[1:])
    assert found(frozen, feedback=feedback) == []


def test_findings_come_in_the_order_of_the_spec() -> None:
    layers = (NET[0], {"kind": "relu", "name": "a b"}, {"kind": "linear", "name": "fc2", "out": 1})
    feedback = routes({"to": "fc9"}, subspaces=({"name": "x", "rank": 9},))
    assert found(layers, feedback=feedback, constraints={"max_rank": 2}) == [
        ("FAC204", "layers[1].name"),
        ("FAC207", "loss.kind"),
        ("FAC204", "feedback.subspaces[0].name"),
        ("FAC307", "feedback.subspaces[0].name"),
        ("FAC301", "feedback.subspaces[0].rank"),
        ("FAC351", "feedback.subspaces[0].rank"),
        ("FAC201", "feedback.routes[0].to"),
    ]


def test_a_dangling_read_hides_what_follows_from_it() -> None:
    layers = (NET[0], {"kind": "relu", "from": "fc11"}, *NET[2:])
    assert found(layers, feedback={"rule": "dfa"}) == [("FAC201", "layers[1].from")]


def test_an_unknown_source_hides_what_follows_from_it() -> None:
    feedback = routes({"to": "fc1", "from": "tsak"}, subspaces=({"name": "task", "rank": 3},))
    assert found(feedback=feedback) == [("FAC201", "feedback.routes[0].from")]


def test_a_layer_without_shape_hides_what_follows_from_it() -> None:
    groups = {"rule": "sgd", "lr": 0.1, "groups": ({"match": "fc1.weight"},)}
    layers = ({"kind": "conv2d", "name": "fc1", "out": 4, "kernel": 3}, *NET[1:])
    assert found(layers, update=groups, feedback={"rule": "fa", "nodes": "fc2"}) == [
        ("FAC203", "layers[0].kind")
    ]


def test_a_cycle_hides_the_errors_that_are_missing_because_of_it() -> None:
    assert found(feedback=routes({"to": "logits", "from": "fc1"})) == [("FAC305", "feedback.routes[0].from")]


def test_each_cycle_is_reported_once() -> None:
    feedback = routes({"to": "fc1", "from": "fc2"}, {"to": "fc2", "from": "fc1"})
    assert found(feedback=feedback) == [("FAC305", "feedback.routes[1].from")]
    feedback = routes({"to": "fc1", "from": "fc1"}, {"to": "fc2", "from": "fc2"})
    assert [code for code, _ in found(feedback=feedback)] == ["FAC305", "FAC305"]


@pytest.mark.parametrize(
    ("source", "node", "help"),
    [
        ("task", "logits", "`*` also matches `logits`: name the layers, or narrow the glob"),
        ("loss", "logits", "`*` also matches `logits`: name the layers, or narrow the glob"),
        ("fc2", "fc2", "`*` also matches `fc2`: name the layers, or narrow the glob"),
    ],
)
def test_a_cycle_of_one_layer_of_a_glob_is_a_matter_of_the_glob(source: str, node: str, help: str) -> None:
    """To take the error from elsewhere, or to remove the route, would change what is right of it."""
    spaces = ({"name": "task", "rank": 3},) if source == "task" else ()
    findings = diagnosed(feedback=routes({"to": "*", "from": source}, subspaces=spaces))
    (cycle,) = [finding for finding in findings if finding.rule.code == "FAC305"]
    assert f"`{node}`" in cycle.message
    assert (cycle.path, cycle.help, cycle.fix) == (("feedback", "routes", 0, "to"), help, None)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"feedback": routes({"to": "fc1", "from": "fc*"})}, "from"),
        ({"feedback": routes({"to": "fc1", "at": "re*"})}, "at"),
        (
            {
                "feedback": routes(
                    {"to": "fc1", "from": "s"}, subspaces=({"name": "s", "of": "fc*", "rank": 3},)
                )
            },
            "of",
        ),
        ({"layers": ({"kind": "linear", "out": 4}, {"kind": "linear", "out": 4, "from": "lin*"})}, "from"),
        ({"layers": ({"kind": "linear", "out": 4}, {"kind": "add", "from": ("input", "lin*")})}, "from"),
    ],
)
def test_only_the_target_of_a_route_may_be_a_glob(more: dict[str, Any], key: str) -> None:
    findings = diagnosed(**more)
    (unknown,) = [finding for finding in findings if finding.rule.code == "FAC201"]
    assert (unknown.help, unknown.fix) == (f"`{key}` takes a name, and no glob", None)


def test_long_cycles_lose_their_middle() -> None:
    deep = tuple({"kind": "linear", "name": f"fc{i}", "out": 4} for i in range(20))
    spec = {
        "fac": 1,
        "name": "deep",
        "input": {"shape": (4,)},
        "layers": deep,
        "loss": {"kind": "mse"},
        "feedback": routes({"to": "fc18", "from": "fc0"}),
        "update": {"rule": "sgd", "lr": 0.1},
    }
    (finding,) = run_checks(lower(ModelSpec.model_validate(spec)))
    way = "`fc0` -> `fc18` -> `fc17` -> `fc16` -> ... -> `fc2` -> `fc1` -> `fc0`"
    assert finding.message == f"errors run in a circle: {way}"


def test_deep_networks_are_no_problem() -> None:
    deep = tuple({"kind": "linear", "name": f"fc{i}", "out": 4} for i in range(3000))
    assert found(deep, input={"shape": (4,)}, feedback=routes({"to": "fc9", "from": "fc5"})) == [
        ("FAC305", "feedback.routes[0].from")
    ]


def test_a_glob_is_one_finding() -> None:
    wide = {"kind": "low_rank", "rank": 100}
    assert found(feedback=routes({"through": "*", "matrix": wide})) == [
        ("FAC301", "feedback.routes[0].matrix.rank")
    ]
    misfit = {"kind": "identity"}
    assert found(feedback=routes({"through": "[fl][c1o]*", "matrix": misfit})) == [
        ("FAC308", "feedback.routes[0].matrix.kind")
    ]


def test_a_glob_may_cover_the_first_layer() -> None:
    assert found(feedback=routes({"through": "*"})) == []
    assert found(feedback=routes({"through": "fc1*"})) == [("FAC303", "feedback.routes[0].through")]


def test_a_short_hand_is_told_where_it_is_written() -> None:
    assert found(feedback={"rule": "fa", "learn": {"rule": "oja"}}) == [("FAC308", "feedback.learn")]
    transport = {"no_weight_transport": True}
    local = {"rule": "ldfa", "rank": 3, "learn": "local"}
    assert found(feedback=local, constraints=transport) == [("FAC350", "feedback.rule")]
    assert found(feedback={"rule": "fa"}, constraints={"max_rank": 4}) == [("FAC351", "feedback.rule")]
    limits = {"max_rank": 4, "backward_macs_vs_backprop": {"at_most": 0.1}}
    codes = [code for code, _ in found(feedback={"rule": "fa"}, constraints=limits)]
    assert sorted(codes) == ["FAC351", "FAC501"], "a limit that is broken hides no other"
    assert found(feedback={"rule": "ldfa", "rank": 6}, constraints={"max_rank": 4}) == [
        ("FAC351", "feedback.rank")
    ]


def test_routes_that_meet_on_purpose_are_fine() -> None:
    both = routes({"to": "fc1", "combine": "add"}, {"to": "fc1", "from": "fc2", "combine": "add"})
    assert found(feedback=both) == []
    one = routes({"to": "fc1"}, {"to": "fc1", "from": "fc2", "combine": "add"})
    assert found(feedback=one) == [("FAC309", "feedback.routes[1].to")]
    with_short_hand = ({"rule": "dfa"}, routes({"to": "fc1", "from": "fc2"}))
    assert found(feedback=with_short_hand) == [("FAC309", "feedback[1].routes[0].to")]


def test_an_automatic_name_is_a_name() -> None:
    layers = ({"kind": "relu"}, {"kind": "linear", "name": "relu_1", "out": 4})
    assert found(layers) == [("FAC202", "layers[1].name")]


def test_a_layer_that_nobody_reads_may_still_be_a_source() -> None:
    """An unread layer has no error, so a route from it brings none."""
    layers = (
        *NET[:2],
        {"kind": "linear", "name": "side", "out": 8, "trainable": False},
        {**NET[4], "from": "relu_1"},
    )
    assert found(layers, feedback=routes({"to": "fc1", "from": "side"})) == [
        ("FAC302", "layers[0].name"),
        ("FAC205", "layers[2].name"),
    ]


def low_rank(**fields: Any) -> dict[str, Any]:
    return routes({"through": "logits", "matrix": {"kind": "low_rank", "rank": 3, **fields}})


def test_at_may_lie_behind_a_join() -> None:
    """A skip is a way without weights, too; only weights between the two ends count."""
    layers = (*NET[:4], {"kind": "add", "name": "join", "from": ("relu_1", "relu_2")}, NET[4])
    assert found(layers, feedback=routes({"to": "fc2", "at": "join"})) == []
    assert found(layers, feedback=routes({"to": "fc1", "at": "join"})) == [
        ("FAC313", "feedback.routes[0].at")
    ]
    assert found(layers, feedback=routes({"to": "fc2", "at": "relu_1"})) == [
        ("FAC311", "feedback.routes[0].at")
    ]


def test_a_parallel_branch_is_not_above() -> None:
    layers = (
        *NET[:2],
        {"kind": "linear", "name": "left", "out": 8},
        {"kind": "linear", "name": "right", "from": "relu_1", "out": 8},
        {"kind": "add", "name": "join", "from": ("left", "right")},
        NET[4],
    )
    assert found(layers, feedback=routes({"to": "left", "at": "right"})) == [
        ("FAC311", "feedback.routes[0].at")
    ]
    assert found(layers, feedback=routes({"to": "left", "at": "join"})) == []


def test_a_glob_with_at_is_one_finding() -> None:
    both = routes({"to": "fc*", "at": "fc1", "combine": "add"})
    assert found(feedback=both) == [("FAC311", "feedback.routes[0].at")]
    above = routes({"to": "fc1*", "at": "fc2", "combine": "add"})
    assert found(feedback=above) == [("FAC313", "feedback.routes[0].at")]


@pytest.mark.parametrize("at", ["i", "i.relu_1"])
def test_a_block_at_which_an_error_enters_is_its_last_layer(at: str) -> None:
    body = {"kind": "linear", "name": "a", "out": 8}, {"kind": "relu"}
    layers = (*NET[:2], {"kind": "sequence", "name": "i", "body": body}, *NET[2:])
    assert found(layers, feedback=routes({"to": "fc1", "at": at})) == [("FAC313", "feedback.routes[0].at")]


def test_what_nobody_wrote_is_not_reported() -> None:
    """Defaults, and fields written with the value that says nothing."""
    assert found(update=SGD | {"nesterov": False}) == []
    assert found(feedback={"rule": "ldfa", "rank": 3, "learn": "fixed", "refresh": None}) == []
    assert found(feedback={"rule": "direct_ldfa", "rank": 3, "learn": "fixed"}) == []
    assert found(feedback={"rule": "direct_ldfa", "rank": 3, "learn": "fixed", "rate": 1.0}) == [
        ("FAC314", "feedback.rate")
    ]


@pytest.mark.parametrize("feedback", [{"rule": "bp"}, {"rule": "fa"}, low_rank(write={"rule": "fixed"})])
def test_feedback_settings_need_feedback_that_learns_by_an_update_rule(feedback: Any) -> None:
    """Nothing learns, or only P, by Oja's rule with a rate of its own."""
    assert found(feedback=feedback, update=SGD | {"feedback": {"lr_scale": 2.0}}) == [
        ("FAC314", "update.feedback")
    ]


@pytest.mark.parametrize(
    "feedback", [{"rule": "fa", "learn": KP}, {"rule": "ldfa", "rank": 2}, low_rank(read={"rule": "local"})]
)
def test_feedback_settings_are_used(feedback: Any) -> None:
    codes = [code for code, _ in found(feedback=feedback, update=SGD | {"feedback": {"lr_scale": 2.0}})]
    assert "FAC314" not in codes


def test_groups_of_arrays_that_do_not_move() -> None:
    frozen = ({**NET[0], "trainable": False}, *NET[1:])
    groups = SGD | {"groups": ({"match": "fc1.*"}, {"match": "*.bias"}, {"match": "logits.feedback.P"})}
    assert found(frozen, feedback=low_rank(), update=groups) == [
        ("FAC314", "update.groups[0].match"),
        ("FAC314", "update.groups[2].match"),
    ]


def test_groups_that_later_ones_cover_in_part_are_used() -> None:
    groups = SGD | {"groups": ({"match": "*.bias"}, {"match": "fc1.*"})}
    assert found(update=groups) == []
    groups = SGD | {"groups": ({"match": "*.bias"}, {"match": "fc1.*"}, {"match": "*"})}
    assert found(update=groups) == [
        ("FAC314", "update.groups[0].match"),
        ("FAC314", "update.groups[1].match"),
    ]


def test_a_scale_of_zero_is_told_where_it_is_written() -> None:
    assert found(feedback={"rule": "dfa", "scale": 0.0}) == [("FAC314", "feedback.scale")]
    zero = routes({"through": "*", "matrix": RANDOM | {"scale": 0.0}})
    assert found(feedback=zero) == [("FAC314", "feedback.routes[0].matrix.scale")]


@pytest.mark.parametrize(
    ("rule", "nodes"),
    [("bp", "fc2"), ("fa", "fc1"), ("dfa", "logits"), ("shallow", "logits"), ("ldfa", ("fc1",))],
)
def test_nodes_to_which_a_rule_gives_nothing(rule: str, nodes: Any) -> None:
    rank = {"rank": 3} if rule == "ldfa" else {}
    assert found(feedback={"rule": rule, "nodes": nodes} | rank) == [("FAC314", "feedback.nodes")]


def test_what_is_idle_in_the_rule_of_anchors_is_said_once() -> None:
    train = {"anchor": {"every": 3, "rule": "bp", "nodes": "fc2"}}
    assert found(feedback={"rule": "dfa"}, train=train) == [("FAC314", "train.anchor.nodes")]


@pytest.mark.parametrize(
    ("allowed", "help"),
    [
        (("dfa", "ldfa", "shallow", "usf", "frsf"), "use `shallow` or `usf`"),
        (("dfa",), "remove it: none of these could stand here"),
    ],
)
def test_what_anchors_may_be_instead_has_no_matrices(allowed: Any, help: str) -> None:
    train, demanded = {"anchor": {"every": 3, "rule": "bp"}}, {"allowed_rules": allowed}
    (finding,) = diagnosed(feedback={"rule": "dfa"}, train=train, constraints=demanded)
    assert (finding.rule.code, finding.path, finding.help) == ("FAC354", ("train", "anchor", "rule"), help)


@pytest.mark.parametrize(
    ("groups", "place", "help"),
    [
        (("*",), "update.groups[0].match", "`*` freezes what would: match fewer arrays, or remove the group"),
        (
            ("fc*", "logits.*"),
            "update.groups[0].match",
            "the groups with `trainable: false` freeze what would",
        ),
    ],
)
def test_groups_that_freeze_all_are_what_is_wrong(groups: Any, place: str, help: str) -> None:
    update = SGD | {"groups": tuple({"match": match, "trainable": False} for match in groups)}
    finding = next(d for d in diagnosed(update=update) if d.rule.code == "FAC206")
    assert dotted(finding.path) == place
    assert finding.help.startswith(help)


@pytest.mark.parametrize(
    ("kind", "feedback", "codes"),
    [
        ("captured_energy", {"rule": "fa"}, ["FAC314"]),
        ("captured_energy", {"rule": "ldfa", "rank": 3}, []),
        ("feedback_alignment", {"rule": "bp"}, ["FAC314"]),
        ("feedback_alignment", {"rule": "dfa"}, []),
        ("feedback_alignment", {"rule": "fa"}, []),
    ],
)
def test_probes_that_measure_nothing(kind: str, feedback: Any, codes: list[str]) -> None:
    assert [code for code, _ in found(feedback=feedback, probes=({"kind": kind},))] == codes


def test_feedback_that_follows_a_frozen_weight() -> None:
    frozen = (*NET[:2], {**NET[2], "trainable": False}, *NET[3:])
    assert found(frozen, feedback={"rule": "ldfa", "rank": 3}) == [("FAC315", "feedback.rule")]
    decay = SGD | {"weight_decay": 0.01}
    assert found(frozen, feedback={"rule": "fa", "learn": KP}, update=decay) == [("FAC315", "feedback.learn")]
    written = routes({"through": "fc2", "matrix": {"kind": "low_rank", "rank": 3, "write": KP}})
    assert found(frozen, feedback=written) == [("FAC315", "feedback.routes[0].matrix.write")]
    default = routes({"through": "fc2", "matrix": {"kind": "low_rank", "rank": 3}})
    assert found(frozen, feedback=default) == [("FAC315", "feedback.routes[0].matrix.kind")]
    assert found(frozen, feedback={"rule": "ldfa", "rank": 3, "learn": "normative"}) == []
    assert found(frozen, feedback={"rule": "direct_ldfa", "rank": 3}) == []


def test_feedback_of_a_frozen_weight_that_is_never_computed_follows_nothing() -> None:
    frozen = ({**NET[0], "trainable": False}, NET[1], {**NET[2], "trainable": False}, *NET[3:])
    assert found(frozen, feedback={"rule": "fa", "learn": KP}) == []
