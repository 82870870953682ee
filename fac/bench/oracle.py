"""Who may be timed: whose steps are those of the same rule in float64.

The oracle of a rule is its torch session in float64. It is held against the NumPy reference on a small network of the
same kind, and backpropagation against autograd; then each contender is held against it at the size and in the precision
that is timed.
"""

from __future__ import annotations

import numpy as np

from fac.bench.case import BIASED, IN, WAVERS, Case
from fac.bench.contenders.base import Contender, State
from fac.bench.contenders.eager import Eager
from fac.bench.contenders.emitted import Emitted, session
from fac.tuning.deviation import STILL, deviation

STEPS = 2
EXACT = 1e-9
"""How far a tensor may have moved from where another computation in float64 has it, relative to how far it moved; of
float32 see `Case.rounded`."""


def initial(case: Case, rule: str) -> State:
    """What all contenders of a rule begin with; no parameter of several axes is all zeros."""
    one = session(case, rule, "torch", "float64")
    rng, state = np.random.default_rng(0), one.state()
    for slot in one.compiled.state:
        value = state[slot.name]
        if slot.parameter and value.ndim > 1 and not value.any():
            state[slot.name] = BIASED * rng.standard_normal(value.shape)
    return state


def proved(small: Case, rule: str) -> float:
    """How far the oracle of a rule is from an independent computation, on a small network; see `EXACT`.

    Raises:
        AssertionError: too far for rounding.
    """
    state = initial(small, rule)
    ours = Emitted(small, state, "float64", rule=rule, backend="torch")
    other: Contender = (
        Eager(small, state, "float64", mode="highest", fused=False)
        if rule == "bp"
        else Emitted(small, state, "float64", rule=rule, backend="reference")
    )
    far = deviation(moved(small, ours, "float64"), moved(small, other, "float64"), state)
    assert far < EXACT, f"{rule}: the torch backend in float64 is {far:.0e} from its oracle"
    return far


def standing(case: Case, rule: str, begun: State, steps: int) -> frozenset[str]:
    """The tensors that would stand still if no product was rounded: of a rule in float32 nobody asks."""
    plain, _, rounded = rule.partition(IN)
    if not rounded:
        return frozenset()
    after = moved(case, Emitted(case, begun, "float64", rule=plain, backend="torch"), "float64", steps)
    return frozenset(
        name
        for name, value in begun.items()
        if np.linalg.norm(after[name] - value) <= EXACT * np.linalg.norm(value)
    )


def apart(found: State, expected: State, begun: State, still: frozenset[str]) -> float:
    """How far a contender is from its oracle, see `deviation`: what is `still` may waver by a part of its norm."""
    parts = [
        ({name: value for name, value in found.items() if (name in still) is held}, allowed)
        for held, allowed in ((False, STILL), (True, WAVERS))
    ]
    return max(deviation(part, expected, begun, allowed) for part, allowed in parts if part)


def moved(case: Case, contender: Contender, precision: str, steps: int = STEPS) -> State:
    """A copy of the state after some steps."""
    contender.steps([contender.place(*batch) for batch in case.batches(steps, precision)])
    return {name: np.array(value) for name, value in contender.state().items()}
