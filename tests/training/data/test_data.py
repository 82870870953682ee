"""Loading by kind, and what holds for every data source."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from fac import plugins
from fac.backend import Precision
from fac.diagnostics import FacError
from fac.spec.data import Data
from fac.training.data import KINDS, load
from fac.training.data.arrays import Arrays
from fac.training.data.digits import Digits
from fac.training.data.teacher import Teacher
from fac.training.dataset import DataKind, Dataset, Split


class Ones(Data):
    source: Literal["ones"] = "ones"
    n: int = 2


def ones(data: Ones, base: Path, precision: Precision) -> Dataset:
    split = Split(np.ones((data.n, 3), precision), np.zeros(data.n, np.int64))
    return Dataset(str(base), split, split)


def test_a_plugged_in_source_is_loaded_like_one_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "kinds", lambda group: (*KINDS, DataKind("ones", Ones, ones)))
    data = load(Ones(n=5), Path("folder"))
    assert data.name == "folder"
    assert data.train.x.shape == (5, 3)
    assert load(Digits()).name == "digits"


def test_a_source_that_is_not_installed_is_named() -> None:
    message = "^no installed data source loads `Ones`: install the plug-in that declares it$"
    with pytest.raises(FacError, match=message):
        load(Ones())


@pytest.mark.parametrize(
    "data",
    [
        Digits(),
        Teacher(n=20, noise=0.1),
        Teacher(n=20, task="classification"),
        Arrays(train="a.npz", test="a.npz"),
    ],
)
def test_floats_have_the_precision_that_is_asked_for(data: Data, tmp_path: Path) -> None:
    """float64 is not float32 in a larger type, and float32 is that rounded once."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", x=rng.standard_normal((5, 3)), y=rng.standard_normal((5, 2)))
    fine, coarse = (load(data, tmp_path, precision) for precision in ("float64", "float32"))
    for part in ("train", "test"):
        for name in ("x", "y"):
            exact, rounded = (getattr(getattr(d, part), name) for d in (fine, coarse))
            if exact.dtype == np.int64:
                assert rounded.dtype == np.int64
                np.testing.assert_array_equal(rounded, exact)
                continue
            assert (exact.dtype, rounded.dtype) == (np.float64, np.float32)
            np.testing.assert_array_equal(rounded, exact.astype(np.float32))
            assert (exact != rounded).mean() > 0.5


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_every_field_has_a_description(kind: DataKind[Data]) -> None:
    assert kind.spec.model_fields["source"].default == kind.name
    assert all(field.description for field in kind.spec.model_fields.values())


def modules_after(code: str) -> set[str]:
    code += "; import sys; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_declaring_data_does_not_import_numpy() -> None:
    assert "numpy" not in modules_after("import fac.training.data")


def test_the_test_for_numpy_can_fail() -> None:
    code = "import fac.training.data as d; d.load(d.digits.Digits())"
    assert "numpy" in modules_after(code)
