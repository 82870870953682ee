"""What two programs differ in: nothing that means the same, everything that does not, and the way back mirrors it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count, pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import fac
from fac import pipeline, source
from fac.build.costs import optimised_step
from fac.checks import run_checks
from fac.diagnostics import Severity
from fac.escaping import code, visible
from fac.plugins import kinds
from fac.program.lower import lower
from fac.program.program import Program
from fac.render.diff import SECTIONS, Change, Difference, Figure, Item, Subject, Transport, alone, compare
from fac.render.diff.align import align
from fac.render.diff.data import as_json
from fac.render.diff.difference import OTHER_STATE
from fac.render.diff.markdown import ROOM, markdown
from fac.render.diff.matching import MOST_EDITS, matching, rising
from fac.render.diff.side import Side
from fac.render.diff.step import step
from fac.render.diff.text import text
from fac.render.diff.words import figure
from fac.render.expand import expanded_data
from fac.step.text import to_text

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.fac.yaml"))
Data = dict[str, Any]

RELU: Data = {"kind": "relu"}
CHAIN: tuple[Data, ...] = (
    {"kind": "linear", "name": "fc1", "out": 6},
    RELU,
    {"kind": "dropout", "rate": 0.1},
    {"kind": "linear", "name": "fc2", "out": 6},
    {"kind": "tanh", "name": "act"},
    {"kind": "linear", "name": "logits", "out": 4},
)
SKIP: tuple[Data, ...] = (
    {"kind": "linear", "name": "fc1", "out": 6},
    RELU,
    {"kind": "linear", "name": "fc2", "out": 6},
    {"kind": "leaky_relu"},
    {"kind": "add", "from": ("relu_1", "leaky_relu_1")},
    {"kind": "linear", "name": "logits", "out": 4},
)
TASK: Data = {"name": "task", "rank": 2, "basis": {"rule": "oja"}}
ROUTES: tuple[Data, ...] = (
    {"through": "fc2", "matrix": {"kind": "low_rank", "rank": 2}},
    {"to": "fc1", "from": "task", "combine": "add", "matrix": {"kind": "random"}},
)
LEARNED: Data = {"through": "logits", "matrix": {"kind": "random", "learn": {"rule": "kolen_pollack"}}}
SGD: Data = {"rule": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
GROUPS: tuple[Data, ...] = (
    {"match": "*.bias", "weight_decay": 0.0},
    {"match": "logits.*", "use": {"rule": "adam", "lr": 0.01}},
)


def data(layers: Sequence[Data] = CHAIN, feedback: Any = None, **more: Any) -> Data:
    """A whole spec."""
    return {
        "fac": 1,
        "name": "demo",
        "input": {"shape": (5,)},
        "layers": tuple(layers),
        "loss": {"kind": "cross_entropy"},
        "feedback": feedback or {"rule": "bp"},
        "update": {"rule": "sgd", "lr": 0.1},
        "train": {"batch": 4},
    } | more


def program(spec: Data) -> Program:
    return pipeline.lowered(spec)


def difference(old: Data, new: Data) -> Difference:
    return compare(program(old), program(new))


def told(found: Difference) -> str:
    """The text without the costs, which every difference ends with."""
    return text(found).rpartition("\n\n")[0]


NORMS: tuple[Data, ...] = (
    {"kind": "linear", "name": "fc1", "out": 6},
    {"kind": "batch_norm"},
    {"kind": "batch_norm", "trainable": False},
    {"kind": "linear", "name": "out", "out": 4},
)
SPECS: dict[str, Data] = {
    "bp": data(),
    "fa": data(feedback={"rule": "fa"}),
    "dfa": data(SKIP, {"rule": "dfa"}),
    "ldfa": data(feedback={"rule": "ldfa", "rank": 3}),
    "direct_ldfa": data(SKIP, {"rule": "direct_ldfa", "rank": 2}),
    "shallow": data(feedback={"rule": "shallow"}),
    "shallow norms": data(NORMS, {"rule": "shallow"}),
    "long": data(
        feedback={"subspaces": (TASK,), "routes": (*ROUTES, LEARNED)}, update=SGD | {"groups": GROUPS}
    ),
    "long skip": data(
        SKIP, {"subspaces": (TASK,), "routes": ROUTES}, update=SGD, probes=({"kind": "alignment"},)
    ),
}

# -- what means the same -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_and_its_long_form_mean_the_same(name: str) -> None:
    short = program(SPECS[name])
    assert compare(short, short).same
    assert compare(short, program(expanded_data(short))).same


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_and_its_long_form_mean_the_same(path: Path) -> None:
    short = pipeline.lowered(path)
    assert compare(short, program(expanded_data(short))).same


SPELLINGS: dict[str, tuple[Data, Data]] = {
    "name of the spec": ({}, {"name": "other"}),
    "moments": (
        {"layers": ({"kind": "batch_norm", "trainable": False}, NORMS[1], *CHAIN)},
        {
            "layers": (
                {"kind": "batch_norm", "trainable": False, "moments": "averages"},
                NORMS[1] | {"moments": "batch"},
                *CHAIN,
            )
        },
    ),
    "default": ({}, {"train": {"batch": 4, "epochs": 5}}),
    "schedule": (
        {"update": SGD | {"schedule": "cosine"}},
        {"update": SGD | {"schedule": {"kind": "cosine", "warmup": {"epochs": 0}}}},
    ),
    "group": (
        {"update": SGD | {"groups": ({"match": "*", "lr_scale": 0.3},)}},
        {"update": SGD | {"groups": ({"match": "*", "use": SGD | {"lr": 0.03}},)}},
    ),
    "group that moves nothing": (
        {"feedback": {"rule": "fa"}},
        {"feedback": {"rule": "fa"}, "update": {"rule": "sgd", "lr": 0.1, "feedback": {"lr_scale": 0.5}}},
    ),
    "setting without effect": ({}, {"update": {"rule": "sgd", "lr": 0.1, "nesterov": True}}),
    "initial law of a route": (
        {"feedback": {"routes": ({"through": "fc2", "matrix": {"kind": "random"}},)}},
        {"feedback": {"routes": ({"through": "fc2", "matrix": {"kind": "random", "init": "like_forward"}},)}},
    ),
    "transposed weight": (
        {},
        {"feedback": {"routes": ({"through": "fc2", "matrix": {"kind": "transpose"}},)}},
    ),
    "error of the output": (
        {"feedback": {"routes": ({"to": "fc1", "matrix": {"kind": "random"}},)}},
        {"feedback": {"routes": ({"to": "fc1", "from": "logits", "matrix": {"kind": "random"}},)}},
    ),
    "automatic name": ({}, {"layers": (CHAIN[0], RELU | {"name": "relu_1"}, *CHAIN[2:])}),
    "the layer before": ({}, {"layers": (*CHAIN[:3], CHAIN[3] | {"from": "dropout_1"}, *CHAIN[4:])}),
    "order of sections": (
        {"feedback": ({"rule": "fa", "nodes": "fc2"}, {"rule": "ldfa", "rank": 2, "nodes": "logits"})},
        {"feedback": ({"rule": "ldfa", "rank": 2, "nodes": "logits"}, {"rule": "fa", "nodes": "fc2"})},
    ),
    "probes by default": (
        {},
        {"probes": tuple({"kind": kind.name} for kind in kinds("fac.probes") if kind.standard)},
    ),
    "amount of memory": (
        {"constraints": {"peak_memory": {"at_most": "1 MiB"}}},
        {"constraints": {"peak_memory": {"at_most": 2**20}}},
    ),
    "constraint that is off": ({}, {"constraints": {"no_weight_transport": False}}),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_two_spellings_of_one_meaning(name: str) -> None:
    one, other = (data(**spelling) for spelling in SPELLINGS[name])
    assert text(difference(one, other)) == "no difference in meaning\n"


# -- every single field ------------------------------------------------------------------------------------------

POOL: tuple[Any, ...] = (
    *(True, False, None, 1, 2, 3, 0.25, 0.5, (), (6,)),
    *(
        "svd",
        "random",
        "orthogonal",
        "zeros",
        "launay",
        "like_forward",
        "cosine",
        "constant",
        "epoch",
        "norm",
        "sum",
    ),
    *("fc1", "fc2", "logits", "relu_1", "act", "add", "replace", "loss", "task", "fc2.*", "*.feedback.*"),
    *({"kind": kind} for kind in ("relu", "tanh", "dropout", "mse", "random", "identity", "transpose")),
    *({"rule": rule} for rule in ("fixed", "oja", "kolen_pollack", "local", "normative")),
    *({"rule": rule, "lr": 0.01} for rule in ("sgd", "adam", "adamw")),
    {"kind": "normal", "std": 0.3},
    {"kind": "low_rank", "rank": 2},
    {"rule": "oja", "rate": 0.5},
    {"kind": "step", "every": 2},
    {"by": "norm", "at": 1.0},
    {"lr_scale": 0.5},
    {"epochs": 1},
    {"at_most": 1.5},
    {"per_unit": 2},
    {"density": 0.5},
    ("fc1", "relu_1"),
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else ()
    )
    for key, item in entries:
        yield from paths(item, (*path, key))


def put(value: Any, path: tuple[Any, ...], item: Any) -> Any:
    if not path:
        return item
    if isinstance(value, dict):
        return {**value, path[0]: put(value[path[0]], path[1:], item)}
    return tuple(put(v, path[1:], item) if i == path[0] else v for i, v in enumerate(value))


def accepted(spec: Data) -> Program | None:
    """The program of a spec without errors."""
    model, _ = pipeline.parse(source.from_data(spec))
    if model is None:
        return None
    lowered = lower(model)
    errors = any(found.rule.severity is Severity.ERROR for found in run_checks(lowered))
    return None if errors else lowered


Edit = tuple[tuple[Any, ...], Any]
"""Where, and what stands there then."""


@dataclass(frozen=True)
class Base:
    """A spec with all its defaults written out, and changes of one field."""

    spec: Data
    program: Program
    step: str
    state: object
    changes: list[Edit] = field(repr=False)
    """In an order without meaning. Most make it a spec with errors."""

    def mutant(self, number: int) -> tuple[Edit, Program]:
        """The first change from that number on that leaves it without errors."""
        for place in count(number):
            change = self.changes[place % len(self.changes)]
            found = accepted(put(self.spec, *change))
            if found is not None:
                return change, found
        raise AssertionError


@cache
def base(name: str) -> Base:
    spec = fac.load(SPECS[name]).model_dump(by_alias=True)
    lowered, changes = program(spec), [(path, value) for path in paths(spec) for value in POOL]
    Random(0).shuffle(changes)
    return Base(spec, lowered, to_text(optimised_step(lowered)), state(lowered), changes)


def state(lowered: Program) -> object:
    return [(t.name, t.shape, t.init, t.trainable) for t in lowered.arrays]


FIELDS = ("ldfa", "long", "long skip")


@settings(max_examples=100)
@given(st.sampled_from(FIELDS), st.integers(0))
def test_a_change_of_one_field_is_reported_by_name(name: str, number: int) -> None:
    known = base(name)
    (path, value), mutant = known.mutant(number)
    found = compare(known.program, mutant)
    if to_text(optimised_step(mutant)) != known.step or state(mutant) != known.state:
        assert not found.same, (path, value)
    # All that a field changes has a name of its own, but for matrices that are numbered anew.
    assert all(i.old and i.new and i.old.name != i.new.name for i in found.sections["step"]), (path, value)
    assert mirrored(found) == sort(compare(mutant, known.program)), (path, value)


@settings(max_examples=40)
@given(st.sampled_from(FIELDS), st.sampled_from(FIELDS), st.integers(0), st.integers(0))
def test_the_way_back_is_the_mirror_image(one: str, other: str, first: int, second: int) -> None:
    (_, old), (_, new) = base(one).mutant(first), base(other).mutant(second)
    assert mirrored(compare(old, new)) == sort(compare(new, old))


def test_the_way_back_from_a_layer_without_weights_to_one_with() -> None:
    old, new = (
        program(data((CHAIN[0], {**layer, "name": "fc2"}, CHAIN[-1]), {"rule": "ldfa", "rank": 2}))
        for layer in (RELU, CHAIN[3])
    )
    assert mirrored(compare(old, new)) == sort(compare(new, old))


def mirrored(found: Difference) -> Difference:
    """What the difference is in the other direction."""
    words = {
        "tightened": "loosened",
        "loosened": "tightened",
        "learns now": "frozen now",
        "frozen now": "learns now",
    }
    return sort(
        replace(
            found,
            transport=Transport(
                found.transport.new, found.transport.old, found.transport.removed, found.transport.introduced
            ),
            sections={
                name: tuple(
                    Item(
                        item.new,
                        item.old,
                        tuple(Change(c.field, c.new, c.old) for c in item.changes),
                        words.get(item.note, item.note),
                    )
                    for item in items
                )
                for name, items in found.sections.items()
            },
            batch=found.batch[::-1],
            costs=tuple(replace(figure, old=figure.new, new=figure.old) for figure in found.costs),
        )
    )


def sort(found: Difference) -> Difference:
    """What was removed is listed before the rest, so order has a direction."""
    return replace(
        found, sections={name: tuple(sorted(items, key=repr)) for name, items in found.sections.items()}
    )


# -- layers ------------------------------------------------------------------------------------------------------


def named(layers: Sequence[Data], **names: str) -> tuple[Data, ...]:
    """Layers with other names, wherever they are called by them."""

    def called(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(called, value))
        return names.get(value, value) if isinstance(value, str) else value

    return tuple({k: called(v) if k in ("name", "from") else v for k, v in layer.items()} for layer in layers)


def test_a_renamed_layer_is_no_other_layer() -> None:
    old = data(
        feedback={
            "routes": (
                *ROUTES[:1],
                {"to": "fc1", "from": "fc2", "matrix": {"kind": "random"}, "combine": "add"},
            )
        }
    )
    new = data(
        named(CHAIN, fc1="stem", fc2="middle"),
        {
            "routes": (
                {"through": "middle", "matrix": {"kind": "low_rank", "rank": 2}},
                {"to": "stem", "from": "middle", "matrix": {"kind": "random"}, "combine": "add"},
            )
        },
    )
    assert told(difference(old, new)) == f"layers\n ~ fc1 -> stem, fc2 -> middle  {OTHER_STATE}"


def test_a_renamed_layer_without_state_is_renamed_and_no_more() -> None:
    new = data(named(CHAIN, act="squash"))
    assert told(difference(data(), new)) == "layers\n ~ act -> squash  renamed"


def test_a_renamed_layer_may_change_too() -> None:
    new = data(({"kind": "linear", "name": "stem", "out": 7}, *CHAIN[1:]))
    assert told(difference(data(), new)) == (
        "layers\n"
        " ~ fc1 -> stem  out         6 -> 7\n"
        " ~              parameters  36 -> 42\n"
        " ~ fc2          input       6 -> 7\n"
        " ~              parameters  42 -> 48"
    )


def test_numbers_that_shift_are_no_renaming() -> None:
    old = data((CHAIN[0], RELU, CHAIN[3], RELU, CHAIN[5]))
    new = data((RELU, CHAIN[0], RELU, CHAIN[3], RELU, CHAIN[5]))
    assert told(difference(old, new)) == "layers\n + relu_1  relu, output 5, after input"


def test_a_layer_with_a_number_is_renamed_if_its_state_is() -> None:
    old = data(({"kind": "linear", "out": 6}, RELU, {"kind": "linear", "out": 4}))
    new = data(({"kind": "linear", "out": 5}, RELU, *old["layers"]))
    assert told(difference(old, new)) == (
        "! weight transport introduced at linear_2 (it was at 1 layer before)\n"
        "\n"
        "errors that layers learn from\n"
        " + linear_1  linear_2 (exact)\n"
        "\n"
        "layers\n"
        " + linear_1                                    linear, out 5, 30 parameters, after input\n"
        " + relu_1                                      relu, output 5, after linear_1\n"
        " ~ linear_1 -> linear_2, linear_2 -> linear_3  renamed: other initial values, "
        "old checkpoints do not fit"
    )


def test_layers_stand_in_the_order_of_the_network() -> None:
    """Added ones next to changed ones, though the added ones are alike."""
    hidden: tuple[Data, ...] = ({"kind": "linear", "name": "l1", "out": 6}, {"kind": "linear", "out": 6})
    old = data((*hidden, CHAIN[5]))
    new = data((hidden[0] | {"out": 7}, RELU, RELU, hidden[1] | {"out": 8}, RELU, CHAIN[5]))
    found = told(difference(old, new)).partition("layers\n")[2]
    starts = [line for line in found.splitlines() if line[3] != " "]
    names = [line.split()[1] for line in starts]
    assert names == ["l1", "relu_1", "relu_2", "linear_2", "relu_3", "logits"]


def test_a_layer_that_moved() -> None:
    new = data((*CHAIN[:1], CHAIN[4], *CHAIN[1:4], CHAIN[5]))
    assert told(difference(data(), new)) == "layers\n ~ act  after  fc2 -> fc1"


def test_a_layer_that_reads_another() -> None:
    new = data(put(SKIP, (4, "from"), ("fc1", "leaky_relu_1")))
    assert told(difference(data(SKIP), new)) == (
        "layers\n ~ add_1  from  [relu_1, leaky_relu_1] -> [fc1, leaky_relu_1]"
    )


@given(st.data())
def test_alignment_is_one_to_one_and_symmetric(draw: st.DataObject) -> None:
    names = st.sampled_from([None, None, "a", "b", "c", "d"])
    layer = st.builds(
        lambda kind, name: {"kind": kind} | ({"name": name} if name else {}),
        st.sampled_from(["relu", "relu", "tanh", "sigmoid"]),
        names,
    )

    def unique(layers: list[Data]) -> bool:
        given = [spec["name"] for spec in layers if "name" in spec]
        return len(given) == len(set(given))

    layers = st.lists(layer, max_size=8).filter(unique)
    last: Data = {"kind": "linear", "name": "logits", "out": 4}
    old, new = (lower(fac.load(data((*draw.draw(layers), last)))) for _ in range(2))
    there, back = align(old, new), align(new, old)
    assert sorted((a.name, b.name) for a, b in there.pairs) == sorted((b.name, a.name) for a, b in back.pairs)
    assert there.removed == back.added
    assert there.added == back.removed
    assert len({a.name for a, _ in there.pairs} | {n.name for n in there.removed}) == len(old.nodes)
    assert len({b.name for _, b in there.pairs} | {n.name for n in there.added}) == len(new.nodes)
    given = {n.name for n in old.nodes if n.layer.name} & {n.name for n in new.nodes if n.layer.name}
    assert all(there.layers[name] == name for name in given)


# -- matching ----------------------------------------------------------------------------------------------------

LETTERS = st.lists(st.integers(0, 3), max_size=12)


def longest_common(old: Sequence[Hashable], new: Sequence[Hashable]) -> int:
    """By the table of all prefixes."""
    row = [0] * (len(new) + 1)
    for item in old:
        above = row
        row = [0]
        for j, other in enumerate(new):
            row.append(above[j] + 1 if item == other else max(above[j + 1], row[j]))
    return row[-1]


@given(LETTERS, LETTERS)
def test_matching_keeps_as_much_as_can_be_kept(old: list[int], new: list[int]) -> None:
    pairs = matching(old, new)
    assert all(old[i] == new[j] for i, j in pairs)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
    assert len(pairs) == longest_common(old, new)


@given(st.permutations(range(8)))
def test_rising_is_longest(values: list[int]) -> None:
    found = [values[place] for place in rising(values)]
    assert found == sorted(found)
    assert len(found) == longest_common(values, sorted(values))


class Counted:
    """A value that counts how often it is compared."""

    times = 0

    def __init__(self, value: int) -> None:
        self.value = value

    def __hash__(self) -> int:
        return hash(self.value)

    def __eq__(self, other: object) -> bool:
        Counted.times += 1
        return isinstance(other, Counted) and self.value == other.value


@pytest.mark.parametrize(
    "change",
    [
        lambda old: [Counted(9), *old, Counted(9)],
        lambda old: [*old[:300], *old[310:7000], Counted(9), *old[7000:]],
        lambda old: [Counted(-1 - item.value) for item in old],
    ],
    ids=["around", "within", "everything"],
)
def test_matching_long_sequences_takes_few_comparisons(
    change: Callable[[list[Counted]], list[Counted]],
) -> None:
    old = [Counted(i % 2) for i in range(10_000)]
    new = change(old)
    Counted.times = 0
    matching(old, new)
    assert Counted.times <= MOST_EDITS * (MOST_EDITS + 2) + 4 * (len(old) + len(new))


# -- routing -----------------------------------------------------------------------------------------------------


def test_weight_transport_is_told_first() -> None:
    found = difference(data(feedback={"rule": "fa"}), data())
    assert text(found).startswith("! weight transport introduced at fc2, logits (there was none)\n\n")
    found = difference(data(), data(feedback={"rule": "fa", "nodes": "fc2"}))
    assert text(found).startswith("! weight transport removed at fc2 (it is left at 1 layer)\n\n")


def test_feedback_made_from_weights_is_weight_transport_too() -> None:
    rule = {"rule": "ldfa", "rank": 2}
    found = difference(data(feedback=rule), data(feedback=rule | {"learn": "normative"}))
    assert found.transport.introduced == ("fc2", "logits")
    assert not found.sections["errors"]


def test_who_learns_from_what() -> None:
    identity = {"kind": "identity"}
    cases: dict[str, tuple[Data, ...]] = {
        "loss (direct)": ({"to": "fc1", "matrix": {"kind": "random"}},),
        "task (direct)": (ROUTES[1] | {"combine": "replace"},),
        "fc2 (through)": ({"through": "fc2", "matrix": identity},),
        "fc2 (direct)": ({"to": "fc1", "from": "fc2", "matrix": identity},),
        "fc2 (exact) + task (direct)": ROUTES[1:],
    }
    for expected, routes in cases.items():
        found = difference(data(), data(feedback={"subspaces": (TASK,), "routes": routes}))
        (item,) = found.sections["errors"]
        assert item.subject == Subject.of(layer="fc1")
        assert f" ~ fc1  fc2 (exact) -> {expected}\n" in text(found)


def test_another_source_of_a_route_is_a_change() -> None:
    def to(source: str) -> Data:
        return data(
            feedback={"routes": ({"to": "fc1", "from": source, "matrix": {"kind": "low_rank", "rank": 2}},)}
        )

    assert told(difference(to("loss"), to("fc2"))) == (
        "errors that layers learn from\n"
        " ~ fc1  loss (direct) -> fc2 (direct)\n"
        "\n"
        "routes\n"
        " ~ to fc1  from  loss -> fc2"
    )


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"signs": True}, " ~ to fc1  signs  false -> true"),
        ({"error_scale": "sum"}, " ~ to fc1  error_scale  mean -> sum"),
    ],
)
def test_what_a_route_makes_of_an_error_is_a_change(said: Data, line: str) -> None:
    """It has a name, and a route that is new says it, too."""
    route = {"to": "fc1", "matrix": {"kind": "random"}}
    old, new = (data(feedback={"routes": (one,)}) for one in (route, route | said))
    found = difference(old, new)
    assert told(found).startswith(f"routes\n{line}")
    assert not found.sections["step"]
    (key,) = said
    assert key in told(difference(data(feedback={"rule": "bp"}), new))


def test_a_site_that_moved_is_a_change() -> None:
    """If both networks have both places: behind a layer that is new, or gone, the layers say it."""
    layers: tuple[Data, ...] = (
        {"kind": "linear", "name": "fc1", "out": 6},
        {"kind": "relu", "name": "one"},
        {"kind": "tanh", "name": "two", "from": "one"},
        {"kind": "linear", "name": "logits", "out": 4},
    )
    join: Data = {"kind": "add", "from": ("one", "two")}
    nets = layers, (*layers[:3], join, layers[3]), (*layers[:3], {"kind": "dropout", "rate": 0.1}, layers[3])
    old, new, longer = (data(net, {"rule": "dfa"}) for net in nets)
    for first, second, change in ((old, new, ("two", "one")), (new, old, ("one", "two"))):
        (item,) = difference(first, second).sections["routes"]
        assert (item.subject, item.changes) == (Subject.of(to="fc1"), (Change("site", *change),))
    assert not difference(old, longer).sections["routes"]


def test_routes_at_one_layer_are_told_apart_by_their_source() -> None:
    def routes(*ranks: int) -> Data:
        return data(
            feedback={
                "routes": tuple(
                    {"to": "fc1", "from": s, "combine": "add", "matrix": {"kind": "low_rank", "rank": r}}
                    for s, r in zip(("loss", "fc2"), ranks, strict=True)
                )
            }
        )

    assert told(difference(routes(1, 2), routes(1, 3))) == "routes\n ~ to fc1 from fc2  rank  2 -> 3"


def test_a_clipped_rank_is_no_change() -> None:
    def ldfa(rank: int) -> Data:
        return data(feedback={"rule": "ldfa", "rank": rank})

    assert told(difference(ldfa(5), ldfa(64))) == "routes\n ~ through fc2  rank  5 -> 6"
    assert difference(ldfa(6), ldfa(64)).same


def test_a_wider_layer_does_not_change_the_laws_of_its_routes() -> None:
    new = data(put(CHAIN, (3, "out"), 8), {"rule": "ldfa", "rank": 2})
    found = difference(data(feedback={"rule": "ldfa", "rank": 2}), new)
    assert [name for name in SECTIONS if found.sections[name]] == ["layers"]


def test_an_unnamed_difference_of_the_steps_is_told() -> None:
    routes = tuple(
        {"to": "fc1", "from": s, "combine": "add", "matrix": {"kind": "random"}} for s in ("loss", "fc2")
    )
    found = difference(data(feedback={"routes": routes}), data(feedback={"routes": routes[::-1]}))
    assert [name for name in SECTIONS if found.sections[name]] == ["step"]
    assert "fc1.feedback.B" in {item.subject.name for item in found.sections["step"]}


MASKED: Data = {"to": "fc1", "matrix": {"kind": "random", "mask": {"per_unit": 3}}}


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ({"per_unit": 2}, "mask.per_unit  3 -> 2"),
        ({"density": 0.5}, "mask  per_unit 3 -> density 0.5"),
        (None, "mask  per_unit 3 -> –"),
    ],
)
def test_a_mask_of_feedback(mask: Data | None, expected: str) -> None:
    old, new = (
        data(feedback={"routes": (MASKED | {"matrix": MASKED["matrix"] | {"mask": m}},)})
        for m in (MASKED["matrix"]["mask"], mask)
    )
    found = difference(old, new)
    assert told(found) == f"routes\n ~ to fc1  {expected}"
    assert mirrored(found) == sort(difference(new, old))


def test_what_is_no_part_of_the_step_hides_nothing_of_it() -> None:
    one = {"to": "fc1", "combine": "add", "matrix": {"kind": "random"}}
    two = one | {"from": "fc2"}
    old = data(feedback={"routes": (one, two)})
    new = data(feedback={"routes": (two, one)}, constraints={"max_rank": 40})
    found = difference(old, new)
    assert [name for name in SECTIONS if found.sections[name]] == ["constraints", "step"]


def test_a_matrix_that_is_numbered_anew_is_told() -> None:
    """Without the dead route before it the live one has another name, and so another stream."""
    dead, live = ({key: "fc1", "matrix": {"kind": "random"}} for key in ("through", "to"))
    found = difference(data(feedback={"routes": (dead, live)}), data(feedback={"routes": (live,)}))
    ((before, after),) = [(item.old, item.new) for item in found.sections["step"]]
    assert before
    assert after
    assert (before.name, after.name) == ("fc1.feedback.2.B", "fc1.feedback.B")


def test_another_mask_is_another_step() -> None:
    """Also where no setting says so."""
    one, other = (
        Side(program(data(feedback={"routes": (MASKED | {"matrix": {"kind": "random"} | more},)})))
        for more in ({}, {"mask": {"density": 0.5}})
    )
    assert [item.subject.name for item in step(one, other)] == ["fc1.feedback.B"]


# -- training ----------------------------------------------------------------------------------------------------


def test_parameters_that_the_main_change_does_not_reach() -> None:
    def decay(value: float, *those: Data) -> Data:
        return data(update=SGD | {"weight_decay": value, "groups": those})

    old, new = decay(0.1, GROUPS[0]), decay(0.2, GROUPS[0], {"match": "logits.weight", "lr_scale": 0.5})
    assert told(difference(old, new)) == (
        "update\n"
        " ~ update                           weight_decay  0.1 -> 0.2\n"
        " ~ fc1.bias, fc2.bias, logits.bias                as before\n"
        " ~ logits.weight                    weight_decay  0.1 -> 0.2\n"
        " ~                                  lr            0.1 -> 0.05"
    )


def test_constraints_say_which_way_they_went() -> None:
    old = data(constraints={"max_rank": 8, "allowed_rules": ("fa", "bp"), "max_skip": 1})
    new = data(
        constraints={
            "max_rank": 4,
            "allowed_rules": ("bp", "dfa"),
            "backward_macs_vs_backprop": {"at_most": 1.5},
        }
    )
    assert told(difference(old, new)) == (
        "constraints\n"
        " ~ max_rank                   8 -> 4 (tightened)\n"
        " - max_skip                   1 (loosened)\n"
        " ~ allowed_rules              [fa, bp] -> [bp, dfa]\n"
        " + backward_macs_vs_backprop  1.5 (tightened)"
    )


def test_costs_are_those_of_show() -> None:
    found = difference(data(), data(feedback={"rule": "dfa"}))
    costs = {figure.name: (figure.old, figure.new) for figure in found.costs}
    assert costs["parameters"] == (106, 106)
    # B of fc1 and fc2, both (6, 4).
    assert costs["feedback_parameters"] == (0, 48)
    assert costs["feedback_words"] == (60, 48)
    # Gradients 4 * 90; errors 4 * 60 of backprop, 4 * 48 of the direct routes.
    assert costs["backward_macs"] == (600, 552)
    assert costs["backward_macs_vs_backprop"] == (1.0, 0.92)
    assert found.costs[2].percent == pytest.approx(-8.0, abs=1e-12)
    assert found.costs[1].percent is None
    assert found.costs[0].percent == 0


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1_930_000, 1_920_000, ("1.841 MiB", "1.831 MiB", "-0.5 %")),
        (1_150_000, 1_155_000, ("1.0967 MiB", "1.1015 MiB", "+0.4 %")),
        (12_700_000, 11_300_000, ("12.1 MiB", "10.8 MiB", "-11.0 %")),
        (10_485_760, 10_485_761, ("10,485,760 B", "10,485,761 B", "+1e-05 %")),
        (1_048_000, 1_049_000, ("1,023.4 KiB", "1,024.4 KiB", "+0.1 %")),
        (500, 2_000_000, ("500 B", "1.9 MiB", "+399,900.0 %")),
        (500, 510, ("500 B", "510 B", "+2.0 %")),
        (0, 5_000, ("0 B", "4.9 KiB", "new")),
        (5_000, 5_000, ("4.9 KiB", "4.9 KiB", "–")),
    ],
)
def test_amounts_of_memory_show_what_tells_them_apart(
    old: int, new: int, expected: tuple[str, str, str]
) -> None:
    assert figure(Figure("peak_bytes", old, new)) == ("peak memory", *expected)


def test_ratios_show_what_tells_them_apart() -> None:
    assert figure(Figure("backward_macs_vs_backprop", 1, 1.0002))[1:3] == ("1.00000", "1.00020")
    assert figure(Figure("backward_macs_vs_backprop", 1, 0.5))[1:3] == ("1.000", "0.500")


# -- new and deleted ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECS)
def test_a_new_spec_is_all_added_and_a_deleted_one_its_mirror(name: str) -> None:
    whole = program(SPECS[name])
    added, removed = alone(whole, added=True), alone(whole, added=False)
    assert replace(mirrored(added), status="removed") == sort(removed)
    assert {item.status for items in added.sections.values() for item in items} == {"added"}
    assert [item.subject.name for item in added.sections["layers"]] == [node.name for node in whole.nodes]
    assert not added.same
    assert not removed.same
    # Its figures and places are those that a comparison of it has.
    same = compare(whole, whole)
    assert [figure.new for figure in added.costs] == [figure.new for figure in same.costs]
    assert added.transport.introduced == same.transport.new


# -- what people read --------------------------------------------------------------------------------------------


def deep(layers: int, rule: str) -> Data:
    blocks = [({"kind": "linear", "name": f"fc{i}", "out": 4}, RELU) for i in range(layers)]
    return data([layer for block in blocks for layer in block] + [CHAIN[5]], {"rule": rule})


def test_many_layers_with_one_change_are_one_line() -> None:
    assert told(difference(deep(30, "fa"), deep(30, "dfa"))) == (
        "errors that layers learn from\n"
        " ~ fc0, fc1, fc2 and 27 more  the layer above (through) -> loss (direct)\n"
        "\n"
        "routes\n"
        " - through fc1, fc2, fc3 and 27 more  random, init like_forward, learn fixed\n"
        " + to fc0, fc1, fc2 and 27 more       from loss, random, init launay, learn fixed"
    )


def test_ways_stand_in_the_order_of_layers_and_not_of_names() -> None:
    """So that block 9, which reads from 10 and 11, says the same in the same order as block 2."""
    body = [{"kind": "linear", "name": "fc", "out": 4, "bias": False}, RELU]
    blocks = {
        "kind": "repeat",
        "name": "b",
        "times": 12,
        "body": [{"kind": "residual", "name": "r", "body": body}],
    }
    whole = data([CHAIN[0] | {"out": 4}, blocks, CHAIN[5]], {"rule": "ldfa", "rank": 2})
    side = Side(program(whole))
    places = {node.name: place for place, node in enumerate(side.program.nodes)}
    for node in side.program.weighted:
        hops = [source[0].name for source in side.sources(node)]
        assert hops == sorted(hops, key=lambda name: places.get(name, len(places))), node.name


def test_errors_from_several_layers_are_said_once() -> None:
    blocks: list[dict[str, Any]] = [
        {"kind": "linear", "name": "in", "out": 4},
        *(
            {
                "kind": "parallel",
                "name": f"b{i}",
                "branches": tuple(({"kind": "linear", "out": 4},) for _ in range(3)),
            }
            for i in range(4)
        ),
        CHAIN[5],
    ]
    shown = told(difference(data(blocks), data(blocks, {"rule": "ldfa", "rank": 2})))
    assert "the layers above (exact) -> the layers above (through)" in shown
    assert "the layer above (exact) + the layer above" not in shown


def test_colours_mark_lines() -> None:
    found = difference(data(feedback={"rule": "fa"}), data())
    lines = text(found, color=True).splitlines()
    assert lines[0] == "\x1b[1;31m! weight transport introduced at fc2, logits (there was none)\x1b[0m"
    assert "\x1b[31m - through fc2, logits  random, init like_forward, learn fixed\x1b[0m" in lines
    assert "\x1b" not in text(found)


NASTY = (
    "a|b",
    "`tick`",
    "x\\|y",
    "<b>&amp;",
    "*_~[l](u)",
    "@team #1",
    "``|``",
    "new\nline",
    "| --- |",
    "ä é",
)


RENDERER = MarkdownIt("commonmark", {"html": True}).enable("table")


def tables(comment: str) -> list[list[list[str]]]:
    """The text of the cells of the tables, as a renderer sees them."""
    found: list[list[list[str]]] = []
    for token in RENDERER.parse(comment):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level >= 3 and found:
            children = token.children or []
            found[-1][-1].append("".join(c.content for c in children if c.type in ("text", "code_inline")))
    return found


@pytest.mark.parametrize("name", NASTY)
def test_names_stay_in_their_cells(name: str) -> None:
    item = Item(None, Subject.of(layer=name), (Change("layer", None, {"kind": name}),))
    empty = Transport((), (), (), ())
    found = Difference(empty, {"layers": (item,)}, (1, 1), ())
    ((_, row),) = tables(markdown(found, name))[:1]
    assert row == ["+", visible(name), "", "–", visible(name)]


@given(st.text(max_size=40))
def test_code_is_code_whatever_the_text(words: str) -> None:
    shown = code(words)
    (token,) = [t for t in RENDERER.parse(f"x {shown} x") if t.type == "inline"]
    assert token.content == f"x {shown} x"
    assert "|" not in shown
    assert shown.startswith("`") == shown.endswith("`")
    assert "`" not in shown[1:-1]


def test_long_sections_are_folded_and_comments_stay_within_bounds() -> None:
    wide: list[Data] = [
        {"kind": "linear", "name": f"layer_with_a_long_name_{i}", "out": i + 1} for i in range(400)
    ]
    wider = [layer | {"out": width + 2} for width, layer in enumerate(wide)]
    comment = markdown(difference(data((*wide, CHAIN[5])), data((*wider, CHAIN[5]))))
    assert len(comment) <= ROOM
    assert "<details><summary>Layers (401)</summary>\n\n| " in comment
    assert "more rows: `fac diff` prints them all." in comment
    assert comment.count("<details>") == comment.count("</details>") == 1


def test_nothing_to_say() -> None:
    found = difference(data(), data())
    assert text(found) == "no difference in meaning\n"
    assert markdown(found, "a.fac.yaml") == "### fac diff: `a.fac.yaml`\n\nNo difference in meaning.\n"
    assert as_json(found)["same"] is True


def test_three_thousand_layers(tmp_path: Path) -> None:
    """Renamed one and all, so that no name helps."""
    old, new = deep(1_500, "fa"), deep(1_500, "fa")
    new["layers"] = tuple({k: v for k, v in layer.items() if k != "name"} for layer in new["layers"])
    alignment = align(lower(fac.load(old)), lower(fac.load(new)))
    assert len(alignment.pairs) == 3_001
    assert not alignment.removed
    assert not alignment.added
