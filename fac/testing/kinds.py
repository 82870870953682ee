"""All that holds of every kind that ships, asked of one: the suite for plug-ins of every family.

def test_mine() -> None:
    check_kind(MINE, Mine(width=3))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from fac import pipeline
from fac.diagnostics import Severity, SpecError
from fac.plugins import FAMILIES, kinds
from fac.program.kinds import BlockKind, LayerKind, LossKind, ProbeKind, RuleKind, SolveKind
from fac.program.program import Shape
from fac.spec.base import Model, written
from fac.testing.case import require
from fac.testing.data_laws import check_data
from fac.testing.declarations import check_declarations
from fac.testing.hosts import hosts
from fac.testing.nets import Data
from fac.testing.network_laws import (
    check_backends,
    check_derivative,
    check_long_form,
    check_measures,
    check_settings,
)
from fac.training.dataset import DataKind


def check_kind(
    kind: Any, spec: Model | None = None, shapes: Sequence[Shape] = (), *, exact: bool = True
) -> None:
    """Hold a kind against all that holds of those that ship.

    - What it says of itself is so: `check_declarations`.
    - A network of which it is a part can be read, checked and trained.
    - Of a layer, a block and a loss: what the step takes is the derivative of the loss, by finite differences.
    - The reference and every other installed backend make the same numbers of it.
    - Of a rule and a block: what `fac show --expand` prints means the same.
    - Of a schedule: its factors are finite and not negative, depend on the number of the step alone, so that a run can
      go on, and are those that a written program has.
    - Of a probe: what it measures ends as `measures` says.
    - Of a data source: it gives the same each time, in the precision that is asked for, and what it says of itself.
    - Whatever stands in its fields: there are findings, or a network that runs, and never an exception.

    Args:
        kind: of any family. It has to be installed, or its file loaded.
        spec: its settings; not needed if all have defaults, but for the rate of an update.
        shapes: of the samples that a layer reads, one for each input, by default one vector of 6 numbers; or of the
            output that a loss reads, by default 3 numbers.
        exact: whether its backward pass is meant to be the derivative. False for what stops gradients on purpose, as a
            straight-through estimator does.

    Raises:
        AssertionError: something of that does not hold. It says what, and where.
        ValueError: it is no kind that is installed, or a setting has no default and no settings are given.
    """
    group = group_of(kind)
    model = _settings(kind, group, spec)
    said = {FAMILIES[group].discriminator: kind.name} | written(model)
    if isinstance(kind, DataKind):
        check_data(kind, model)
        return
    check_declarations(kind, model, shapes)
    tried = hosts(kind, model, shapes)
    found: dict[str, Data] = {}
    refused: list[str] = []
    for where, host in tried.items():
        if why := _refused(host(said)):
            refused.append(f"{where}: {why}")
        else:
            found[where] = host(said)
    require(bool(found), f"`{kind.name}` cannot be used; as {'; as '.join(refused)}")
    for where, data in found.items():
        named = f"`{kind.name}` as {where}"
        if isinstance(kind, LayerKind | BlockKind | LossKind) and exact:
            check_derivative(named, data)
        if isinstance(kind, RuleKind | BlockKind):
            check_long_form(named, data)
        if isinstance(kind, ProbeKind):
            check_measures(kind, data)
        if not isinstance(kind, SolveKind):  # `check_solve` runs what solves, which takes no steps
            check_backends(named, data)
        check_settings(kind, said, tried[where])


def group_of(kind: Any) -> str:
    """The entry-point group of a kind that is installed, or whose file is loaded.

    Raises:
        ValueError: it is no kind, or it is not there: no spec could name it.
    """
    for group, family in FAMILIES.items():
        if type(kind).__name__ in (family.type, *family.types):
            if any(known.name == kind.name and known.spec is kind.spec for known in kinds(group)):
                return group
            raise ValueError(
                f"`{kind.name}` is not among the kinds of `{group}`: load its file first, `fac.plugin.load(...)`"
            )
    raise ValueError(f"{kind!r} is no kind")


def _settings(kind: Any, group: str, spec: Model | None) -> Any:
    if spec is not None:
        return spec
    given: dict[str, Any] = {FAMILIES[group].discriminator: kind.name}
    try:
        return kind.spec.model_validate(given | ({"lr": 0.1} if "lr" in kind.spec.model_fields else {}))
    except ValidationError as error:
        missing = ", ".join(f"`{'.'.join(map(str, e['loc']))}`" for e in error.errors())
        raise ValueError(
            f"`{kind.name}` has settings without a default, {missing}: give `spec={kind.spec.__name__}(...)`"
        ) from None


def _refused(data: Data) -> str | None:
    """The first error that `fac check` finds."""
    try:
        found = pipeline.check(data)
    except SpecError as error:
        found = error.diagnostics
    errors = [one for one in found if one.rule.severity is Severity.ERROR]
    return f"{errors[0].rule.code}: {errors[0].message}" if errors else None
