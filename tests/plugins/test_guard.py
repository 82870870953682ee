"""The guard around kinds of plug-ins: whose mistake an exception is, and which exceptions are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from fac import plugins
from fac.backend import Precision
from fac.diagnostics import FacError
from fac.layers.elementwise import RELU
from fac.plugins.guard import PluginError, guarded
from fac.program.kinds import MatrixKind, ShapeError
from fac.spec.data import Data
from fac.spec.feedback import Matrix
from fac.training.data import load
from fac.training.dataset import DataKind, Dataset

PACKAGE = __name__.partition(".")[0]


class Rows(Data):
    """Data of a plug-in."""

    source: Literal["rows"] = "rows"


def source(read: Callable[[Rows, Path, Precision], Any]) -> Any:
    """A guarded data source."""
    return guarded(DataKind("rows", Rows, read), "rows 2.0", PACKAGE, "data source")


def fails(data: Rows, base: Path, precision: Precision) -> Dataset:
    raise KeyError("rows")


@pytest.mark.parametrize(
    ("read", "said"),
    [(fails, "fails with KeyError: 'rows'"), (lambda *_: None, "returns NoneType where a Dataset is needed")],
)
def test_a_data_source_that_fails(read: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "kinds", lambda group: (source(read),))
    line = read.__code__.co_firstlineno + (read is fails)
    with pytest.raises(FacError) as error:
        load(Rows())
    assert str(error.value).startswith(
        f"`load` of the data source `rows`, from the plug-in `rows 2.0`, {said}: "
    )
    assert f"test_guard.py:{line}," in str(error.value)


@pytest.mark.parametrize("said", [ShapeError("it reads images"), FacError("there is no such file")])
def test_what_a_kind_may_say_is_passed_on(said: Exception) -> None:
    def infer(layer: Any, name: str, inputs: Any) -> Any:
        raise said

    kind: Any = guarded(replace(RELU, infer=infer), "own 1.0", PACKAGE, "layer")
    with pytest.raises(type(said)) as error:
        kind.infer(None, "act", [])
    assert error.value is said


def test_a_plugin_does_not_end_the_program() -> None:
    """A check that ends with status 0 in the middle would pass for one without findings."""

    def infer(layer: Any, name: str, inputs: Any) -> Any:
        raise SystemExit(0)

    kind: Any = guarded(replace(RELU, infer=infer), "own 1.0", PACKAGE, "layer")
    with pytest.raises(PluginError, match=r"`infer` of .* fails with SystemExit: 0"):
        kind.infer(None, "act", [])


@pytest.mark.parametrize("function", ["unused", "tensors", "learn", "misfit", "rank", "refresh", "learning"])
def test_what_checks_ask_for_has_the_right_type(function: str) -> None:
    settings: Any = {function: lambda *_: 1.5}
    kind: Any = guarded(
        replace(MatrixKind("own", Matrix, late, late), **settings), "own 1.0", PACKAGE, "feedback operator"
    )
    with pytest.raises(PluginError, match=f"`{function}` of .* returns float where a"):
        getattr(kind, function)()


def late(*arguments: Any) -> Any:
    yield 1
    raise ValueError("too late")


def test_what_is_made_one_by_one_may_fail_late() -> None:
    kind: Any = guarded(MatrixKind("own", Matrix, late, late, late), "own 1.0", PACKAGE, "feedback operator")
    made = kind.learn(None, None, {}, None)
    assert next(made) == 1
    with pytest.raises(PluginError, match=r"`learn` of .* fails with ValueError: too late"):
        next(made)


def test_what_a_kind_leaves_out_stays_out() -> None:
    kind: Any = guarded(MatrixKind("own", Matrix, late, late), "own 1.0", PACKAGE, "feedback operator")
    assert kind.matrix is None
    assert list(kind.learn(None, None, {}, None)) == []
