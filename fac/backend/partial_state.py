"""A state that holds the parameters, trained elsewhere perhaps, and not all that a training keeps beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from fac.backend.compiled import STEP, Array, Compiled
from fac.diagnostics import FacError


def require_whole(compiled: Compiled, held: Iterable[str]) -> None:
    """Refuse a state that lacks arrays: what they would be in its place is for its owner to say.

    Raises:
        FacError: naming what is missing, and what to do.
    """
    require_parameters(compiled, held)
    missing = [slot.name for slot in compiled.state if slot.name not in held]
    if missing:
        raise FacError(
            f"the state has the parameters of `{compiled.name}`, but not {listed(missing)}: add `derive=True` to take "
            "feedback that starts from weights from these weights, draw other feedback as for a new training, and "
            "begin with optimiser state of zero"
        )


def require_parameters(compiled: Compiled, held: Iterable[str]) -> None:
    """Refuse a state without all that the forward pass reads.

    Raises:
        FacError: naming what is missing.
    """
    missing = [slot.name for slot in compiled.state if slot.parameter and slot.name not in held]
    if missing:
        raise FacError(
            f"the state lacks parameters of `{compiled.name}`: give {listed(missing)}, which cannot be derived"
        )


def completed(
    compiled: Compiled, arrays: Mapping[str, Array], steps: int
) -> tuple[dict[str, Array], int, tuple[str, ...]]:
    """All arrays, the number of steps, and the names of what was derived.

    Feedback defined by weights (the factors of a singular value decomposition) is that of the weights given, other
    feedback is drawn with the seed of the spec, optimiser state is zero. The last has seen no step, so that it
    begins at step 0; Adam's corrections would not be those of its means otherwise.

    Args:
        compiled: the spec.
        arrays: with all parameters.
        steps: that the state has seen.

    Raises:
        FacError: of feedback or optimiser state that belongs together a part is missing, or a parameter is not finite.
    """
    slots = {slot.name: slot for slot in compiled.state}
    missing = tuple(name for name in slots if name not in arrays)
    if not missing:
        return dict(arrays), steps, ()
    groups: dict[str, list[str]] = {}
    for slot in compiled.state:
        if not slot.parameter:
            groups.setdefault(_group(slot.name, slots), []).append(slot.name)
    for group in groups.values():
        here, gone = ([name for name in group if (name in arrays) is there] for there in (True, False))
        if here and gone:
            raise FacError(
                f"the state has {listed(here)}, but not {listed(gone)}, which belongs together: give all of it or none"
            )
    fresh = any(_group(name, slots) == OPTIMISER for name in missing)
    bad = [
        slot.name for slot in compiled.state if slot.parameter and not np.isfinite(arrays[slot.name]).all()
    ]
    if bad:
        raise FacError(
            f"nothing can be derived from {listed(bad)}: there are numbers in it that are not finite"
        )
    return {**compiled.initial(arrays), **arrays}, 0 if fresh else steps, missing


def fitting(compiled: Compiled, state: Mapping[str, Array]) -> dict[str, Array]:
    """What of the state of another spec can be given to this one, with `derive=True`: the step, and what fits.

    Of feedback or optimiser state that belongs together all fits, or none is taken.

    Raises:
        FacError: a parameter is missing, or has another shape.
    """
    slots = {slot.name: slot for slot in compiled.state}
    fits = {name for name, slot in slots.items() if name in state and state[name].shape == slot.shape}
    wrong = [slot.name for slot in compiled.state if slot.parameter and slot.name not in fits]
    if wrong:
        raise FacError(
            f"the state has not all parameters of `{compiled.name}` in their shapes: {listed(wrong)}; `--init RUN "
            "--init-partial` starts a new training from those that fit"
        )
    torn = {_group(name, slots) for name, slot in slots.items() if not slot.parameter and name not in fits}
    kept = {name for name in fits if slots[name].parameter or _group(name, slots) not in torn}
    return {name: array for name, array in state.items() if name in kept or name == STEP}


OPTIMISER = "optimiser"


def _group(name: str, names: Iterable[str]) -> str:
    """What an array is kept or derived with: `fc1.feedback.P` with the others of `fc1.feedback`, optimiser state whole.

    Optimiser state is known by standing behind the name of the array that it moves: `fc1.weight.momentum`.
    """
    owner = name.rpartition(".")[0]
    return OPTIMISER if owner in names else owner


def listed(names: list[str]) -> str:
    """The first few of them: `a`, `b` and 7 more."""
    first = ", ".join(f"`{name}`" for name in names[:3])
    return f"{first} and {len(names) - 3} more" if len(names) > 3 else first
