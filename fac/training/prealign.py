"""Initial weights from the first batch: see `fac.build.prealign`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fac.backend import Arrays, Session
from fac.build.prealign import prealigned
from fac.diagnostics import FacError
from fac.pipeline import emit, find_backend, resolved
from fac.spec.model import ModelSpec


def prealign(session: Session, spec: ModelSpec, batch: Arrays) -> None:
    """Set the weights of a session that has made no step.

    The errors are computed by the NumPy backend in float64, whatever the session runs on.

    Args:
        session: of an artifact compiled from `spec`.
        spec: with `train.prealign`.
        batch: the samples, by the names of the feeds.

    Raises:
        FacError: an error that a weight is to follow from is zero, or is not finite.
    """
    program, compiled = resolved(spec), session.compiled
    reference = find_backend("reference")
    wide = {
        name: array.astype("float64") if array.dtype.kind == "f" else array for name, array in batch.items()
    }
    there = session.state()
    given = {slot.name: there[slot.name].astype("float64") for slot in compiled.state if slot.parameter}
    for one in prealigned(program):
        errors = []
        for function in (one.true, one.routed):
            oracle = emit(program, reference, "float64", made=replace(compiled, forward=function)).open()
            oracle.load_state(compiled.initial(given))
            errors.append(oracle.run_forward({**wide, "step": np.zeros((), np.int64)}))
        true, routed = errors
        name, (m, k) = one.weight.name, one.weight.shape
        for error, whose in ((true, "backpropagation"), (routed, "the route")):
            if not np.isfinite(error).all() or not error.any():
                raise FacError(
                    f"`train.prealign` cannot set `{name}`: on the first batch no finite error of {whose} is there, "
                    "as with weights or feedback that start at zero; draw them by another `init`, or remove it"
                )
        solved, *_ = np.linalg.lstsq(true.reshape(-1, m), routed.reshape(-1, k), rcond=None)
        norm = 1.0 if spec.train.prealign == "unit" else float(np.linalg.norm(given[name]))
        size = float(np.linalg.norm(solved))
        given[name] = solved * (norm / size) if size else solved
    # feedback that starts from a weight follows it
    session.load_state(compiled.initial(given))
