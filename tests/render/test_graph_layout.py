"""What holds of every picture: it shows what is computed, each route once, and nothing lies on anything else."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

import fac
from fac.build.routing import Routing
from fac.build.trace import Trace
from fac.checks import run_checks
from fac.diagnostics import Severity
from fac.program.lower import lower
from fac.program.program import Program
from fac.render.graph import mermaid, words
from fac.render.graph.fold import folded
from fac.render.graph.layout import laid_out
from fac.render.graph.pens import BUS, TIE
from fac.render.graph.picture import Picture, Rect
from fac.render.graph.read import topology
from fac.render.graph.rows import Grid
from fac.render.graph.topology import Flowing, Topology
from fac.render.graph.tracks import tracks

Layers = list[dict[str, Any]]


def made(layers: Layers, feedback: Any = None, name: str = "made") -> Program:
    spec = {
        "fac": 1,
        "name": name,
        "input": {"shape": (16,)},
        "layers": tuple(layers),
        "loss": {"kind": "cross_entropy"},
        "update": {"rule": "sgd", "lr": 0.1},
    }
    return lower(fac.load(spec if feedback is None else spec | {"feedback": feedback}))


def linear(name: str, out: int = 16, reads: str | None = None) -> dict[str, Any]:
    return {"kind": "linear", "name": name, "out": out} | ({"from": reads} if reads else {})


def mlp(*widths: int) -> Layers:
    layers = [part for i, out in enumerate(widths, 1) for part in (linear(f"fc{i}", out), {"kind": "relu"})]
    return [*layers, linear("logits", 10)]


def residual(blocks: int) -> Layers:
    layers: Layers = [linear("stem"), {"kind": "relu", "name": "x0"}]
    for i in range(1, blocks + 1):
        layers += [
            linear(f"b{i}.a", reads=f"x{i - 1}"),
            {"kind": "relu"},
            linear(f"b{i}.b"),
            {"kind": "add", "name": f"x{i}", "from": (f"b{i}.b", f"x{i - 1}")},
        ]
    return [*layers, linear("logits", 10)]


def block(kind: str, name: str, *body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "body": body} | fields


def blocks(times: int, *body: dict[str, Any]) -> Layers:
    """Copies of a body, and a block with a layer beside it."""
    down = block(
        "residual", "down", linear("a", 8), {"kind": "relu"}, linear("b", 8), shortcut=(linear("p", 8),)
    )
    copies = block("repeat", "deep", *(body or (skipped("r"), {"kind": "relu"})), times=times)
    return [linear("stem"), {"kind": "relu"}, copies, down, linear("logits", 10)]


def skipped(name: str) -> dict[str, Any]:
    return block("residual", name, linear("a"), {"kind": "relu"}, linear("b"))


def two_groups() -> Layers:
    layers = [*residual(12)[:-1], linear("mid", 24), {"kind": "gelu", "name": "y0"}]
    for i in range(1, 9):
        layers += [
            linear(f"c{i}.a", 24, reads=f"y{i - 1}"),
            {"kind": "gelu"},
            linear(f"c{i}.b", 24),
            {"kind": "add", "name": f"y{i}", "from": (f"c{i}.b", f"y{i - 1}")},
        ]
    return [*layers, linear("logits", 10)]


def fan(arms: int) -> Layers:
    names = [f"arm{i}" for i in range(arms)]
    layers: Layers = [linear("stem"), {"kind": "relu", "name": "h"}]
    layers += [linear(name, reads="h") for name in names]
    return [*layers, {"kind": "add", "from": tuple(names)}, linear("logits", 10)]


OPERATORS = (
    {"kind": "random"},
    {"kind": "low_rank", "rank": 3},
    {"kind": "identity"},
    {"kind": "transpose"},
    {"kind": "random", "learn": {"rule": "kolen_pollack"}, "scale": 0.5},
)


def any_program(seed: int) -> Program:
    """Some network with some routes, most of them wrong in several ways."""
    draw = random.Random(seed)
    names, layers = ["input"], list[dict[str, Any]]()
    for i in range(draw.randint(0, 12)):
        layer: dict[str, Any] = {"kind": draw.choice(("linear", "linear", "relu", "add", "tanh"))}
        layer["name"] = draw.choice((f"n{i}", f"n{i}", f"n{i}", "n0"))
        if layer["kind"] == "linear":
            layer |= {"out": draw.choice((16, 16, 8)), "trainable": draw.random() > 0.15}
        if layer["kind"] == "add":
            layer["from"] = tuple(draw.choice([*names, "ghost"]) for _ in range(draw.randint(1, 3)))
        elif draw.random() < 0.3:
            layer["from"] = draw.choice(names)
        layers.append(layer)
        names.append(layer["name"])
    places = [*names[1:], "nowhere"]
    subspaces = tuple(
        {"name": f"s{i}", "of": draw.choice(["loss", *places]), "rank": draw.randint(1, 6)}
        for i in range(draw.randint(0, 3))
    )
    sources = ["loss", "loss", "loss", *places, *(s["name"] for s in subspaces)]
    routes: Layers = []
    for _ in range(draw.randint(0, 8)):
        route: dict[str, Any] = {"matrix": draw.choice(OPERATORS)}
        if draw.random() < 0.4:
            route["through"] = draw.choice(places)
        else:
            route |= {"to": draw.choice(places), "from": draw.choice(sources)}
            route |= {"combine": draw.choice(("replace", "add"))}
            route |= {"at": draw.choice(places)} if draw.random() < 0.2 else {}
        routes.append(route)
    return made(layers, {"subspaces": subspaces, "routes": tuple(routes)})


def sound_program(seed: int) -> Program:
    """Some network with those of some routes that are right together."""
    draw = random.Random(seed)
    layers = residual(draw.randint(1, 3)) if draw.random() < 0.5 else mlp(*[16] * draw.randint(1, 7))
    names = [layer["name"] for layer in layers if "name" in layer]
    kept: tuple[dict[str, Any], ...] = ()
    subspaces: tuple[dict[str, Any], ...] = ()
    for _ in range(8):
        one: dict[str, Any] = {"matrix": draw.choice(OPERATORS)}
        source = draw.choice(["loss", "sub", *names])
        added: tuple[dict[str, Any], ...] = ()
        if draw.random() < 0.4:
            one["through"] = draw.choice(names)
        else:
            one |= {"to": draw.choice(names), "from": source, "combine": draw.choice(("replace", "add"))}
            if source == "sub" and not subspaces:
                added = ({"name": "sub", "of": draw.choice(["loss", *names]), "rank": 2},)
        program = made(layers, {"subspaces": (*subspaces, *added), "routes": (*kept, one)})
        if not any(found.rule.severity is Severity.ERROR for found in run_checks(program)):
            kept, subspaces = (*kept, one), (*subspaces, *added)
    return made(layers, {"subspaces": subspaces, "routes": kept})


PROGRAMS: dict[str, Callable[[], Program]] = {
    "one layer": lambda: made([linear("logits", 10)]),
    "empty": lambda: made([]),
    "3 layers, ldfa": lambda: made(mlp(16, 16), {"rule": "ldfa", "rank": 4}),
    "20 layers, dfa": lambda: made(mlp(*range(16, 35)), {"rule": "dfa"}),
    "20 layers, ldfa": lambda: made(mlp(*range(16, 35)), {"rule": "ldfa", "rank": 8}),
    "40 layers, ldfa and dfa": lambda: made(
        mlp(*range(16, 55)), [{"rule": "ldfa", "rank": 4, "nodes": "fc1?"}, {"rule": "dfa", "nodes": "fc2?"}]
    ),
    "150 layers, ldfa": lambda: made(mlp(*[16] * 149), {"rule": "ldfa", "rank": 8}),
    "150 layers, direct": lambda: made(mlp(*[16] * 149), {"rule": "direct_ldfa", "rank": 8}),
    "150 widths": lambda: made(mlp(*range(16, 165)), {"rule": "dfa"}),
    "residual, dfa": lambda: made(residual(2), {"rule": "dfa"}),
    "50 residual blocks": lambda: made(residual(50), {"rule": "fa"}),
    "two groups": lambda: made(two_groups(), {"rule": "ldfa", "rank": 4}),
    "two groups, direct": lambda: made(two_groups(), [{"rule": "dfa"}]),
    "blocks, bp": lambda: made(blocks(30)),
    "blocks, ldfa": lambda: made(blocks(2), {"rule": "ldfa", "rank": 4}),
    "blocks, dfa": lambda: made(blocks(7), {"rule": "dfa"}),
    "blocks in blocks": lambda: made(
        blocks(4, block("sequence", "a_long_name_" * 9, *[skipped(name) for name in "abcdefg"])),
        {"rule": "fa"},
    ),
    "fan": lambda: made(fan(12), {"rule": "fa"}),
    "wide fan": lambda: made(fan(60), {"rule": "dfa"}),
    "long names": lambda: made([linear("a_long_name_" * 20 + str(i)) for i in range(9)], {"rule": "fa"}),
}
PROGRAMS |= {f"random {seed}": partial(any_program, seed) for seed in range(60)}
PROGRAMS |= {f"sound {seed}": partial(sound_program, seed) for seed in range(20)}


@pytest.fixture(params=PROGRAMS, scope="module")
def program(request: pytest.FixtureRequest) -> Program:
    return PROGRAMS[request.param]()


@pytest.fixture(scope="module")
def picture(program: Program) -> Picture:
    return laid_out(folded(topology(program)))


# -- geometry ----------------------------------------------------------------------------------------------------


def right(rect: Rect) -> float:
    return rect.x + rect.width


def bottom(rect: Rect) -> float:
    return rect.y + rect.height


def overlap(a: Rect, b: Rect) -> bool:
    return a.x < right(b) and b.x < right(a) and a.y < bottom(b) and b.y < bottom(a)


def rects(picture: Picture) -> Iterator[tuple[str, Rect]]:
    """Everything that covers what lies under it; a group is a frame and covers nothing."""
    for box in picture.boxes:
        if box.look != "group":
            yield f"box {box.words}", box.rect
    for label in picture.labels:
        yield f"label {label.words}", label.rect


def test_everything_is_inside_the_canvas(picture: Picture) -> None:
    for name, rect in [*rects(picture), *((box.look, box.rect) for box in picture.boxes)]:
        assert rect.x >= 0, name
        assert rect.y >= 0, name
        assert right(rect) <= picture.width, name
        assert bottom(rect) <= picture.height, name
    for wire in picture.wires:
        for x, y in (point for line in wire.lines for point in line):
            assert 0 <= x <= picture.width, wire.title
            assert 0 <= y <= picture.height, wire.title


def test_no_box_and_no_label_overlaps_another(picture: Picture) -> None:
    ordered = sorted(rects(picture), key=lambda named: named[1].x)
    open_: list[tuple[str, Rect]] = []
    for name, rect in ordered:
        open_ = [(other, r) for other, r in open_ if right(r) > rect.x]
        assert [other for other, r in open_ if overlap(r, rect)] == [], name
        open_.append((name, rect))


def test_no_words_lie_on_the_frame_of_a_group(picture: Picture) -> None:
    for box in (box for box in picture.boxes if box.look == "group"):
        frame = box.rect
        # Where a group goes on in another row its frame has no side.
        left, end = (1 if "l" not in box.opens else -200), (1 if "r" not in box.opens else -200)
        inside = Rect(frame.x + left, frame.y + 1, frame.width - left - end, frame.height - 2)
        for name, rect in rects(picture):
            held = rect.x >= inside.x and right(rect) <= right(inside) and bottom(rect) <= bottom(inside)
            assert held or not overlap(rect, frame), name


def test_no_line_runs_through_a_box_or_a_label(picture: Picture) -> None:
    """Labels keep clear of the whole width of a line."""
    covered = list(rects(picture))
    labels = [(f"label {label.words}", label.rect) for label in picture.labels]
    for wire in picture.wires:
        half = wire.pen.total / 2
        for (x, y), (u, v) in (pair for line in wire.lines for pair in pairwise(line)):
            across, along = (half, 0) if x == u else (0, half)
            left, top = min(x, u) - across, min(y, v) - along
            ink = Rect(left, top, abs(x - u) + 2 * across, abs(y - v) + 2 * along)
            assert [name for name, rect in labels if overlap(rect, ink)] == [], wire.title
        for line in wire.lines:
            for (x, y), (u, v) in pairwise(line):
                way = Rect(min(x, u) + 1, min(y, v) + 1, abs(x - u) - 2, abs(y - v) - 2)
                if x == u:
                    way = replace(way, x=x, width=0)
                if y == v:
                    way = replace(way, y=y, height=0)
                assert [name for name, rect in covered if overlap(rect, way)] == [], wire.title


def test_frames_keep_clear_of_arrowheads(picture: Picture) -> None:
    for frame in (box.rect for box in picture.boxes if box.look == "group"):
        for wire in picture.wires:
            for (x, y), way in wire.tips:
                if way == "u" and frame.x < x < right(frame):
                    assert not y < bottom(frame) < y + 8, wire.title


def test_a_tie_ends_on_the_line_of_its_route(picture: Picture) -> None:
    ties = [wire for wire in picture.wires if wire.pen == TIE and wire.dots]
    lines = [line for wire in picture.wires if wire.routes or wire.pen == BUS for line in wire.lines]
    for tie in ties:
        ((x, y),) = tie.dots
        assert tie.lines[0][-1] == (x, y)
        spans = [(sorted((a, c)), sorted((b, d))) for line in lines for (a, b), (c, d) in pairwise(line)]
        assert any(a <= x <= c and b <= y <= d for (a, c), (b, d) in spans), tie.title


def test_a_line_says_at_both_edges_where_it_goes_and_comes_from() -> None:
    picture = laid_out(folded(topology(PROGRAMS["20 layers, dfa"]())))
    said = [label.title for label in picture.labels if label.title.startswith(("to ", "from "))]
    assert Counter(said) == Counter(
        ["to fc7", "from fc6", "to fc14", "from fc13", *["from δ of loss"] * 2, "to 6 layers", "to 13 layers"]
    )


def test_rows_break_between_blocks() -> None:
    """Where one value goes on, and not two."""
    layers: Layers = [linear("stem"), {"kind": "relu", "name": "x0"}]
    for i in range(1, 13):
        layers += [
            linear(f"b{i}.a", 16 + i, reads=f"x{i - 1}"),
            {"kind": "relu"},
            linear(f"b{i}.b"),
            {"kind": "add", "name": f"x{i}", "from": (f"b{i}.b", f"x{i - 1}")},
        ]
    grid = Grid(folded(topology(made([*layers, linear("logits", 10)], {"rule": "dfa"}))), 0)
    first = [words.calling(grid.topology.stations[row.columns[0].station or 0]) for row in grid.rows]
    assert len(first) > 2
    assert all(name == "input" or name.endswith(".a") for name in first)


def test_a_group_that_fills_a_row_is_broken() -> None:
    """Rows are about equally long, and the frame of the group is open where it goes on."""
    widths = [24 + 8 * (i % 7) for i in range(149)]
    picture = laid_out(folded(topology(made(mlp(*widths), {"rule": "ldfa", "rank": 8}))))
    assert [box.opens for box in picture.boxes if box.look == "group" and box.title] == ["r", "l"]


def test_level_lines_of_two_nets_do_not_share_a_place() -> None:
    numbers = tracks([(0, 5), (5, 7), (6, 9), (1, 2), (3, 4), (8, 9)])
    assert numbers[0] != numbers[1]
    assert numbers[3] == numbers[4]
    placed = list(zip([(0, 5), (5, 7), (6, 9), (1, 2), (3, 4), (8, 9)], numbers, strict=True))
    for i, ((a, b), n) in enumerate(placed):
        for (c, d), m in placed[i + 1 :]:
            assert n != m or b < c or d < a


# -- truth -------------------------------------------------------------------------------------------------------


def test_each_route_is_drawn_once_or_noted(program: Program, picture: Picture) -> None:
    shown = folded(topology(program))
    drawn = Counter(id(route) for wire in picture.wires for route in wire.routes)
    noted = Counter(id(route) for route in shown.pruned)
    assert drawn + noted == Counter(map(id, program.routes))
    for link in shown.links:
        if link.flowing is Flowing.ROUTE:
            assert link.count == len(link.routes)


def test_folding_hides_no_station_and_no_link(program: Program) -> None:
    whole = topology(program)
    shown = folded(whole)
    assert [n.name for s in whole.stations for c in s.chains for n in c] == sorted(
        (n.name for s in shown.stations for c in s.chains for n in c), key=_order(whole).__getitem__
    )
    assert sum(link.count for link in shown.links) == len(whole.links)


def _order(whole: Topology) -> dict[str, int]:
    names = [node.name for station in whole.stations for chain in station.chains for node in chain]
    return {name: i for i, name in enumerate(names)}


@pytest.mark.parametrize(
    "name", [n for n in PROGRAMS if not n.startswith(("random", "empty"))], ids=lambda name: str(name)
)
def test_what_is_drawn_is_what_the_step_function_computes(name: str) -> None:
    """Asked of the reverse sweep, which knows nothing of pictures: the errors that it made, the routes that it took."""
    program = PROGRAMS[name]()
    trace = Trace(program, training=True)
    routing = Routing(trace, trace.loss())
    for node in program.nodes:
        for tensor in node.tensors:
            if tensor.trainable:
                routing.reverse.cotangent(trace.state[tensor.name])
    memo = routing.reverse.memo
    computed = {name for name, value in trace.values.items() if memo.get(value) is not None}
    shown = topology(program)
    for station in shown.stations[1:-1]:
        assert station.error == any(node.name in computed for node in station.chains[0])
    drawn = {id(route) for link in shown.links for route in link.routes}
    assert drawn == {id(program.routes[index]) for index in routing.used}


# -- folding -----------------------------------------------------------------------------------------------------


def sizes(program: Program) -> list[tuple[str, int]]:
    shown = folded(topology(program))
    return [(station.head.name, len(station.chains)) for station in shown.stations[1:-1]]


def test_equal_layers_become_one() -> None:
    """The first layer is unlike the others: nobody needs the error that it would pass on."""
    assert sizes(PROGRAMS["150 layers, ldfa"]()) == [("fc1", 1), ("fc2", 148), ("logits", 1)]
    assert sizes(PROGRAMS["150 layers, direct"]()) == [("fc1", 149), ("logits", 1)]


def test_equal_blocks_become_a_group() -> None:
    shown = folded(topology(PROGRAMS["50 residual blocks"]()))
    assert [(group.first, group.last, group.count) for group in shown.groups] == [(2, 4, 50)]
    assert [s.head.name for s in shown.stations[1:-1]] == ["stem", "b1.a", "b1.b", "x1", "logits"]


def test_a_period_of_three_blocks_is_a_group() -> None:
    layers: Layers = [linear("stem"), {"kind": "relu", "name": "x0"}]
    for i in range(1, 13):
        layers += [
            linear(f"b{i}.a", 24 if i % 3 == 0 else 16, reads=f"x{i - 1}"),
            {"kind": "relu"},
            linear(f"b{i}.b"),
            {"kind": "add", "name": f"x{i}", "from": (f"b{i}.b", f"x{i - 1}")},
        ]
    shown = folded(topology(made([*layers, linear("logits", 10)], {"rule": "fa"})))
    assert [(group.first, group.last, group.count) for group in shown.groups] == [(2, 10, 4)]
    assert words.calling(shown.stations[2]) == "b1, 4, …, 10.a"


def frames(program: Program) -> list[str]:
    shown = folded(topology(program))
    return [
        f"{words.group(group)}: "
        + ", ".join(words.title(shown, station) for station in shown.stations[group.first : group.last + 1])
        for group in shown.groups
    ]


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa"])
@pytest.mark.parametrize("times", [2, 30])
def test_copies_of_a_block_are_a_group_with_its_name(rule: str, times: int) -> None:
    program = made(blocks(times), {"rule": rule})
    assert frames(program) == [f"deep ×{times}: r.a, r.b, add", "down: a, b, p, add"]
    assert f'["deep ×{times}"]' in mermaid(program)


def test_a_frame_holds_the_layers_of_its_copies_and_no_others() -> None:
    """An activation in front, or behind, of a copy stands in it or beside it, and not in the box of its neighbour."""
    first = blocks(5, block("residual", "r", {"kind": "relu", "name": "pre"}, linear("a"), linear("b")))
    assert frames(made(first)) == ["deep ×5: r.pre, r.a, r.b, add", "down: a, b, p, add"]
    program = made([*blocks(5)[:-2], {"kind": "gelu"}, linear("logits", 10)])
    shown = folded(topology(program))
    assert [words.title(shown, station) for station in shown.stations[2:-2]] == ["r.a", "r.b", "add", "gelu"]


def test_a_copy_that_differs_is_drawn_by_itself() -> None:
    random = {"kind": "random"}
    routes = (
        {"to": "deep.*.r.a", "matrix": random},
        {"to": "deep.3.r.b", "from": "logits", "matrix": random},
    )
    assert frames(made(blocks(9), {"routes": routes})) == [
        "deep.0 … deep.2 ×3: r.a, r.b, add",
        "deep.3: r.a, r.b, add",
        "deep.4 … deep.8 ×5: r.a, r.b, add",
        "down: a, b, p, add",
    ]


def test_folded_maps_show_the_first_and_the_last() -> None:
    stages = [
        {"kind": "conv2d", "name": f"c{i}", "out": 8 * i, "kernel": 1, "stride": 2} for i in range(1, 17)
    ]
    program = made(
        [{"kind": "reshape", "shape": (1, 4, 4)}, *stages, {"kind": "flatten"}, linear("logits", 10)]
    )
    assert "15 × conv2d 8x2x2 … 120x1x1 → 16x1x1 … 128x1x1" in mermaid(program)


def test_no_fold_begins_in_a_copy() -> None:
    """The layers before the block, those of its copies and those behind it are equal, and do not become one box."""
    plain = block("repeat", "deep", linear("a"), {"kind": "relu"}, times=6)
    program = made([*mlp(*[16] * 5)[:-1], plain, *[linear(f"top{i}") for i in range(5)]], {"rule": "dfa"})
    assert sizes(program) == [("fc1", 5), ("deep.0.a", 6), ("top0", 4), ("top4", 1)]


def test_layers_that_differ_in_their_routing_stay_apart() -> None:
    routes = ({"to": "fc9", "from": "fc20", "matrix": {"kind": "random"}},)
    assert sizes(made(mlp(*[16] * 30), {"routes": routes})) == [
        ("fc1", 1),
        ("fc2", 7),
        ("fc9", 1),
        ("fc10", 1),
        ("fc11", 9),
        ("fc20", 1),
        ("fc21", 10),
        ("logits", 1),
    ]


def test_each_layer_fed_by_the_next_is_a_run() -> None:
    routes = tuple({"to": f"fc{i}", "from": f"fc{i + 1}", "matrix": {"kind": "random"}} for i in range(1, 20))
    program = made(mlp(*[16] * 20), {"routes": routes})
    assert sizes(program) == [("fc1", 19), ("fc20", 1), ("logits", 1)]
    found = [k for k in folded(topology(program)).links if k.flowing is Flowing.ROUTE]
    assert [(k.source, k.target, k.count) for k in found] == [(2, 1, 19)]


def test_a_skip_out_of_the_middle_of_a_run_is_not_folded_away() -> None:
    layers = [*mlp(*[16] * 20)[:-1], {"kind": "add", "name": "sum", "from": ("relu_20", "relu_10")}]
    program = made([*layers, linear("logits", 10)])
    assert sizes(program) == [("fc1", 1), ("fc2", 8), ("fc10", 1), ("fc11", 10), ("sum", 1), ("logits", 1)]


def test_many_sizes_become_one_with_a_span() -> None:
    program = PROGRAMS["150 widths"]()
    shown = folded(topology(program))
    assert shown.mixed
    assert sizes(program) == [("fc1", 149), ("logits", 1)]
    assert "149 × linear 16–163 → 16–164" in mermaid(program)


def test_more_layers_than_calls_may_be_nested() -> None:
    """No recursion: its limit is a thousand."""
    assert sys.getrecursionlimit() < 1199
    program = made(mlp(*[16] * 1199), {"rule": "ldfa", "rank": 8})
    assert sizes(program) == [("fc1", 1), ("fc2", 1198), ("logits", 1)]
    assert "×1198" in mermaid(program)


def test_too_much_for_mermaid_is_said() -> None:
    layers = [linear("stem"), {"kind": "relu", "name": "x0"}]
    for i in range(1, 300):
        kind = ("relu", "tanh", "gelu")[i * i % 7 % 3]
        layers += [
            linear(f"f{i}", reads=f"x{i - 1}"),
            {"kind": kind},
            {"kind": "add", "name": f"x{i}", "from": (f"f{i}", f"x{i * i % i // 2}")},
        ]
    text = mermaid(made([*layers, linear("logits", 10)]))
    assert text.count("\n") == 2
    assert "too many for Mermaid" in text
