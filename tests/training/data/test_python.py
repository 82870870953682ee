"""Data of a function: nothing runs unless it is allowed, and whatever the function does is one message."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fac.diagnostics import FacError, SpecError
from fac.training.data import load, python
from fac.training.data.python import Python

Run = Callable[..., tuple[int, str, str]]
CODE = """\
import numpy as np
from pathlib import Path

Path(__file__).with_name("ran").touch()


def make(n=4, seed=0):
    x = np.arange(n * 64.0).reshape(n, 64) + seed
    return (x, np.arange(n)), (x + 1, np.arange(n))


def named():
    part = {"x": np.ones((2, 64)), "y": np.zeros(2)}
    return {"train": part, "test": part, "validation": part}


def fails():
    raise KeyError("gone")


def odd():
    return 3


def ragged():
    return ([[1], [1, 2]], [0, 1]), ([[1]], [0])


def words():
    return (["a"], [0]), (["a"], [0])


def half():
    return {"train": {"x": np.ones((2, 64))}, "test": {}}


number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """With a module beside a spec; nothing is allowed before."""
    (tmp_path / "made_up_data.py").write_text(CODE)
    monkeypatch.setattr(python, "_allowed", False)
    path = list(sys.path)
    yield tmp_path
    assert sys.path == path
    sys.modules.pop("made_up_data", None)


def spec(name: str, **settings: object) -> Python:
    return Python.model_validate({"source": "python", "function": f"made_up_data:{name}", **settings})


def test_nothing_runs_unless_it_is_allowed(folder: Path) -> None:
    with pytest.raises(
        FacError, match="nothing of it runs unless you say so: read it, and add `--allow-code`"
    ):
        load(spec("make"), folder)
    assert not (folder / "ran").exists()


def test_what_is_returned(folder: Path) -> None:
    python.allow()
    data = load(spec("make", args={"n": 3, "seed": 5}, class_names=("a", "b", "c")), folder, "float32")
    np.testing.assert_array_equal(data.train.x, np.arange(192).reshape(3, 64) + 5)
    np.testing.assert_array_equal(data.test.y, [0, 1, 2])
    assert data.train.x.dtype == np.float32
    assert data.classes == ("a", "b", "c")
    assert load(spec("make", standardise="all"), folder).scale == {"x": (0,)}
    named = load(spec("named"), folder)
    assert named.validation is not None
    assert named.validation.y.shape == (2, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", r"\(`data.function`\) fails: KeyError: 'gone' \(made_up_data.py, line 18\)"),
        ("gone", "fails: AttributeError: module 'made_up_data' has no attribute 'gone'"),
        ("number", "fails: TypeError: `number` is no function"),
        ("odd", "returns int: return `\\(train, test\\)`, or a mapping"),
        ("ragged", "`train`, `x` is no array: "),
        ("words", "`train`, `x` has shape \\[1\\] of <U1: give numbers"),
        ("half", "`train` is a mapping with `x`: return `\\(x, y\\)`, or a mapping with `x`, `y`"),
    ],
)
def test_whatever_goes_wrong_is_one_message(name: str, message: str, folder: Path) -> None:
    python.allow()
    with pytest.raises(FacError, match=message):
        load(spec(name), folder)
    with pytest.raises(FacError, match="fails: TypeError: make\\(\\) got an unexpected keyword"):
        load(spec("make", args={"m": 1}), folder)


def test_modules_that_are_not_there(folder: Path) -> None:
    python.allow()
    with pytest.raises(FacError, match="fails: ModuleNotFoundError: No module named 'nowhere'"):
        load(Python(function="nowhere:make"), folder)
    for name in ("make", "a b:c", "os.system('x'):y", ":f", "m:"):
        with pytest.raises(SpecError):
            Python(function=name)


def test_held_out_once(folder: Path) -> None:
    python.allow()
    with pytest.raises(FacError, match=r"returns a `validation` part, and `data.validation` holds one out"):
        load(spec("named", validation=0.5), folder)
