"""The page of a report: that it is whole, asks for nothing, and that names in it are text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from math import nan
from typing import Any

import pytest

from fac.pipeline import check, load
from fac.program.lower import lower
from fac.program.program import Program
from fac.render.report import (
    Audit,
    Book,
    Limits,
    Measured,
    Result,
    RunFacts,
    Setting,
    Table,
    Worst,
    render,
)
from fac.render.report.page import POLICY
from tests.escaping.texts import ALL, unseen

HOSTILE = f"{ALL} \"' onload=alert(1) x=\"y'></svg></style></title><script>alert(1)</script>"
VOID = {"meta", "img", "br", "hr", "link", "input"}
KNOWN = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "nav", "ul", "li", "a", "h1", "h2", "h3", "p",
    "section", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "img", "details",
    "summary", "code", "pre", "svg", "desc", "g", "path", "rect", "circle", "text", "tspan",
}  # fmt: skip


class Page(HTMLParser):
    """Elements, attributes and texts of a page, whose tags have to match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def within(self, tag: str) -> list[str]:
        return [text for parent, text in self.texts if parent == tag]


def program(name: str = "n") -> Program:
    spec: dict[str, Any] = {
        "fac": 1,
        "name": name,
        "input": {"shape": (4,)},
        "layers": (
            {"kind": "linear", "name": "fc1", "out": 3},
            {"kind": "relu"},
            {"kind": "linear", "name": "o", "out": 2},
        ),
        "loss": {"kind": "cross_entropy"},
        "feedback": {"rule": "bp"},
        "probes": ({"kind": "captured_energy"},),
        "update": {"rule": "sgd", "lr": 0.1},
    }
    return lower(load(spec))


def run(name: str, shift: float = 0.0, layer: str = "fc1", state: str = "complete") -> RunFacts:
    rows = tuple(
        {
            "epoch": e,
            "step": 10 * e,
            "lr": 0.1,
            "test_loss": 1 / e + shift,
            "test_accuracy": 0.5 + 0.1 * e,
            "seconds": 2.0,
            "step_ms": 1.5,
            f"{layer}.error.cosine": 0.1 * e,
            f"{layer}.error.rank.stable": 1.0 + e,
            f"{layer}.feedback.P.captured_energy": 0.2 * e,
        }
        for e in (1, 2, 3)
    )
    audit = Audit(
        {"fc2": 2.0 + shift}, {layer: 1e-3, "o": 1.0}, {layer: 0.25, "o": 1.0}, {layer: 0.1, "o": 0.9}, 0.8
    )
    about = {"backend": "reference"}
    return RunFacts(name, name[-1], state, state == "complete", rows, about, audit=audit)


LIMITS = Limits(scale=50.0, floor=1e-7, share=0.9)


def setting(label: str, layer: str = "fc1", text: str = "plain", **others: Any) -> Setting:
    found = program("".join(filter(str.isprintable, text)).strip())
    return Setting(
        label,
        "ldfa",
        (run(f"{text} 0", 0.1, layer), run(f"{text} 1", 0.3, layer)),
        f"fac: 1\nname: {text}\n",
        found,
        check(found.spec),
        results={"test_accuracy": Result(0.8, 0.01, (0.7, 0.9), 2)},
        costs={"feedback words": "1,234"},
        measured=Measured(
            text,
            5,
            {"accuracy": 0.6},
            [text, "b"],
            [[2, 1], [1, 1]],
            worst=[Worst(3, 2.5, text, b"\x89PNG"), Worst(4, 1.5, text, None)],
        ),
        **others,
    )


def book(text: str = "plain") -> Book:
    return Book(
        text,
        (setting(f"{text} a", text=text, layer=text.replace(".", "")[:80]), setting("b")),
        (text,),
        (Table(text, ("contrast", text), [(text, text)], (text,)),),
        LIMITS,
    )


def test_a_page_has_all_sections_and_its_numbers_are_in_tables() -> None:
    page = Page(render(book()))
    assert page.within("h2") == [
        "What was run",
        "Results",
        "Curves",
        "Audit of the trained networks",
        "Cost and time",
        "Confusion",
        "Samples with the highest loss",
        "Findings of fac check",
        "Networks and specs",
    ]
    assert page.within("h3")[:5] == [
        "Loss",
        "Accuracy",
        "Alignment with the true gradient",
        "Effective rank",
        "Captured energy",
    ]
    cells = page.within("td")
    assert "80.0 ± 1.0 [70.0, 90.0]" in cells
    assert "1,234" in cells
    assert "0.5333 ± 0.14" in cells  # of 1/3 + 0.1 and 1/3 + 0.3
    assert "FAC314" in page.within("th")
    assert page.within("pre")[0] == "fac: 1\nname: plain\n"


def test_every_picture_has_words() -> None:
    page = Page(render(book()))
    for tag, attributes in page.tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes["aria-label"]
    assert sum(tag == "figure" for tag, _ in page.tags) == sum(tag == "figcaption" for tag, _ in page.tags)


@pytest.mark.parametrize("text", ["plain", HOSTILE], ids=["plain", "hostile"])
def test_a_page_runs_nothing_asks_for_nothing_and_hides_nothing(text: str) -> None:
    html = render(book(text))
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= KNOWN
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}) in page.tags
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/png;base64,")), value
    style = "".join(page.within("style"))
    assert "url(" not in style
    assert "@import" not in style
    assert "<" not in style
    assert unseen(html, "\n\t") == ""
    html.encode()


def test_what_is_hostile_is_shown() -> None:
    page = Page(render(book(HOSTILE)))
    assert any("<script>alert(1)</script>" in text for text in page.within("h1"))
    assert any("<script>alert(1)</script>" in text for text in page.within("pre"))
    assert any("\\u202e" in text for text in page.within("td"))


def test_the_same_facts_make_the_same_page() -> None:
    assert render(book()) == render(book())


def test_runs_that_did_not_end_are_not_averaged_with_others() -> None:
    half = run("half", 9.0, state="2 of 3 epochs")
    several = Setting("a", "bp", (run("x"), half), "", None, (), "gone")
    assert [name.name for name in several.counted] == ["x"]
    assert [name.name for name in Setting("a", "bp", (half,), "", None, ()).counted] == ["half"]
    page = Page(render(Book("t", (several,), ())))
    assert "1 of 2 runs is not complete" in page.within("li")
    assert "0.3333" in page.within("td")


def test_a_spread_of_rounding_alone_is_none() -> None:
    runs = [[{"epoch": e, "step": e, "fc1.error.cosine": 1.0 + x} for e in (1, 2)] for x in (0.0, 1e-7)]
    facts = tuple(RunFacts(f"r{i}", f"{i}", "complete", True, tuple(rows)) for i, rows in enumerate(runs))
    cells = Page(render(Book("t", (Setting("a", "bp", facts, "", None, ()),), ()))).within("td")
    assert "1 ± 0" in cells


def test_a_panel_says_in_words_what_it_is_of() -> None:
    def setting(label: str) -> Setting:
        rows = tuple({"epoch": e, "step": e, "fc1.growth": float(e)} for e in (1, 2))
        return Setting(label, "bp", (RunFacts(label, "0", "complete", True, rows),), "", None, ())

    page = Page(render(Book("t", (setting("a"), setting("b")), ())))
    assert "growth of the conserved quantity: " in page.within("figcaption")


def test_numbers_near_the_end_of_all_floats_are_shown() -> None:
    great = {"test_loss": Result(1e308, float("inf"), (float("-inf"), float("inf")), 2)}
    one = Setting("a", "bp", (run("x"),), "", None, (), results=great)
    assert "1.00e308 ± inf [-inf, inf] (2 of 1)" in Page(render(Book("t", (one,), ()))).within("td")


def test_settings_of_one_rule_share_a_colour() -> None:
    html = render(Book("t", (setting("a"), setting("b")), ()))
    swatches = re.findall(r'class="s-(\w+)" stroke-width="2.5"( stroke-dasharray="[^"]+")?/></svg>', html)
    assert len({tone for tone, _ in swatches}) == 1
    assert len({dash for _, dash in swatches}) == 2


def audited(*audits: Audit, label: str = "a") -> Setting:
    rows = ({"epoch": 1.0, "step": 1.0, "test_loss": 1.0},)
    runs = (RunFacts(f"r{i}", f"{i}", "complete", True, rows, audit=a) for i, a in enumerate(audits))
    return Setting(label, "bp", tuple(runs), "", None, ())


def panel(html: str, title: str) -> tuple[list[list[str]], str]:
    """Lines of the table of numbers of a measure, and its picture."""
    before, _, behind = html.partition(f"<caption>{title}</caption>")
    cells = re.findall(r"<tr>(.*?)</tr>", behind.partition("</table>")[0])[1:]
    return [re.findall(r">([^<]+)</t[hd]>", line) for line in cells], before.rpartition("<svg")[2]


def test_the_audit_is_drawn_by_layer_with_its_limits() -> None:
    one = Audit({"b": 2.0, "c": 90.0}, {"a": 1e-9, "b": 0.5}, {"a": nan, "b": 0.5}, {"a": 0.0, "b": 1.0}, 0.5)
    two = Audit({"b": 4.0, "c": 30.0}, {"a": 3e-9, "b": 0.7}, {"a": nan, "b": 0.7}, {"a": 0.0, "b": 1.0}, 0.7)
    html = render(Book("t", (audited(one, two), audited(one, label="z")), (), (), LIMITS))
    summary = re.search(r"<caption>Measured on one batch.*?</table>", html)
    assert summary is not None
    assert re.findall(r"<td>(.*?)</td>", summary[0])[:6] == [
        "2", "60 ± 42 (c)", "2e-09 ± 1.4e-09 (a)", "–", "0.6 ± 0.14", "1 (b)",
    ]  # fmt: skip
    lines, picture = panel(html, "Norm of the true gradient")
    assert lines == [["a", "2e-09 ± 1.4e-09", "1e-09"], ["b", "0.6 ± 0.14", "0.5"]]
    assert ">limit: gradient.true_norm<" in picture
    lines, picture = panel(html, "Cosine with the true gradient")
    assert lines == [["a", "–", "–"], ["b", "0.6 ± 0.14", "0.5"]]
    assert "limit" not in picture
    assert picture.count("<circle") == 2, "a point between gaps is a dot"
    assert ">limit: activation.ratio<" in panel(html, "Scale of activations")[1]
    assert "dashed: 50, above which activations run away" in html


def test_a_setting_whose_true_gradients_are_zero_is_named() -> None:
    dead = audited(Audit({}, {"a": 0.0, "b": 0.0}, {"a": nan, "b": nan}, {}, nan), label="dead")
    live = audited(Audit({}, {"a": 1.0, "b": 0.5}, {"a": 0.5, "b": 1.0}, {}, 0.5), label="live")
    html = render(Book("t", (dead, live), (), (), LIMITS))
    assert "the lowest layer first; zeros, of dead, have no place; dashed: 1e-07" in html
    assert panel(html, "Cosine with the true gradient")[0] == [["a", "–", "0.5"], ["b", "–", "1"]]


def test_a_limit_that_is_far_is_said_and_not_drawn() -> None:
    one = Audit({"b": 1.25, "c": 2.0}, {"a": 1.0, "d": 0.5}, {"a": 0.001, "d": 1.0}, {}, 0.5)
    other = Audit({}, {"a": 1.0, "b": 1.0, "d": 0.5}, {}, {}, 1.0)
    html = render(Book("t", (audited(one), audited(other, label="z")), (), (), LIMITS))
    assert ">limit" not in panel(html, "Scale of activations")[1]
    assert "the limit, far above: 50, above which activations run away" in html
    lines, picture = panel(html, "Norm of the true gradient")
    assert lines[-1] == ["b", "–", "1"]
    assert "dashed: 1e-07, down from which a cosine with it means nothing" in html
    assert picture.count("<circle") == 0, "layers that both have are joined"
    assert ">1e-" not in panel(html, "Cosine with the true gradient")[1], "cosines have no logarithms"


def test_a_network_that_nobody_has_looked_at_is_said() -> None:
    html = render(Book("t", (audited(Audit({}, {"a": 1.0}, {}, {}, nan)), setting("b")), (), (), LIMITS))
    assert "nobody has looked at" not in html
    bare = Setting(
        "c", "bp", (RunFacts("c", "0", "complete", True, ({"epoch": 1, "step": 1},)),), "", None, ()
    )
    assert "nobody has looked at <code>c</code>" in render(Book("t", (setting("b"), bare), (), (), LIMITS))
    assert "no network of these runs was looked at" in render(Book("t", (bare,), (), (), LIMITS))


def test_long_logs_make_no_long_page() -> None:
    rows = tuple({"epoch": i, "step": i, "test_loss": float(i % 7)} for i in range(20_000))
    one = Setting("a", "bp", (RunFacts("r", "0", "complete", True, rows),), "", None, ())
    html = render(Book("t", (one,), ()))
    assert len(html) < 100_000
    assert "a curve of more than 400 points" in html
