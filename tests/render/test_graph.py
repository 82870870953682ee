"""Pictures as text: what they show of each spec of `tests/render/graph`, and that they show what is computed.

`FAC_UPDATE_GOLDEN=1 pytest` writes the expected files anew; look at the SVG files before you commit them.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import fac
from fac import source
from fac.diagnostics import FacError
from fac.pipeline import lowered, parse
from fac.program.lower import lower
from fac.program.program import Program
from fac.render.graph import FORMATS, mermaid, render
from fac.render.graph.fold import folded
from fac.render.graph.nets import wiring
from fac.render.graph.occurring import occurring
from fac.render.graph.parallel import doubled
from fac.render.graph.pens import operator_pen
from fac.render.graph.picture import Words
from fac.render.graph.read import topology
from fac.render.graph.topology import Operator
from fac.render.graph.words import facts, named, shortened, width
from fac.testing.nets import spec as written

SPACE = "{http://www.w3.org/2000/svg}"
HERE = Path(__file__).parent / "graph"
SPECS = sorted(HERE.glob("*.yaml"))
SVG = ("frozen", "add", "broken", "names", "one")
"""Those whose SVG text is kept here; others are in `docs/img`, where readers see them."""
IMAGES = Path(__file__).parents[2] / "docs" / "img"


def program(name: str) -> Program:
    spec, findings = parse(source.read(str(HERE / f"{name}.yaml")))
    assert spec is not None, findings
    return lower(spec)


def compare(path: Path, text: str) -> None:
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_mermaid(spec: Path) -> None:
    compare(spec.with_suffix(".mmd"), mermaid(program(spec.stem)))


@pytest.mark.parametrize("name", SVG)
def test_svg(name: str) -> None:
    compare(HERE / f"{name}.svg", render(program(name), "svg").decode())


@pytest.mark.parametrize("name", ["blocks", "ldfa", "mixed", "names"])
def test_dot(name: str) -> None:
    compare(HERE / f"{name}.dot", render(program(name), "dot").decode())


@pytest.mark.parametrize("name", ["blocks", "ldfa", "mixed", "residual"])
def test_pictures_of_the_documentation(name: str) -> None:
    compare(IMAGES / f"{name}.svg", render(program(name), "svg").decode())


@pytest.mark.parametrize(
    ("name", "widths", "feedback"),
    [
        ("bus", range(512, 208, -16), {"rule": "dfa"}),
        ("deep", [64] * 149, {"rule": "ldfa", "rank": 8}),
    ],
)
def test_pictures_of_long_networks(name: str, widths: Iterable[int], feedback: dict[str, object]) -> None:
    layers = [
        layer
        for i, out in enumerate(widths, 1)
        for layer in ({"kind": "linear", "name": f"fc{i}", "out": out}, {"kind": "relu"})
    ]
    spec = {
        "fac": 1,
        "name": name,
        "input": {"shape": (784,)},
        "layers": (*layers, {"kind": "linear", "name": "logits", "out": 10}),
        "loss": {"kind": "cross_entropy"},
        "feedback": feedback,
        "update": {"rule": "sgd", "lr": 0.1},
    }
    compare(IMAGES / f"{name}.svg", render(lower(fac.load(spec)), "svg").decode())


def test_the_documentation_shows_all_of_them() -> None:
    text = (IMAGES.parent / "pictures.md").read_text("utf-8")
    assert set(re.findall(r"\(img/([\w.]+)\)", text)) == {path.name for path in IMAGES.glob("*.svg")}
    assert f"```mermaid\n{mermaid(program('one'))}```" in text


# -- what cannot be drawn as it is -------------------------------------------------------------------------------


def test_an_error_in_a_circle_is_drawn_and_named() -> None:
    shown = topology(program("circle"))
    assert [station.error for station in shown.stations] == [False, True, True, True, True, False]
    assert shown.notes == ("`to: fc3, from: fc1` closes a circle of errors",)


def test_what_cannot_be_drawn_is_a_note() -> None:
    shown = topology(program("broken"))
    assert shown.notes == (
        "`to: nope, from: loss` names no layer with parameters",
        "`through: fc1` is not computed: nobody needs an error from `fc1` to the input: nothing there learns",
    )
    assert [r.name for r in shown.readings if r.operator is None] == ["tsak"]
    assert [s.head.name for s in shown.stations[1:-1] if s.starved] == ["side"]


# -- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_svg_is_well_formed_and_accessible(spec: Path) -> None:
    root = ElementTree.fromstring(render(program(spec.stem), "svg"))
    name = program(spec.stem).spec.name
    assert root.get("role") == "img"
    assert (root.get("aria-label") or "").startswith(f"{name}: ")
    first, second = list(root)[:2]
    assert (first.tag.rpartition("}")[2], first.text) == ("title", name)
    assert second.tag.endswith("desc")
    assert second.text
    # A colour that only one of the two grounds has a rule for would be black on the other.
    style = root[2].text or ""
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    used = {c for e in root.iter() for c in (e.get("class") or "").split() if c != "fac"}
    for rules in (light, dark):
        assert used == set(re.findall(r"\.fac \.([\w-]+)\{", rules))


LABEL = r'"(?:[\w .,:/()=→×…–+^-]|#\d+;|<br/>|δ)*"'
LINES = (
    r"flowchart TB",
    rf"subgraph \w+\[{LABEL}\]",
    r"direction (LR|RL)",
    r"end",
    rf"[sep]\d+(\[{LABEL}\]|\(\[{LABEL}\]\))",
    r'j\d+x\d+\(\(" "\)\)',
    rf"[sepj]\w+ (==>|-->|---)(\|{LABEL}\|)? [sepj]\w+",
    r"forward ~~~ errors",
    r"style \w+ fill:none,stroke:#8b949e",
    r"classDef \w+ [\w:#, -]+",
    r"class \w+(,\w+)* \w+",
    r"linkStyle \d+(,\d+)* stroke:#\w{6},stroke-width:[\d.]+px(,stroke-dasharray:[\d. ]+)?",
    rf"%% {LABEL[1:-1]}",
)


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_mermaid_keeps_to_a_small_part_of_the_language(spec: Path) -> None:
    """Each line has one of a few forms, with codes for all that could be markup, and every name is defined."""
    lines = [line.strip() for line in mermaid(program(spec.stem)).splitlines()]
    links = 0
    for line in lines:
        assert any(re.fullmatch(form, line) for form in LINES), line
        links += bool(re.search(r" (==>|-->|---)", line))
    named = set(re.findall(r"^([sepj]\w+)[\[(]", "\n".join(lines), re.MULTILINE))
    ends = {end for line in lines for end in re.findall(r"^(\w+) (?:==>|-->|---).* (\w+)$", line)}
    assert {name for pair in ends for name in pair} <= named
    styled = [int(n) for line in lines if line.startswith("linkStyle") for n in line.split()[1].split(",")]
    assert sorted(styled) == list(range(links))
    opened = sum(line.startswith("subgraph") for line in lines)
    assert opened == lines.count("end")


def test_png_and_pdf() -> None:
    assert render(program("mixed"), "png").startswith(b"\x89PNG")
    assert render(program("mixed"), "pdf").startswith(b"%PDF")


@pytest.mark.parametrize("name", ["png", "pdf"])
def test_a_missing_package_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(FacError) as caught:
        render(program("one"), name)
    assert str(caught.value) == (
        f'a picture as {name.upper()} needs vl-convert-python: pip install "fac-compiler[viz]"'
    )


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_draws_every_program(name: str) -> None:
    """A finding is no reason for a traceback: the summary of a check draws broken specs, too."""
    for spec in SPECS:
        assert render(program(spec.stem), name)


def test_words_are_cut_in_the_middle() -> None:
    long = "a_very_long_name_for_a_layer"
    cut = shortened(long, 90, 12)
    assert cut == "a_very…layer"
    assert width(cut, 12) <= 90
    assert shortened("fc1", 90, 12) == "fc1"
    assert shortened(long, 3, 12) == "…"
    assert width("层", 12) > width("a", 12)


def test_words_are_cut_between_the_parts_of_names() -> None:
    """So that no half of a word is read as a name; a word that is longer than the room is cut all the same."""
    long = "from δ of encoder.stages.block.projection"
    assert shortened(long, 250, 12) == "from δ of encoder…block.projection"
    assert shortened(long, 200, 12) == "from δ of …projection"
    assert shortened("abcdefghijklmnopqrstuvwxyz", 100, 12) == "abcdef…vwxyz"


def test_layers_of_copies_are_written_with_the_numbers_of_the_copies() -> None:
    assert named(["s.0.b.fc", "s.1.b.fc", "s.2.b.fc"], run=True) == "s.0…2.b.fc"
    assert named(["s.0.b.fc", "s.1.b.fc", "s.2.b.fc"]) == "s.0…2.b.fc"
    assert named(["s.0.b.fc", "s.2.b.fc"], run=True) == "s.0.b.fc … s.2.b.fc"


@pytest.mark.parametrize("kind", ["concat", "add", "multiply"])
def test_two_layers_of_one_kind_are_told_apart(kind: str) -> None:
    """Each is called by its own name, wherever lines lead to it; where there is one, its kind is enough."""
    layers: list[dict[str, Any]] = [{"kind": "linear", "name": "a", "out": 4}]
    for name in ("b", "c"):
        layers += [{"kind": "linear", "name": name, "out": 4}, {"kind": kind, "from": ("a", name)}]
    layers.append({"kind": "linear", "name": "logits", "out": 3})
    text = mermaid(lowered(written(tuple(layers))))
    assert f'"{kind}_1<br/>' in text
    assert f'"{kind}_2<br/>' in text
    assert f'["{kind}<br/>' in mermaid(lowered(written(tuple(layers[:3] + layers[-1:]))))


def test_names_with_gaps_between_them_are_not_written_as_a_run() -> None:
    assert named(["fc2", "fc3", "fc4", "fc5"]) == "fc2 … fc5"
    assert named(["layer002", "layer009", "layer016", "layer023"]) == "layer002, 009, …, 023"
    assert named(["b1.fc1", "b11.fc1", "b21.fc1"]) == "b1, 11, 21.fc1"
    assert named(["b1.fc1", "b2.fc1", "b3.fc1"]) == "b1.fc1 … b3.fc1"
    assert named(["left", "right", "up", "down"]) == "left, right, …, down"
    assert named(["left", "up", "down"], run=True) == "left … down"
    assert named(["one"]) == "one"


def test_a_named_layer_inside_a_box_is_shown() -> None:
    """`from: [b1.fc2, x0]` speaks of it."""
    shown = topology(program("residual"))
    assert facts(shown, shown.stations[1]) == ["linear 784 → 64", "relu x0"]


def explained(name: str) -> dict[str, object]:
    shown = topology(program(name))
    return {text: sample for sample, text in occurring(shown, wiring(shown))}


def test_the_legend_tells_transposed_weights_from_derivatives() -> None:
    """Without weight transport, the error that the loss hands to the last layer passes no weight."""
    both = "exact error: transposed weight, derivatives", "exact error: no weight, derivatives only"
    assert [text in explained("dfa") for text in both] == [False, True]
    assert [text in explained("bp") for text in both] == [True, True]


def test_the_legend_takes_its_numbers_from_the_picture() -> None:
    assert explained("ldfa")["rank 8 of at most 10; wider lines have more"] == Words("r=8 / 10", 10.0)
    assert not any(text.startswith("rank") for text in explained("bp"))


def test_lines_of_equal_rank_have_equal_ink() -> None:
    """Two lines for a rank that its ends allow, one for a rank below: 10 of 10 and 10 of 512."""
    whole, part = (operator_pen(Operator("random", "B", (), (10, 10), (full, full))) for full in (10, 512))
    assert (whole.double, part.double) == (True, False)
    assert whole.width == part.width < whole.total


def test_two_lines_beside_one_meet_at_corners() -> None:
    lines = ((0.0, 0.0), (0.0, 9.0)), ((8.0, 9.0), (8.0, 2.0)), ((0.0, 9.0), (8.0, 9.0))
    assert {frozenset(line) for line in doubled(lines, 1.0)} == {
        frozenset({(-1.0, 0.0), (-1.0, 10.0), (9.0, 10.0), (9.0, 2.0)}),
        frozenset({(1.0, 0.0), (1.0, 8.0), (7.0, 8.0), (7.0, 2.0)}),
    }


@pytest.mark.parametrize("name", ["mixed", "ldfa", "broken"])
def test_a_bare_picture_is_the_drawing_on_no_ground(name: str) -> None:
    whole = ElementTree.fromstring(render(program(name), "svg"))
    bare = ElementTree.fromstring(render(program(name), "svg", bare=True))
    texts = [[e.text for e in root.iter(f"{SPACE}text")] for root in (whole, bare)]
    assert whole[3].get("class") == "f-paper"
    assert (bare[3].tag, bare[3].get("class")) == (f"{SPACE}g", None)
    assert "values, forward" in texts[0]
    assert not {"values, forward", program(name).spec.name} & set(texts[1])
    assert Counter(texts[1]) <= Counter(texts[0])
    assert float(bare.get("height") or 0) < float(whole.get("height") or 0)


def test_a_light_picture_stays_light() -> None:
    usual, light = (render(program("mixed"), "svg", light=light).decode() for light in (False, True))
    assert light == re.sub(r"\n@media .*(?=</style>)", "", usual) != usual


def test_a_transposed_weight_is_typeset() -> None:
    """SVG raises a T, for few fonts have the letter that the other formats use."""
    svg, others = (render(program("mixed"), name).decode() for name in ("svg", "dot"))
    assert 'W<tspan dy="-4" font-size="8">T</tspan></text>' in svg
    assert "Wᵀ" in others
    assert "Wᵀ" in mermaid(program("mixed"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_dot_has_well_formed_labels_and_lines_that_end_in_arrowheads(spec: Path) -> None:
    """A list of colours, which drew two lines, has neither arrowheads nor ends at its nodes."""
    text = render(program(spec.stem), "dot").decode()
    for label in re.findall(r"label=<(.*)>\];$", text, re.MULTILINE):
        ElementTree.fromstring(label)
    assert not re.search(r'color="[^"]*:', text)
    assert text.count("{") == text.count("}")
    assert "values, forward" in text
    assert "values, forward" not in render(program(spec.stem), "dot", bare=True).decode()


def test_a_short_network_is_not_folded() -> None:
    shown = topology(program("residual"))
    assert folded(shown) is shown


def test_a_masked_matrix_has_no_rank_before_it_is_drawn() -> None:
    """Zeros may take rank from it, and only the draw says how much."""
    text = (HERE / "dfa.yaml").read_text().replace("{rule: dfa", "{rule: dfa, mask: {density: 0.5}")
    spec, findings = parse(source.parse_text(text))
    assert spec is not None, findings
    chart = mermaid(lower(spec))
    assert "masked B" in chart
    assert "r=" not in chart
