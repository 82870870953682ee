"""Ranks of feedback: a number, or what a training measures before its first step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fac.spec.base import Model

Count = Annotated[int, Field(gt=0)]


class AutoRank(Model):
    """The smallest rank that holds a share of the layer's mean gradient, within what low rank may cost.

    G [reads, writes] is the mean of the layer's gradient over the first steps, s_i its singular values; rank r holds
    (s_1^2 + ... + s_r^2) / (s_1^2 + s_2^2 + ...) of its energy. docs/running.md says what is measured, and when.
    """

    share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="How much of the energy of the mean gradient a rank has to hold."
    )
    steps: Count = Field(
        100, description="Over how many steps the gradient is averaged; no more than the training has."
    )
    cost: Annotated[float, Field(gt=0)] = Field(
        1.0,
        description="What all matrices that say the same may cost together: multiply-adds as a share of those of full "
        "matrices in their places. Where that is too little, ranks grow where least is held, until it is used up.",
    )
    at_least: Count | None = Field(
        None,
        description="No rank below this where `cost` and `at_most` allow it. Default: the directions of the error of "
        "the classes above, one less than there are classes (FAC316); 1 where there are none.",
    )
    at_most: Count | None = Field(None, description="No rank above this.")


Rank = Count | Literal["auto"] | AutoRank
"""Of a low-rank matrix. `auto` is an `AutoRank` with its defaults."""


def auto_of(rank: int | str | AutoRank) -> AutoRank | None:
    """By what a rank is measured; None of a number."""
    if isinstance(rank, AutoRank):
        return rank
    return None if isinstance(rank, int) else AutoRank()


def highest(rank: int | str | AutoRank, most: int) -> int:
    """The rank, or of one that is still to be measured the highest that it can come to.

    Args:
        rank: as the spec has it.
        most: the highest that there can be between the ends of the matrix.
    """
    auto = auto_of(rank)
    if auto is None:
        assert isinstance(rank, int)
        return rank
    return most if auto.at_most is None else min(most, auto.at_most)
