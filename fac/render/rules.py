"""The rules as a page to read: what each catches, why, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import fill
from typing import TYPE_CHECKING

from fac.diagnostics import Severity

if TYPE_CHECKING:
    from fac.checks.pages import Example, Page

FAMILIES = (
    ("FAC1", "The file"),
    ("FAC2", "Names, shapes, layers and the update"),
    ("FAC3", "Feedback"),
    ("FAC4", "What a backend cannot do"),
    ("FAC5", "Cost"),
)
"""Beginnings of codes, and what they have in common. Codes from 350 on and 501, 502 hold a spec to `constraints:`."""

WORDS = (
    (
        "error of a layer",
        "what the backward pass, with its routes, brings to the output of that layer: without routes the derivative of "
        "the loss by that output. Written d",
    ),
    (
        "forward weight",
        "W, with which a layer computes its output. Backpropagation passes errors down through W^T",
    ),
    (
        "route",
        "what replaces a piece of the exact backward pass. `through: n`: the error passes from layer n to its input by "
        "a feedback matrix in place of W^T. `to: n`, a *direct route*: an error from elsewhere enters at the site of "
        "n, and what would have come from the layers above is not computed",
    ),
    (
        "source",
        "whose error a `to` route brings, its `from:`. `loss` is the error at the output of the network, and the "
        "default; else a layer or a subspace",
    ),
    (
        "site",
        "where the error of a `to` route enters: the output of the last activation, dropout or the like behind the "
        "layer, before a join and before the next weights; see [what a site is](spec.md#what-a-site-is)",
    ),
    (
        "feedback matrix",
        "what the error is multiplied with on a route. B is a full one, [`random`](spec.md#matrix-kind-random)",
    ),
    (
        "P and Q",
        "the factors of a [`low_rank`](spec.md#matrix-kind-low_rank) matrix Q P: P, with as many rows as the rank, "
        "reads the error, Q writes it to the receiver",
    ),
    (
        "subspace",
        "a reading P d of an error that has a name, so that several routes can take it for their source",
    ),
    (
        "directions",
        "of an error: the dimension of the space in which it varies. The error of n units has n at most, that of C "
        "classes C - 1. A matrix of rank r keeps r of them",
    ),
    (
        "twin",
        "the forward weight that the B of a `through` route stands for. By `kolen_pollack` both take the same steps",
    ),
    (
        "short-hand",
        "a rule in `feedback:`, such as `{rule: ldfa, rank: 9}`, which stands for a set of routes; `fac show --expand` "
        "writes them out",
    ),
    (
        "policy",
        "`constraints:` in a settings file, which hold for every spec of a team; see [checking](checking.md#policy)",
    ),
)
"""What the sections take as known, beside neural networks and backpropagation."""

_INTRODUCTION = """\
# The rules

What `fac check` reports. `fac rule CODE` prints one of these sections in a terminal, without what `fac check` says of
its example; `fac rule` lists the codes, `fac rule FAC3` those that begin so; `fac rule --all --json` is for programs.
An *error* is a spec that cannot mean what it says: nothing compiles it. A *warning* is one that compiles and most
likely does not do what was meant. Codes are never reused.

Examples show the sections that matter. Those that they leave out are

```yaml
{base}```

## Words

{words}"""


def page(pages: Iterable[Page], base: str, reports: Mapping[str, str]) -> str:
    """The page as Markdown.

    Args:
        pages: of the rules, in the order of their codes.
        base: the spec that the examples start from.
        reports: what `fac check` prints about the first bad example, by code; a rule may have none.
    """
    listed = list(pages)
    words = "| word | meaning |\n|---|---|\n" + "".join(f"| {word} | {text} |\n" for word, text in WORDS)
    parts = [_INTRODUCTION.format(base=base, words=words)]
    for beginning, title in FAMILIES:
        own = [page for page in listed if page.rule.code.startswith(beginning)]
        parts.append(f"## {title}\n\n{_table(own)}")
        parts += [_section(page, reports.get(page.rule.code)) for page in own]
    return "\n".join(parts)


def _table(pages: Iterable[Page]) -> str:
    head = "| code | name | severity | what it catches |\n|---|---|---|---|\n"
    return head + "".join(
        f"| [{p.rule.code}](#{p.rule.code.lower()}) | {p.rule.name} | {p.rule.severity} | {_cell(p.summary)} |\n"
        for p in pages
    )


def _section(page: Page, report: str | None) -> str:
    rule = page.rule
    parts = [
        f"### {rule.code}",
        f"`{rule.name}`, {'an' if rule.severity is Severity.ERROR else 'a'} {rule.severity}",
    ]
    parts += [page.summary, *(fill(part, 118, break_on_hyphens=False) for part in page.why.split("\n\n"))]
    for example in page.bad:
        parts.append(_example("Bad", example))
        if report is not None and example is page.bad[0]:
            parts.append(f"`fac check` says:\n\n```text\n{report}```")
    parts += [_example("Good", example) for example in page.good]
    if page.references:
        parts.append(
            "See " + "; ".join(f"[{r.text}]({r.url})" if r.url else r.text for r in page.references) + "."
        )
    return "\n\n".join(filter(None, parts)) + "\n"


def _example(label: str, example: Example) -> str:
    title = f"{label}, {example.where}:" if example.where else f"{label}:"
    if "\n" not in example.spec:
        return f"{title} {_code(example.spec)}"
    return f"{title}\n\n```yaml\n{example.spec}```"


def _code(text: str) -> str:
    """One line of a spec; what has backticks of its own is a sentence already."""
    return text if "`" in text else f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
