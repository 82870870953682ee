"""The page of the spec: what each key takes, and links that lead somewhere on the page."""

from __future__ import annotations

import re
from functools import cache
from math import sqrt
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field

from fac import pipeline, source
from fac.build.initial import draw
from fac.pipeline import lowered
from fac.program.tensors import Tensor
from fac.render.reference import _table, anchor, page
from fac.render.reference_texts import EXAMPLE, INITIAL_LAWS, LDFA_LEARN, WRITTEN
from fac.spec.init import Init, Normal, Uniform

whole = cache(page)


def section(title: str) -> str:
    """The text under a heading, to the next heading."""
    (found,) = re.findall(rf"^#+ {re.escape(title)}$\n(.*?)(?=^#|\Z)", whole(), re.MULTILINE | re.DOTALL)
    return str(found)


def values(title: str, key: str) -> str:
    """The cell of the column `values`."""
    rows = [line.split(" | ") for line in section(title).splitlines()]
    row = next(row for row in rows if row[0].strip("|* ") == f"`{key}`")
    return row[1]


@pytest.mark.parametrize(
    ("title", "key", "expected"),
    [
        ("The whole spec", "fac", "`1`"),
        ("The whole spec", "name", "text"),
        ("The whole spec", "layers", "list of [layers](#layers)"),
        ("The whole spec", "update", "[update rule](#update-rules)"),
        ("The whole spec", "data", "[data source](#data)"),
        ("The whole spec", "probes", "list of [probes](#probes)"),
        ("The whole spec", "train", "[`train:`](#train)"),
        (
            "The whole spec",
            "feedback",
            "[feedback rule](#feedback-rules) or [`feedback:` written out](#feedback-written-out) or a list of such",
        ),
        ("`input:`", "shape", "list of whole numbers > 0"),
        ("`train:`", "epochs", "whole number > 0"),
        ("`train:`", "seed", "whole number ≥ 0"),
        ("`constraints:`", "no_weight_transport", "`true`, `false`"),
        ("`constraints:`", "backward_macs_vs_backprop", "[bound](#a-bound)"),
        ("A bound", "at_most", "number > 0"),
        (
            "`feedback:` written out",
            "routes",
            "list of [`through` routes](#a-through-route) or [`to` routes](#a-to-route)",
        ),
        ("A `to` route", "combine", "`replace`, `add`"),
        ("A `to` route", "matrix", "[feedback operator](#feedback-operators)"),
        ("`schedule: {kind: cosine}`", "floor", "number, 0 ≤ x ≤ 1"),
        ("`schedule: {kind: cosine}`", "warmup", "whole number ≥ 0 or `{epochs: …}`"),
        ("`layers: [{kind: dropout}]`", "rate", "number, 0 ≤ x < 1"),
        ("`layers: [{kind: linear}]`", "init", "[initial law](#initial-laws)"),
        ("`layers: [{kind: linear}]`", "from", "text or list of texts"),
        ("`feedback: {rule: fa}`", "init", "[initial law](#initial-laws) or `like_forward`"),
        ("`feedback: {rule: fa}`", "learn", "[learning rule](#how-feedback-learns)"),
        ("`feedback: {rule: ldfa}`", "learn", "`fixed`, `kolen_pollack`, `oja_kp`, `local`, `normative`"),
        ("`init: {kind: normal}`", "std", "number ≥ 0"),
    ],
)
def test_values(title: str, key: str, expected: str) -> None:
    assert values(title, key) == expected


class Window(BaseModel):
    """What a kind with lists of fixed length has."""

    kernel: Annotated[int, Field(ge=1)] | tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    padding: Literal["same"] | int | tuple[int, int] = (1, 2)
    scales: tuple[float, float, float] | None = None
    range: tuple[int, float] = (1, 0.5)
    corners: tuple[tuple[int, int], ...] = ()


def test_lists_of_fixed_length() -> None:
    rows = [line.split(" | ")[:3] for line in _table(Window, own=True).splitlines()[2:]]
    assert rows == [
        ["| `kernel`*", "whole number ≥ 1 or pair of whole numbers ≥ 1", ""],
        ["| `padding`", "`same` or whole number or pair of whole numbers", "`[1, 2]`"],
        ["| `scales`", "list of 3 numbers", ""],
        ["| `range`", "pair: whole numbers, numbers", "`[1, 0.5]`"],
        ["| `corners`", "list of pairs of whole numbers", ""],
    ]


def test_every_key_says_what_it_takes() -> None:
    rows = re.findall(r"^\| `\S+`\*? \| (.*?) \|", whole(), re.MULTILINE)
    assert len(rows) > 80
    assert [row for row in rows if not row.strip() or "object" in row or "null" in row] == []


def test_links_lead_to_headings() -> None:
    headings = {anchor(title) for title in re.findall(r"^#+ (.*)$", whole(), re.MULTILINE)}
    links = set(re.findall(r"\]\(#([^)]+)\)", whole()))
    assert {"layers", "initial-laws", "train"} <= links
    assert links - headings == set()


def test_the_example_is_a_spec_without_findings() -> None:
    assert whole().index(EXAMPLE) < whole().index("## The whole spec")
    assert pipeline.check(source.parse_text(EXAMPLE)) == ()


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_what_is_written_can_stand_in_a_spec(written: str) -> None:
    (key,) = source.parse_text(written).data
    kept = [part for part in re.split(r"(?m)^(?=\w)", EXAMPLE) if not part.startswith(f"{key}:")]
    spec, found = pipeline.parse(source.parse_text("".join(kept) + written))
    assert spec is not None
    assert found == ()


def test_headings_show_how_a_kind_is_chosen() -> None:
    headings = re.findall(r"^### `(.*)`$", whole(), re.MULTILINE)
    for shown in ("layers: [{kind: relu}]", "loss: {kind: mse}", "feedback: {rule: dfa}", "{rule: oja}"):
        assert shown in headings
    assert all(re.search(r"\{(kind|rule|source): \w+\}", heading) for heading in headings)


LAWS: dict[str, tuple[Init, float]] = {
    "kaiming_uniform": ("kaiming_uniform", sqrt(2 / 300)),
    "kaiming_normal": ("kaiming_normal", sqrt(2 / 300)),
    "xavier_uniform": ("xavier_uniform", sqrt(2 / 500)),
    "xavier_normal": ("xavier_normal", sqrt(2 / 500)),
    "lecun_normal": ("lecun_normal", 1 / sqrt(300)),
    "launay": ("launay", 1 / sqrt(300 * 200)),
    "crafton": ("crafton", 1 / sqrt(3 * 300)),
    "orthogonal": ("orthogonal", 1 / sqrt(300)),
    "zeros": ("zeros", 0.0),
    "normal": (Normal(std=0.3), 0.3),
    "uniform": (Uniform(bound=0.3), 0.3 / sqrt(3)),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_spread_of_each_law(name: str) -> None:
    """The root mean square that follows from the formula on the page, for fan-in 300 and fan-out 200."""
    init, spread = LAWS[name]
    drawn = draw((Tensor("w", (200, 300), init, fan_in=300, fan_out=200),), 0)["w"]
    assert np.sqrt(np.mean(drawn**2)) == pytest.approx(spread, rel=0.02)


def test_every_law_has_its_formula() -> None:
    assert [name for name, _ in INITIAL_LAWS] == list(LAWS)[:-2]
    assert all(f"`{name}`" in section("Initial laws") for name, _ in INITIAL_LAWS)


SPEC = """\
fac: 1
name: x
input: {shape: [8]}
layers:
  - {kind: linear, name: fc1, out: 6}
  - {kind: relu}
  - {kind: linear, name: logits, out: 4}
loss: {kind: mse}
feedback: {rule: ldfa, rank: 2}
update: {rule: sgd, lr: 0.1}
"""


@pytest.mark.parametrize(("learn", "read", "write", "start"), LDFA_LEARN)
def test_what_learn_stands_for(learn: str, read: str, write: str, start: str) -> None:
    program = lowered(source.override(source.parse_text(SPEC), [f"feedback.learn={learn}"]))
    (route,) = program.routes
    found = route.matrix.model_dump()
    assert (found["read"]["rule"], found["write"]["rule"], found["init"]) == (read, write, start)
    assert f"| `{learn}` | `{read}` | `{write}` | `{start}` |" in section("`feedback: {rule: ldfa}`")


def test_what_a_site_is() -> None:
    text = SPEC.replace("- {kind: relu}", "- {kind: relu, name: r}\n  - {kind: dropout, name: d}")
    text = text.replace("{rule: ldfa, rank: 2}", "{rule: dfa}")
    (route,) = lowered(source.parse_text(text)).routes
    assert route.site == "d"
    assert "after the dropout" in section("What a site is")
