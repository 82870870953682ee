"""What tables say of blocks: equal copies once, with their sums, and what differs by itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from fac.build.costs import cost
from fac.cli.show import COMMAND
from fac.program.lower import lower
from fac.program.program import Program
from fac.render import facts, show
from fac.render.blocks import Tree
from fac.render.expand import expanded
from fac.render.lineage import Lineage
from fac.spec.model import ModelSpec
from fac.testing.nets import RELU, Layers, linear, spec
from tests.build.test_blocks import NETWORK, RULES

RESIDUAL = {"kind": "residual", "name": "r", "body": (linear("fc1", 6), RELU, linear("fc2", 6))}
PLAIN = (linear("fc1", 6), RELU)


def deep(times: int, *body: dict[str, Any]) -> Layers:
    """A layer, a body several times, and a layer."""
    return linear("stem", 6), RELU, repeat("deep", times, *body), linear("logits", 4)


def repeat(name: str, times: int, *body: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "repeat", "name": name, "times": times, "body": body}


def made(layers: Layers, feedback: Any, **fields: Any) -> Program:
    return lower(ModelSpec.model_validate(spec(layers, feedback, **fields)))


def table(program: Program) -> str:
    tree = Tree(program)
    return show.layers(program, Lineage(program, tree.sums), cost(program, 2), tree)


def listed(text: str) -> list[str]:
    """The first cell of each row, without its indentation."""
    return [re.split(r" {2,}", line.strip())[0] for line in text.splitlines()[1:-1]]


def test_equal_copies_are_told_once_with_their_sums_and_the_last_where_it_differs() -> None:
    assert (
        table(made(deep(8, RESIDUAL, RELU), {"rule": "fa"}))
        == """\
 layer              kind      output  params  error from                         operator          rank   update
 stem               linear         6      36  deep.0.r + deep.0.r.fc1 (through)  exact + B, fixed  - + -  sgd
 deep.0 ... deep.7  8 x            6     672
   deep.0.r         residual       6      84  deep.1.r + deep.1.r.fc1 (through)  exact + B, fixed  - + -
     deep.0.r.fc1   linear         6      42  deep.0.r.fc2 (through)             B, fixed          -      sgd
     deep.0.r.fc2   linear         6      42  deep.0.r                           exact             -      sgd
   deep.7.r         residual       6      84  logits (through)                   B, fixed          -
 logits             linear         4      28  loss                               exact             -      sgd
 backward multiply-adds: 1.00 of backprop     peak memory at batch 2: 8.2 KiB     weight transport: none
"""
    )


ONE: dict[str, tuple[dict[str, Any], list[str]]] = {
    "another route": (
        {
            "feedback": {
                "routes": (
                    {"to": "deep.*.fc1", "matrix": {"kind": "random"}},
                    {"to": "deep.3.fc1", "matrix": {"kind": "random"}, "combine": "add"},
                )
            }
        },
        ["deep.0 ... deep.2", "deep.3", "deep.4 ... deep.7"],
    ),
    "another matrix": (
        {
            "feedback": {
                "routes": (
                    {"to": "deep.[0-6].fc1", "matrix": {"kind": "random"}},
                    {"to": "deep.7.fc1", "matrix": {"kind": "random", "scale": 0.5}},
                )
            }
        },
        ["deep.0 ... deep.6", "deep.7"],
    ),
    "another source": (
        {
            "feedback": {
                "routes": (
                    {"to": "deep.[1-7].fc1", "matrix": {"kind": "random"}},
                    {"to": "deep.0.fc1", "from": "logits", "matrix": {"kind": "random"}},
                )
            }
        },
        ["deep.0", "deep.1 ... deep.7"],
    ),
    "another rate": (
        {
            "feedback": {"rule": "dfa"},
            "update": {"rule": "sgd", "lr": 0.1, "groups": ({"match": "deep.5.*", "lr_scale": 2},)},
        },
        ["deep.0 ... deep.4", "deep.5", "deep.6 ... deep.7"],
    ),
    "nothing": ({"feedback": {"rule": "dfa"}}, ["deep.0 ... deep.7"]),
}


@pytest.mark.parametrize("case", ONE)
def test_a_copy_that_differs_stands_by_itself(case: str) -> None:
    fields, expected = ONE[case]
    rows = listed(table(made(deep(8, *PLAIN), **fields)))
    assert [row for row in rows if re.fullmatch(r"deep\.\d( \.\.\. deep\.\d)?", row)] == expected


def test_where_errors_enter_by_default_is_no_difference() -> None:
    """That of the last copy enters behind a layer that is no copy."""
    *below, logits = deep(4, *PLAIN)
    rows = listed(table(made((*below, {"kind": "tanh"}, logits), {"rule": "dfa"})))
    assert rows == ["stem", "deep.0 ... deep.3", "deep.0.fc1", "logits"]


def test_a_copy_of_another_shape_stands_by_itself() -> None:
    layers = (linear("stem", 8), RELU, repeat("deep", 4, *PLAIN), linear("logits", 4))
    rows = listed(table(made(layers, {"rule": "dfa"})))
    assert rows == ["stem", "deep.0", "deep.0.fc1", "deep.1 ... deep.3", "deep.1.fc1", "logits"]


def test_blocks_in_blocks_and_branches() -> None:
    branches = {"kind": "parallel", "name": "wide", "branches": (PLAIN,) * 3}
    body = ({"kind": "sequence", "name": "s", "body": (repeat("in", 2, *PLAIN), branches)},)
    assert listed(table(made(deep(3, *body), {"rule": "dfa"}))) == [
        "stem",
        "deep.0 ... deep.2",
        "deep.0.s",
        "deep.0.s.in.0 ... deep.0.s.in.1",
        "deep.0.s.in.0.fc1",
        "deep.0.s.wide",
        "deep.0.s.wide.0 ... deep.0.s.wide.2",
        "deep.0.s.wide.0.fc1",
        "logits",
    ]


def counted(text: str) -> dict[str, list[int]]:
    """The numbers of each row of `--cost`."""
    lines = [line for line in text.splitlines()[1:] if not line.startswith((" backward", " peak"))]
    cells = [re.split(r" {2,}", line.strip()) for line in lines]
    return {name: [int(number.replace(",", "")) for number in numbers] for name, *numbers in cells}


def test_costs_of_a_block_are_sums() -> None:
    program = made(deep(5, RESIDUAL, RELU), {"rule": "ldfa", "rank": 2})
    counts = cost(program, 2)
    each, folded = counted(show.costs(counts)), counted(show.costs(counts, Tree(program)))

    def added(prefix: str) -> list[int]:
        found = [row for name, row in each.items() if name == prefix or name.startswith(f"{prefix}.")]
        return [sum(column) for column in zip(*found, strict=True)]

    assert folded["deep.0 ... deep.4, 5 x"] == added("deep")
    assert folded["deep.0.r"] == added("deep.0.r")
    assert folded["deep.0.r (sum)"] == each["deep.0.r"]
    for name in ("stem", "deep.0.r.fc1", "logits", "loss", "total", "backprop"):
        assert folded[name] == each[name]
    assert not any(name.startswith("deep.1") for name in folded)


def test_updates_tell_the_error_of_a_sum_once() -> None:
    program = made(deep(3, RESIDUAL, RELU), {"rule": "bp"})
    tree = Tree(program)
    lines = show.updates(Lineage(program, tree.sums), tree).splitlines()
    assert [re.sub(r"(?<=\S) {2,}", "  ", line) for line in lines] == [
        " stem.weight  <- sgd <- stem.error x input <- relu' <- (W^T (deep.0.r.fc1.weight) <- deep.0.r.fc1.error)"
        " + (deep.0.r.error)",
        " stem.bias  <- sgd <- sum of stem.error <- relu' <- (W^T (deep.0.r.fc1.weight) <- deep.0.r.fc1.error)"
        " + (deep.0.r.error)",
        " deep.0 ... deep.2  3 x",
        "   deep.0.r.error  <- relu' <- (W^T (deep.1.r.fc1.weight) <- deep.1.r.fc1.error) + (deep.1.r.error)",
        "     deep.0.r.fc1.weight  <- sgd <- deep.0.r.fc1.error x relu_1 <- relu' <- W^T (deep.0.r.fc2.weight)"
        " <- deep.0.r.error",
        "     deep.0.r.fc1.bias  <- sgd <- sum of deep.0.r.fc1.error <- relu' <- W^T (deep.0.r.fc2.weight)"
        " <- deep.0.r.error",
        "     deep.0.r.fc2.weight  <- sgd <- deep.0.r.error x deep.0.r.relu_1",
        "     deep.0.r.fc2.bias  <- sgd <- sum of deep.0.r.error",
        "   deep.2.r.error  <- relu' <- W^T (logits.weight) <- loss error",
        " logits.weight  <- sgd <- logits.error x deep.2.relu_1 <- loss error",
        " logits.bias  <- sgd <- sum of logits.error <- loss error",
    ]


def test_weight_transport_and_groups_are_listed_by_globs() -> None:
    groups = ({"match": "deep.*.bias", "lr_scale": 2}, {"match": "deep.1.fc1.weight", "lr_scale": 3})
    program = made(deep(3, *PLAIN), {"rule": "bp"}, update={"rule": "sgd", "lr": 0.1, "groups": groups})
    text = table(program)
    assert "weight transport: deep.*.fc1, logits\n" in text
    assert " sgd (lr 0.2): deep.*.fc1.bias\n sgd (lr 0.3): deep.1.fc1.weight\n" in text


def test_all_and_json_leave_nothing_out(tmp_path: Path) -> None:
    program = made(deep(3, RESIDUAL, RELU), {"rule": "bp"})
    path = tmp_path / "deep.fac.yaml"
    path.write_text(program.spec.model_dump_json(by_alias=True, exclude_unset=True))
    shown = CliRunner().invoke(COMMAND, [str(path), "--all"]).output
    assert listed(shown) == [node.name for node in program.weighted]
    data = facts.as_json(program, Lineage(program), cost(program, 2))
    assert [layer["name"] for layer in data["layers"]] == [node.name for node in program.nodes]
    assert data["blocks"][0] == {
        "name": "deep.0.r",
        "kind": "residual",
        "inputs": ["relu_1"],
        "output": "deep.0.r",
    }
    assert data["blocks"][-1] == {
        "name": "deep",
        "kind": "repeat",
        "inputs": ["relu_1"],
        "output": "deep.2.relu_1",
    }


def test_the_long_form_leaves_blocks_and_has_one_route_for_all_copies() -> None:
    text = expanded(made(deep(8, RESIDUAL, RELU), {"rule": "dfa"}), blocks=True)
    _, _, routes = text.partition("feedback:\n")
    matrix = "from: loss, matrix: {kind: random, init: launay, learn: {rule: fixed}}"
    assert routes.splitlines()[:4] == [
        "  routes:",
        f"    - {{to: stem, {matrix}}}",
        f"    - {{to: deep.*.r.fc1, {matrix}}}",
        f"    - {{to: deep.*.r.fc2, {matrix}}}",
    ]
    assert "  - kind: repeat\n    name: deep\n    times: 8\n    body:\n      - kind: residual\n" in text
    frozen = expanded(made(deep(8, RESIDUAL, RELU), {"rule": "shallow"}), blocks=True)
    assert frozen.count("trainable: false") == 3


def test_the_long_form_writes_blocks_out_where_a_short_hand_freezes_some_copies() -> None:
    program = made(
        deep(3, *PLAIN), ({"rule": "shallow", "nodes": "deep.1.*"}, {"rule": "fa", "nodes": "logits"})
    )
    text = expanded(program, blocks=True)
    assert text == expanded(program)
    assert "{kind: linear, name: deep.1.fc1, out: 6, trainable: false}" in text


@settings(max_examples=25)
@given(NETWORK, st.sampled_from(RULES))
def test_nothing_is_lost(layers: Any, rule: Any) -> None:
    """Each parameter has a line, if only that of its likeness in another copy, and the outermost rows add up."""
    program = lower(ModelSpec.model_validate(spec(layers, rule)))
    lines = table(program).splitlines()
    header, rows = lines[0], [line for line in lines[1:-1] if line[1] != " "]
    ends = header.index("params") + len("params")
    sizes = [int(re.split(r"\D+", row[:ends].rstrip())[-1]) for row in rows if not row.startswith(" sgd (")]
    assert sum(sizes) == sum(tensor.size for node in program.nodes for tensor in node.tensors)
    tree = Tree(program)
    told = show.updates(Lineage(program, tree.sums), tree).splitlines()
    names = {line.split()[0] for line in told}

    def alike(name: str) -> str:
        return re.sub(r"\.\d+(?=\.|$)", ".*", name)

    shown = set(map(alike, names))
    assert {alike(tensor.name) for tensor in program.arrays} <= shown


def test_layers_that_are_called_by_numbers_are_no_copies() -> None:
    """As those of a `Sequential` of PyTorch are."""
    body = ({**linear("0", 6), "name": "0"}, {**RELU, "name": "1"})
    inner = {"kind": "sequence", "name": "0", "body": (linear("fc", 6), RELU)}
    layers = (
        {"kind": "sequence", "name": "stem", "body": body},
        {"kind": "sequence", "name": "deep", "body": (inner,)},
        linear("logits", 4),
    )
    found = table(made(layers, {"rule": "bp"}))
    assert listed(found) == ["stem", "stem.0", "deep", "deep.0", "deep.0.fc", "logits"]
