"""Arguments of another kind than meant: each is refused by name, with what to give, before anything is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac import feedback, layers, updates
from fac.diagnostics import FacError
from fac.experiments.kept import open_comparison

SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "asked",
    "input": {"shape": [4]},
    "layers": [{"kind": "linear", "name": "fc1", "out": 3}],
    "loss": {"kind": "cross_entropy"},
    "update": {"rule": "sgd", "lr": 0.1},
    "train": {"batch": 6, "epochs": 1},
}
X, Y = np.ones((6, 4)), np.array([0, 1, 2, 0, 1, 2])
ANY: Any = fac
"""Whose types are not checked, as in a notebook."""
LAYERS: Any = layers
FEEDBACK: Any = feedback
ANY_OPEN: Any = open_comparison
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


def test_overrides_may_be_values_by_path() -> None:
    for value in (1e-5, 3, np.float64(0.25), 0.1 + 0.2, 1e22):
        assert ANY.load(SPEC, {"update.lr": value}).update.lr == value
    found = ANY.load(ANY.load(SPEC), {"update": updates.Adam(lr=0.5), "name": "true", "train": {"seed": 3}})
    assert (found.update.rule, found.update.lr, found.name, found.train.seed) == ("adam", 0.5, "true", 3)
    said = {"update.lr": 0.5}
    assert ANY.compile(SPEC, "reference", overrides=said).compiled.lr == 0.5
    assert trained(overrides=said).spec.update.lr == 0.5
    assert compared(overrides=said).rows[0].variant.document.data["update"]["lr"] == 0.5
    for overrides, message in (
        ({3: 1}, '`overrides` is `3`: give values by path, such as `{"update.lr": 0.01}`'),
        ({"update.lr": float("nan")}, "`overrides['update.lr']` is `nan`: give a value as a file has it"),
        ({"update.lr": X}, "`overrides['update.lr']` is of type `ndarray`: give a value as a file has it"),
    ):
        with pytest.raises(FacError) as caught:
            ANY.load(SPEC, overrides)
        assert str(caught.value) == message


def test_an_assignment_says_what_to_do_instead() -> None:
    model = ANY.load(SPEC)
    for part, name in ((model, "name"), (model.update, "lr"), (model.layers[0], "out"), (model.input, "odd")):
        told = f"`{name}` of a `{type(part).__name__}` cannot be changed, for a spec stays what it is: "
        with pytest.raises(FacError) as caught:
            setattr(part, name, 1)
        assert str(caught.value).startswith(told + '`fac.load(spec, {"update.lr": 0.1})` gives another one')
        with pytest.raises(FacError) as caught:
            delattr(part, name)
        assert str(caught.value).startswith(told)
    assert model == ANY.load(SPEC)


def test_the_names_of_the_package_are_those_of_its_page() -> None:
    assert dir(fac) == sorted(fac.__all__)
    assert {"train", "compare", "sweep", "plot", "lock"} <= {*dir(fac)}
    assert all(getattr(fac, name) is not None for name in dir(fac))


def test_what_is_found_says_in_a_line_what_it_is(tmp_path: Path) -> None:
    found = compared(out=tmp_path / "c")
    assert repr(found) == "<comparison of bp: 1 of 1 trainings; see table()>"
    folder = str(tmp_path / "c")
    assert open_comparison(folder).comparison().table() == found.table()
    with pytest.raises(FacError, match="`path` is `3`: give the folder of a comparison"):
        ANY_OPEN(3)
    looked = ANY.evaluate(trained(), audit=True)
    assert looked.audit.true.keys() == {"fc1"}
    assert ANY.evaluate(trained()).audit is None
    assert repr(looked).startswith("<evaluation of 6 samples: loss ")


def test_a_lock_is_that_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ANY.load(SPEC).save("a.fac.yaml")
    found = ANY.lock("a.fac.yaml")
    assert found.experiments == ("asked",)
    assert (tmp_path / "fac.lock").read_text() == found.text
    assert ANY.lock(tmp_path, tmp_path / "fac.lock").text == found.text
    for arguments, message in (((3,), "`specs` is `3`"), (("a.fac.yaml", "a.fac.yaml"), "which is a spec")):
        with pytest.raises(FacError, match=message):
            ANY.lock(*arguments)
    assert ANY.load("a.fac.yaml") == ANY.load(SPEC)
