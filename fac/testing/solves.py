"""Networks whose parameters are solved for: a backend runs the pieces, and NumPy says what comes of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fac.backend import Array, Exporting, Session
from fac.pipeline import find_backend
from fac.spec.model import ModelSpec
from fac.testing.case import Case, Subject, compare, refuses
from fac.testing.nets import Data, linear
from fac.testing.solve_laws import LOSSES, NETS, data, solved_spec
from fac.training.dataset import Dataset
from fac.training.loop import train

ZORB: Data = {"rule": "zorb"}
TOLERANCE = 1e-9
"""Relative, in float64, which is the only precision that anything is solved in. Found: 2e-12."""


def cases() -> Iterator[Case]:
    """Each network with each loss, and what is known in closed form."""
    for name in NETS:
        for loss in LOSSES:
            yield Case(f"solve/{name} x {loss}", partial(agrees, name, loss))
    for bias in (True, False):
        yield Case(f"solve/one layer is least squares x bias {bias}", partial(least_squares, bias))
    yield Case("solve/what is cut off is cut off as NumPy does", cut_off)


def agrees(name: str, loss: str, subject: Subject) -> None:
    """The reference finds the same; a file for inference, where there are any, makes the same of it."""
    layers, shape = NETS[name]
    of = solved_spec(layers, shape, loss, ZORB)
    if subject.precision != "float64":
        refuses(partial(solved, subject, of), "a training in another precision than float64")
        return
    session = solved(subject, of)
    wanted = _reference(name, loss)
    compare(session.state(), wanted.state(), TOLERANCE)
    x = data(shape, labels=True).x
    output = session.forward(x)
    compare({"output": output}, {"output": wanted.forward(x)}, TOLERANCE)
    if isinstance(subject.backend, Exporting):
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"network{subject.backend.exports}"
            file = subject.compile(of).export(session.state(), path, subject.device)
            compare({"output": file.run(x)}, {"output": output}, TOLERANCE)


def least_squares(bias: bool, subject: Subject) -> None:
    """min |[X, 1] Theta - Y|: the weight is the transpose of the first rows of Theta, the bias its last."""
    if subject.precision != "float64":
        return
    split = data((5,), labels=False)
    session = solved(subject, solved_spec((linear("out", 3, bias=bias),), (5,), "mse", ZORB))
    compare(
        _theta(session, bias), {"theta": np.linalg.lstsq(_features(split.x, bias), split.y)[0]}, TOLERANCE
    )


def cut_off(subject: Subject) -> None:
    """Singular values of the features up to `rcond` times the largest count as zero."""
    if subject.precision != "float64":
        return
    split, rcond = data((5,), labels=False), 0.9
    session = solved(
        subject, solved_spec((linear("out", 3),), (5,), "mse", ZORB | {"rcond": rcond, "rows": 7})
    )
    theta, _, rank, _ = np.linalg.lstsq(_features(split.x, True), split.y, rcond=rcond)
    assert 0 < rank < 6, "the samples no longer tell whether anything is cut off"
    compare(_theta(session, True), {"theta": theta}, TOLERANCE)


def solved(subject: Subject, of: Data) -> Session:
    """A session that is trained."""
    session, model = subject.open(of), ModelSpec.model_validate(of)
    split = data(of["input"]["shape"], of["loss"]["kind"] == "cross_entropy")
    train(session, Dataset("made up", split, split), model)
    return session


@cache
def _reference(name: str, loss: str) -> Session:
    layers, shape = NETS[name]
    return solved(
        Subject(find_backend("reference"), "float64", "cpu"), solved_spec(layers, shape, loss, ZORB)
    )


def _features(x: Array, bias: bool) -> Array:
    return np.c_[x, np.ones(len(x))] if bias else x


def _theta(session: Session, bias: bool) -> dict[str, Array]:
    state = session.state()
    return {"theta": np.vstack([state["out.weight"].T, *([state["out.bias"]] if bias else [])])}
