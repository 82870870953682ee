"""What holds of a network, whatever kinds it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fac import pipeline
from fac.backend import PRECISIONS, STEP, Array, Backend, Compiled, Precision, Session
from fac.checks.kernels import OP_WITHOUT_KERNEL
from fac.checks.plugged import PLUGIN_FAILS
from fac.diagnostics import FacError, Severity, SpecError
from fac.plugins import PluginError, told
from fac.program.kinds import ProbeKind
from fac.program.program import Program
from fac.program.tensors import Role
from fac.render.expand import expanded_data
from fac.step.text import to_text
from fac.testing.case import compare, require
from fac.testing.hosts import Host, drawn
from fac.testing.nets import Data

Built = tuple[Program, Compiled]
SAMPLES = 5
STEPS: Mapping[Precision, int] = {"float64": 3, "float32": 1}
"""In float32 a longer run would measure how fast rounding errors grow."""
AGREE: Mapping[Precision, float] = {"float64": 1e-9, "float32": 1e-4}
"""Relative. Found of what ships: 1e-13 and 6e-6."""
MEASURED = 1e-5
"""Likewise of probes, in float64. An angle is the root of what rounding leaves. Found: 9e-7."""
SHIFT = 1e-5
SLOPE = 1e-6
"""Relative to the sum of what is added up in a slope, or to 1. Found of what ships: 3e-9."""
ODD: tuple[Any, ...] = (
    *(None, True, "nope", -1, 0, 1, 3, 97, -1.5, 0.0, 0.5, 1.0, 1e300),
    *((), ("nope",), (0,), (1, 2), {}),
)
"""What is written in each field of a kind, one after the other."""


def check_derivative(named: str, data: Data) -> None:
    """What one step of gradient descent takes from each parameter is the slope of the loss.

    Raises:
        AssertionError: it is another one.
    """
    program = pipeline.lowered(data)
    session = _opened(pipeline.find_backend("reference"), program, None, "float64")
    batch, start = drawn(session.compiled.feeds, SAMPLES), session.state()

    def loss(shifted: dict[str, Array]) -> float:
        session.load_state(start | shifted)
        return float(session.step(batch, None, 1.0)["loss"])

    loss({})
    moved = session.state()
    rng = np.random.default_rng(0)
    for tensor in program.arrays:
        if tensor.role is not Role.PARAMETER or not tensor.trainable:
            continue
        before = start[tensor.name]
        way = rng.uniform(-1, 1, before.shape)
        terms = (before - moved[tensor.name]) * way
        slope = (loss({tensor.name: before + SHIFT * way}) - loss({tensor.name: before - SHIFT * way})) / (
            2 * SHIFT
        )
        require(
            abs(terms.sum() - slope) <= SLOPE * max(1.0, np.abs(terms).sum()),
            f"{named} hands back an error that is no derivative: along a direction of `{tensor.name}` the loss grows "
            f"by {slope:.6g}, and the step says {terms.sum():.6g}; if it stops gradients on purpose, `exact=False`",
        )


def check_long_form(named: str, data: Data) -> None:
    """What `fac show --expand` prints of a spec has the same step.

    Raises:
        AssertionError: it has another one, or cannot be read.
    """
    program = pipeline.lowered(data)
    long = expanded_data(program)
    try:
        again = pipeline.lowered(long)
    except FacError as error:
        raise AssertionError(f"{named} expands to a spec that cannot be read: {error}") from error
    require(
        to_text(pipeline.compiled(program).step) == to_text(pipeline.compiled(again).step),
        f"{named} expands to a spec that has another step; what a spec does not write out is lost there",
    )


def check_measures(kind: ProbeKind, data: Data) -> None:
    """The names of what a probe measures end as it says.

    Raises:
        AssertionError: one does not.
    """
    session = _opened(pipeline.find_backend("reference"), pipeline.lowered(data), None, "float64")
    found = session.probe(drawn(session.compiled.feeds, SAMPLES), None)
    stray = sorted(name for name in found if name != "loss" and not name.endswith(tuple(kind.measures)))
    require(
        not stray or not kind.measures,
        f"`{kind.name}` measures `{', '.join(stray)}`, and nothing in `measures` ends so: no picture would have it",
    )


def check_backends(named: str, data: Data) -> None:
    """Every installed backend makes the numbers of the reference, but where it refuses to run an op.

    Raises:
        AssertionError: one makes others, or fails.
    """
    reference = pipeline.find_backend("reference")
    # Built apart: a kind that makes another network each time makes other numbers.
    first, second = _built(data), _built(data)
    for precision in PRECISIONS:
        known = _numbers(reference, first, precision)
        assert known is not None, "the reference has every op"
        for backend in pipeline.backends():
            if backend.name == reference.name or not _usable(backend):
                continue
            what = f"{named} on `{backend.name}` in {precision}"
            try:
                found = _numbers(backend, second, precision)
            except Exception as error:
                raise AssertionError(f"{what} fails with {told(error)}") from error
            if found is None:
                continue
            try:
                for part, tolerance in ((False, AGREE[precision]), (True, MEASURED)):
                    ours, theirs = (
                        {name: value for name, value in numbers.items() if name.startswith("probe ") == part}
                        for numbers in (found, known)
                    )
                    compare(ours, theirs, tolerance)
            except AssertionError as error:
                raise AssertionError(f"{what} makes other numbers than on the reference: {error}") from None


def check_settings(kind: Any, said: Data, host: Host) -> None:
    """With anything in any of its fields a spec has findings, or a network that runs.

    Raises:
        AssertionError: there is an exception, or a finding that says that the kind itself fails.
    """
    for name, field in kind.spec.model_fields.items():
        key = field.alias or name
        if key in ("kind", "rule", "source", "name", "from"):
            continue
        for value in ODD:
            data = host(said | {key: value})
            what = f"`{kind.name}` with `{key}: {value!r}`"
            remedy = "let its type refuse that, `misfit` or a ShapeError"
            try:
                errors = [one for one in pipeline.check(data) if one.rule.severity is Severity.ERROR]
            except SpecError:
                continue
            except PluginError as error:
                raise AssertionError(f"{what} {error.fact}: {remedy}") from error
            except Exception as error:
                raise AssertionError(f"{what} ends the check with {told(error)}: {remedy}") from error
            faults = [one.message for one in errors if one.rule is PLUGIN_FAILS]
            require(not faults, f"{what}: {''.join(faults[:1])}: {remedy}")
            if errors or "solve" in data:
                continue
            try:
                program = pipeline.resolved(pipeline.load(data))  # as checks found it to be sound just now
                session = _opened(pipeline.find_backend("reference"), program, None, "float64")
                session.step(drawn(session.compiled.feeds, SAMPLES), None)
            except FacError as error:
                require(not isinstance(error, PluginError), f"{what} fails, and has no finding: {error}")
            except Exception as error:
                raise AssertionError(
                    f"{what} fails with {told(error)}, and has no finding: {remedy}"
                ) from error


def _built(data: Data) -> Built:
    program = pipeline.lowered(data)
    return program, pipeline.compiled(program)


def _numbers(backend: Backend, built: Built, precision: Precision) -> dict[str, Any] | None:
    """What some steps make, and all that is measured; None if the backend refuses an op."""
    try:
        session = _opened(backend, *built, precision)
    except SpecError as refused:
        if all(one.rule is OP_WITHOUT_KERNEL for one in refused.diagnostics):
            return None
        raise
    found: dict[str, Any] = {}
    for number in range(STEPS[precision]):
        batch = drawn(session.compiled.feeds, SAMPLES, seed=number)
        losses = session.step(batch, None)
        found |= {f"{name} of step {number}": float(loss) for name, loss in losses.items()}
    found |= {f"state {name}": array for name, array in session.state().items() if name != STEP}
    found |= {f"evaluate {name}": value for name, value in session.evaluate(batch, None).items()}
    if precision == "float64":  # a measurement may be a rest of what cancels
        found |= {f"probe {n}": v for n, v in session.probe(batch, None).items() if np.isfinite(v)}
    return found


def _opened(backend: Backend, program: Program, made: Compiled | None, precision: Precision) -> Session:
    return pipeline.emit(program, backend, precision, made=made).open(device="cpu")


def _usable(backend: Backend) -> bool:
    """Whether what it runs with is installed."""
    try:
        return bool(backend.devices())
    except FacError:
        return False
