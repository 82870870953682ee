"""What people read of layers that share parameters."""

from __future__ import annotations

from fac.build.costs import cost
from fac.build.functions import functions
from fac.pipeline import check, lowered
from fac.program.program import Program
from fac.render import facts
from fac.render.blocks import Tree
from fac.render.diff import compare
from fac.render.expand import expanded_data
from fac.render.graph.fold import folded
from fac.render.graph.read import topology
from fac.render.graph.words import facts as words
from fac.render.lineage import Lineage
from fac.render.show import layers, updates
from fac.step.text import to_text
from fac.testing.nets import Data, Layers, linear, spec

TANH: Data = {"kind": "tanh"}
CHAIN: Layers = (
    linear("a", 5),
    TANH,
    linear("b", 5, tie="a"),
    TANH,
    linear("c", 5, tie="a", bias=False),
    TANH,
    linear("out", 3),
)
LOOP: Layers = (
    linear("first", 5),
    {"kind": "repeat", "name": "loop", "times": 12, "tie": True, "body": (linear("fc", 5), TANH)},
    linear("out", 3),
)


GRU: Layers = ({"kind": "gru", "name": "r", "out": 5}, linear("out", 3))


def told(layers: Layers, rule: str = "fa") -> tuple[Program, Lineage]:
    program = lowered(spec(layers, {"rule": rule}))
    return program, Lineage(program)


def test_a_row_tells_the_errors_of_its_layer_and_whose_parameters_it_shares() -> None:
    program, lineage = told(CHAIN)
    table = layers(program, lineage, cost(program, 8)).splitlines()
    cells = {row.split()[0]: row.split() for row in table[1:5]}
    assert cells["a"][2:6] == ["5", "30", "b", "(through)"]
    assert cells["b"][2:7] == ["5", "=", "a", "c", "(through)"]
    assert cells["c"][2:7] == ["5", "=", "a", "out", "(through)"]
    assert {row[-1] for row in cells.values()} == {"sgd"}


def test_the_sum_of_a_shared_parameter_is_told_and_each_of_its_errors_has_a_line() -> None:
    told_of = dict(row.split(maxsplit=1) for row in updates(told(CHAIN)[1]).splitlines())
    assert told_of["a.weight"] == "<- sgd <- sum of a.error x input + b.error x tanh_1 + c.error x tanh_2"
    assert told_of["a.bias"] == "<- sgd <- sum of a.error + b.error"
    assert told_of["b.error"] == "<- tanh' <- B (a.feedback, fixed) <- c.error"
    assert {name for name in told_of if name.startswith(("b.", "c."))} == {"b.error", "c.error"}


def test_copies_that_share_parameters_are_told_once() -> None:
    program, lineage = told(LOOP)
    table = layers(program, lineage, cost(program, 8), Tree(program)).splitlines()
    rows = [line.split()[0] for line in table[1:] if line.startswith((" first", " loop", "   loop", " out"))]
    assert rows == ["first", "loop.0", "loop.0.fc", "loop.1", "loop.1.fc", "loop.11.fc", "out"]
    chains = updates(lineage, Tree(program))
    assert "loop.11.fc.error x loop.10.tanh_1 (12 terms)" in chains
    fixed = [line.split()[0] for line in chains.splitlines() if line.endswith(" fixed")]
    assert fixed == ["loop.0.fc.feedback.B", "out.feedback.B"]


def test_numbers_count_what_is_shared_once() -> None:
    program, lineage = told(LOOP)
    data = facts.as_json(program, lineage, cost(program, 8))
    assert data["parameters"] == 30 + 30 + 18
    assert [layer["shares"] for layer in data["layers"] if layer["name"] == "loop.5.fc"] == ["loop.0.fc"]
    assert len({tensor.name for tensor in program.arrays}) == len(program.arrays) == 8


def test_the_long_form_is_the_same_network() -> None:
    """Of copies, of a rule that goes through all of them, and of one that freezes some uses of a shared weight."""
    last = (linear("a", 5), TANH, linear("b", 5, tie="a"))
    for given, feedback in ((LOOP, "fa"), (CHAIN, "dfa"), (last, "shallow"), (LOOP, "shallow")):
        program = lowered(spec(given, {"rule": feedback}))
        for blocks in (False, True):
            other = lowered(expanded_data(program, blocks))
            assert other.arrays == program.arrays
            assert to_text(functions(other).step) == to_text(functions(program).step)


def test_a_picture_says_whose_parameters_they_are() -> None:
    picture = topology(told(CHAIN)[0])
    lines = {s.head.name: words(picture, s) for s in picture.stations if s.role == "layer"}
    assert {name: "parameters of a" in line for name, line in lines.items()} == {
        "a": False,
        "b": True,
        "c": True,
        "out": False,
    }


def test_a_law_beside_a_tie_has_no_effect() -> None:
    given = (linear("a", 5), TANH, linear("b", 5, tie="a", init="orthogonal"), TANH, linear("out", 3))
    (found,) = check(spec(given))
    assert (found.rule.code, found.path) == ("FAC314", ("layers", 2, "init"))


def test_a_difference_tells_ties_once_and_follows_names() -> None:
    def told_between(old: Layers, new: Layers) -> list[tuple[str, object, object]]:
        items = compare(lowered(spec(old)), lowered(spec(new))).sections["layers"]
        return [(change.field, change.old, change.new) for item in items for change in item.changes]

    free = tuple({key: value for key, value in layer.items() if key != "tie"} for layer in CHAIN)
    assert ("tie", None, "a") in told_between(free, CHAIN)
    names = {"a": "first", "b": "second", "c": "third"}
    renamed = tuple(
        {key: names.get(value, value) if key in ("name", "tie") else value for key, value in layer.items()}
        for layer in CHAIN
    )
    assert not [change for change in told_between(CHAIN, renamed) if change[0] == "tie"]
    apart = (LOOP[0], {**LOOP[1], "tie": False}, LOOP[2])
    assert ("tie", "loop.0.fc", None) in told_between(LOOP, apart)


def test_the_steps_of_a_recurrent_layer_are_told_once_and_its_state_has_a_line() -> None:
    """Beside what stands before them; a step's head tells the error of the state that it hands on."""
    program = lowered(spec(GRU, {"rule": "fa"}, shape=(9, 4)))
    tree = Tree(program)
    lineage = Lineage(program, tree.landmarks)
    table = layers(program, lineage, cost(program, 8), tree)
    rows = {line.split()[0]: line for line in table.splitlines() if line.strip()}
    assert "r.1 ... r.6" in table
    assert "r.2.gates + r.2.hh (through)" in rows["r.1"]
    assert "r.0.gates + ... + r.8.gates (9 ways)" in rows["r.ih"]
    assert [name for name in rows if name.startswith("r.")] == [
        "r.ih",
        *("r.0", "r.0.hh", "r.1", "r.1.hh"),
        *("r.7", "r.7.hh", "r.8.hh"),
    ]
    chains = (row.split(maxsplit=1) for row in updates(lineage, tree).splitlines())
    told_of = {name: chain for name, *chain in chains}
    assert told_of["r.1.gates.error"] == [
        "<- (gru_gates' <- r.2.gates.error) + (B (r.0.hh.feedback, fixed) <- r.2.hh.error)"
    ]
    assert "r.2.gates.error" not in told_of


def test_a_picture_folds_the_steps_of_a_recurrent_layer() -> None:
    """The first one, and the others as one; what all of them read stands before them once."""
    program = lowered(spec(GRU, {"rule": "fa"}, shape=(9, 4)))
    picture = folded(topology(program))
    names = [
        [chain[0].name for chain in station.chains] for station in picture.stations if station.role == "layer"
    ]
    steps = [[f"r.{t}.{part}" for t in range(1, 9)] for part in ("token", "hh", "gates")]
    assert names == [["r.ih"], ["r.start"], ["r.0.token"], ["r.0.hh"], ["r.0.gates"], *steps, ["out"]]
    assert [(group.name, group.count) for group in picture.groups] == [("r.0", 1), ("r.1 … r.8", 8)]
