"""Who makes trainings apart, and what is said where nobody can. Ray itself is in `tests/tools/test_ray.py`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

import fac
from fac.diagnostics import FacError
from fac.experiments.executors import workers
from fac.experiments.executors.ray import _Place
from fac.training.holding import alone_in
from tests.cli.conftest import DIGITS


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("small.fac.yaml").write_text(DIGITS)
    return "small.fac.yaml"


def test_who_names_an_executor_or_a_number_has_workers() -> None:
    assert workers(None, None) is None
    assert str(workers(None, 2)) == "2 at a time"
    assert str(workers("processes", None)) == "one for each CPU"
    assert str(workers("ray", 2)) == "2 at a time, by ray"
    for executor, jobs, says in (
        ("slurm", None, "`processes` or `ray`"),
        (None, 0, "`jobs`"),
        ("ray", True, "`jobs`"),
    ):
        with pytest.raises(FacError, match=says):
            workers(executor, jobs)


def test_several_processes_need_a_folder(spec: str) -> None:
    with pytest.raises(FacError, match="`jobs` and `executor` need `out`"):
        fac.compare(spec, executor="processes")


def test_without_ray_one_message_says_what_to_install(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(FacError, match=r'`--executor ray` needs Ray: `pip install "fac-compiler\[ray\]"`'):
        fac.compare(spec, ["bp"], executor="ray", backend="reference", out="a", audit=False)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at `127.0.0.1:1`, which `RAY_ADDRESS` names: "),
        ("nowhere", "no Ray cluster answers at `nowhere`"),
        ("ray://head:10001", "is for clients of Ray"),
    ],
)
def test_an_address_without_a_cluster_is_said_at_once(
    spec: str, address: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ray(ModuleType):
        is_initialized = staticmethod(lambda: False)
        shutdown = staticmethod(lambda: None)

    monkeypatch.setitem(sys.modules, "ray", Ray("ray"))
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(FacError, match=says):
        fac.compare(spec, ["bp"], executor="ray", backend="reference", out="a", audit=False)


def test_a_process_elsewhere_looks_whether_it_sees_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with alone_in(Path("a")):
        place = _Place.here(Path("a"))
        monkeypatch.chdir("/")
        assert place.missed() == ""
        assert Path.cwd() == tmp_path
        for change in ({"held": place.held + 1}, {"directory": "/nowhere"}, {"folder": str(tmp_path / "b")}):
            assert "does not see the folder" in replace(place, **change).missed()
        assert "has fac" in replace(place, version="0").missed()
