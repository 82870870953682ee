"""Arguments of another kind than meant: each is refused by name, with what to give, before anything is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fac
from fac import feedback, layers
from fac.diagnostics import FacError

SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "asked",
    "input": {"shape": [4]},
    "layers": [{"kind": "linear", "name": "fc1", "out": 3}],
    "loss": {"kind": "cross_entropy"},
    "update": {"rule": "sgd", "lr": 0.1},
}
X, Y = np.ones((6, 4)), np.array([0, 1, 2, 0, 1, 2])
ANY: Any = fac
"""Whose types are not checked, as in a notebook."""
LAYERS: Any = layers
FEEDBACK: Any = feedback
DATA = {"train": (X, Y), "test": (X, Y)}


def compared(**said: Any) -> Any:
    return ANY.compare(SPEC, data=DATA, **{"rules": ["bp"], "seeds": 1, "backend": "reference", **said})


def trained(**said: Any) -> Any:
    return ANY.train(**{"spec": SPEC, "data": DATA, "backend": "reference", **said})


def opened() -> Any:
    return ANY.compile(SPEC, backend="reference").open()


CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "values without names": (
        lambda: LAYERS.Linear("a", 3),
        "`Linear` takes its fields by name: write `Linear(out=..., name=...)`",
    ),
    "a rule by its rank": (lambda: FEEDBACK.Ldfa(10), "write `Ldfa(rank=...)`"),
    "keys that are numbers": (lambda: LAYERS.Linear(out=3, init={1: 2}), "`kind` is missing"),
    "a spec": (lambda: ANY.train(5), "`spec` is `5`: give a path, plain data, or a `ModelSpec`"),
    "an array for a spec": (lambda: ANY.check(X), "`spec` is of type `ndarray`"),
    "overrides": (lambda: trained(overrides=3), "`overrides` is `3`: give a list of texts"),
    "one of the overrides": (lambda: ANY.load(SPEC, [3]), r"`overrides[0]` is `3`: give a text"),
    "a folder": (lambda: trained(out=3), "`out` is `3`: give the path of a folder"),
    "a run": (lambda: ANY.evaluate(None), "`run` is `None`: give what `fac.train` gave, or the folder"),
    "another run": (lambda: ANY.train(fork=3), "`fork` is `3`: give the folder of a run"),
    "a precision": (lambda: trained(precision="half"), "no precision is called `half`"),
    "a number for a precision": (lambda: trained(precision=16), "`precision` is `16`: give its name"),
    "a device": (lambda: ANY.compile(SPEC, "reference").open(device=X), "`device` is of type `ndarray`"),
    "a backend": (lambda: ANY.compile(SPEC, backend=X), "`backend` is of type `ndarray`"),
    "a listener": (lambda: trained(listener=print), "`listener` is of type `builtin_function_or_method`"),
    "a stop": (lambda: trained(stop=True), "`stop` is `True`: give a function"),
    "no specs": (lambda: ANY.compare([]), "there is no spec to compare"),
    "seeds": (lambda: compared(seeds="x"), "`seeds` is `'x'`: give how many trainings"),
    "rules": (lambda: compared(rules="bp"), "`rules` is `'bp'`: give a list of texts, such as `['bp']`"),
    "ranks": (lambda: compared(ranks=4), "`ranks` is `4`: give a list of whole numbers"),
    "rates": (lambda: compared(rates=0.1), "`rates` is `0.1`: give learning rates by rule"),
    "contrasts": (lambda: compared(contrasts=[("ldfa", "bp")]), "`contrasts[0]` is `('ldfa', 'bp')`"),
    "runs of a report": (lambda: ANY.report([3]), "`runs` is `3`: give folders of runs"),
    "where a report goes": (lambda: ANY.report(["a"], output=3), "`output` is `3`: give a path"),
    "an ONNX file": (lambda: ANY.from_onnx(3), "`path` is `3`: give a path"),
    "a module": (lambda: ANY.from_torch(3, X), "`torch.nn.Module` is needed, and this is a `int`"),
    "a state": (lambda: opened().load_state({1: X}), "`1` is unknown"),
    "a batch": (lambda: opened().step(X[:, :2], Y), "x has shape [6, 2]"),
    "labels": (lambda: opened().step(X, Y + 0.5), "y has to hold 6 whole-number labels"),
}


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS)
def test_what_is_of_another_kind_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(FacError) as found:
        call()
    assert message in str(found.value)


def test_overrides_change_a_model_too() -> None:
    model = ANY.load(SPEC)
    assert ANY.load(model, ["update.lr=0.5"]).update == ANY.load(SPEC, ["update.lr=0.5"]).update
    assert ANY.compile(model, "reference", overrides=["update.lr=0.5"]).compiled.lr == 0.5
    assert ANY.check(model, ["update.lr=0"])
