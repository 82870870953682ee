"""A compiled spec as a backend can run it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from fac.backend import Compiled, Probing, Reading
from fac.passes import optimise
from fac.passes.decompose import decompose
from fac.step.ir import Function


def fit(compiled: Compiled, kinds: Container[str]) -> Compiled:
    """The same with ops of `kinds` only, as far as the others can be made of finer ones."""

    def fitted(function: Function) -> Function:
        finer = decompose(function, kinds)
        return function if finer is function else optimise(finer, compiled.disabled)

    def probing() -> tuple[Function, tuple[Reading, ...]]:
        return fitted(compiled.probe), compiled.readings

    anchor, solution = compiled.anchor, compiled.solution
    if solution is not None:
        made = solution.piece
        solution = replace(solution, piece=lambda name, held: fit(made(name, held), kinds))
    views = compiled.views
    return replace(
        compiled,
        forward=fitted(compiled.forward),
        evaluate=fitted(compiled.evaluate),
        step=fitted(compiled.step),
        probing=Probing(probing, compiled.probing.measures),
        anchor=anchor and replace(anchor, step=fitted(anchor.step)),
        solution=solution,
        views=views and (lambda what: fit(views(what), kinds)),
        fit=lambda other: fit(other, kinds),
    )
