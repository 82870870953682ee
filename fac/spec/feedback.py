"""The feedback-routing graph: subspaces, routes, and the short-hands that stand for sets of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from fac.spec.base import Model, OneOf, by_key


class Matrix(Model):
    """A feedback operator F. The kinds stand in `fac.feedback`."""

    scale: float = Field(1.0, description="The operator is multiplied by this number.")


class Learning(Model):
    """How a feedback matrix, or a factor of one, changes. The kinds stand in `fac.feedback`."""


AnyMatrix = Annotated[Matrix, OneOf("fac.feedback")]
AnyLearning = Annotated[Learning, OneOf("fac.learning", "rule")]


ErrorScale = Literal["mean", "sum"]
ERROR_SCALE = (
    "`mean`: the error as it is, that of a mean over the samples. `sum`: times their number, so that the layers that "
    "are fed take larger steps than the last, as in published code of direct feedback."
)
SHARED = (
    "`to` routes from one source that say the same share one matrix R, of as many rows as the widest of them writes; "
    "each has the first rows, B = sqrt(rows of R / writes) R[:writes] (Launay et al. 2020, arXiv 2006.12878)."
)
SIGNS = "Read the signs of the error alone, divided by the number of samples."


class Fixed(Learning):
    """The matrix keeps its initial value."""

    rule: Literal["fixed"] = "fixed"


class Subspace(Model):
    """A rank-r linear reading of an error source: s = P d, with P of shape (rank, dim)."""

    name: str = Field(description="How routes call this subspace in `from:`.")
    of: str = Field(
        "loss",
        description="The error source that is read: `loss`, a layer, or `targets` as routes read them.",
    )
    rank: Annotated[int, Field(gt=0)] = Field(description="Number of rows of P.")
    basis: AnyLearning = Field(Fixed(), description="How P changes; orthonormal rows at the start.")


class ThroughRoute(Model):
    """The error that a layer passes to its input is F(d) in place of W^T d. All else stays exact."""

    through: str = Field(description="The layer with a weight, or a glob of several.")
    matrix: AnyMatrix = Field(description="The feedback operator F.")


class ToRoute(Model):
    """The site of a layer receives F(source). What the layers above would have sent there is not computed."""

    to: str = Field(description="The layer with parameters that is fed, or a glob of several.")
    from_: str = Field(
        "loss",
        alias="from",
        description="`loss`, a layer (its error), a subspace, or `targets`: what the targets say of the error before "
        "there is any, so that no layer above has a say (arXiv 1909.01311). Of several heads `targets.NAME`.",
    )
    matrix: AnyMatrix = Field(description="The feedback operator F.")
    at: str | None = Field(
        None, description="The layer at whose output the error enters, if not at the site."
    )
    combine: Literal["replace", "add"] = Field(
        "replace", description="`add` keeps, and pays for, what arrives from the layers above."
    )
    share: bool = Field(
        True,
        description="Whether the tokens of a site share one matrix: from the same tokens, token by token; from a "
        "vector, to each an equal part of what it makes; from tokens that look at them, as at keys and values, to each "
        "an equal part of what it makes of their sum; unless a layer between lays them in a row or has weights along "
        "them. Else, and from tokens in another order, the matrix has rows, and from tokens columns, for each token. "
        "Those that masks leave out get nothing. Step i of a recurrence with `gather` reads token i alone.",
    )
    error_scale: ErrorScale = Field("mean", description=ERROR_SCALE)
    signs: bool = Field(False, description=SIGNS)


Route = Annotated[
    Annotated[ThroughRoute, Tag("through")] | Annotated[ToRoute, Tag("to")],
    by_key(through=ThroughRoute, to=ToRoute),
]


class Routing(Model):
    """The long form: routes and subspaces written out. A layer without a route learns by backpropagation."""

    subspaces: tuple[Subspace, ...] = Field((), description="Named low-rank readings of errors.")
    routes: tuple[Route, ...] = Field((), description="What replaces pieces of the exact backward pass.")


class ShortHand(Model):
    """A rule that stands for a set of routes. The kinds stand in `fac.feedback`."""

    nodes: str | tuple[str, ...] = Field("*", description="Globs of the layers that the rule applies to.")

    @property
    def globs(self) -> tuple[str, ...]:
        """The globs of `nodes`."""
        return (self.nodes,) if isinstance(self.nodes, str) else self.nodes


AnyShortHand = Annotated[ShortHand, OneOf("fac.rules", "rule")]


def _section_tag(value: Any) -> str:
    has_rule = "rule" in value if isinstance(value, dict) else isinstance(value, ShortHand)
    return "rule" if has_rule else "routes"


Section = Annotated[
    Annotated[AnyShortHand, Tag("rule")] | Annotated[Routing, Tag("routes")], Discriminator(_section_tag)
]


def _feedback_tag(value: Any) -> str:
    return "list" if isinstance(value, tuple | list) else "one"


Feedback = Annotated[
    Annotated[Section, Tag("one")] | Annotated[tuple[Section, ...], Tag("list")], Discriminator(_feedback_tag)
]
"""One section, or a list of sections that apply together."""
