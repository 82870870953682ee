"""Where onnxruntime runs: asked for by name, reported by the session, and nowhere else in silence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fac_onnx
from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.testing.nets import NET, batch, spec
from fac_onnx import device, packages
from fac_onnx.runtime import ort

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
MODEL = device._tiny().SerializeToString()


class Granted:
    """A session that gets the providers that a test grants, out of those it asks for."""

    granted: tuple[str, ...] = (CPU,)
    asked: list[list[str]]
    fallback: list[int]

    def __init__(
        self,
        content: bytes,
        options: Any,
        providers: list[str],
        enable_fallback: int = 1,
        disabled_optimizers: list[str] | None = None,
    ) -> None:
        self.asked.append(providers)
        self.fallback.append(enable_fallback)
        self.providers = [p for p in providers if p in self.granted]
        if not self.providers:
            raise RuntimeError("CUDA failure 35: the driver is too old\nwith more lines")

    def get_providers(self) -> list[str]:
        return self.providers


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What was found out about one machine does not count on the next."""
    device._problem.cache_clear()
    yield
    device._problem.cache_clear()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., type[Granted]]:
    """`machine(built, granted)`: the providers of the build, and those that sessions get."""

    def make(built: tuple[str, ...], granted: tuple[str, ...]) -> type[Granted]:
        monkeypatch.setattr(Granted, "granted", granted)
        monkeypatch.setattr(Granted, "asked", [], raising=False)
        monkeypatch.setattr(Granted, "fallback", [], raising=False)
        monkeypatch.setattr(ort, "InferenceSession", Granted)
        monkeypatch.setattr(ort, "get_available_providers", lambda: [*built])
        monkeypatch.setattr(ort, "preload_dlls", lambda: None, raising=False)
        return Granted

    return make


# -- devices -------------------------------------------------------------------------------------------------


def test_this_machine() -> None:
    """Whatever it has, the session says the same."""
    for name in fac_onnx.BACKEND.devices():
        made = device.session(MODEL, device.chosen(name))
        assert made.get_providers()[0] == device.PROVIDERS[name]
        assert device.runtime(made) == f"onnxruntime {ort.__version__} ({', '.join(made.get_providers())})"
        session = compile(spec(NET), "onnx").open(device=name)
        assert session.device == name
        assert np.isfinite(float(session.step(*batch())["loss"]))


@pytest.mark.parametrize("name", ["tpu", "CUDA", "cuda:1", " "])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(FacError, match=f"^the onnx backend runs on `cpu` and `cuda`, not on `{name}`$"):
        compile(spec(NET), "onnx").open(device=name)


def test_a_build_without_cuda(machine: Callable[..., type[Granted]]) -> None:
    machine((CPU,), (CPU,))
    assert device.available() == ("cpu",)
    assert device.chosen(None) == "cpu"
    expected = (
        rf"^this build of onnxruntime \({ort.__version__}\) has no {CUDA}: for CUDA, .*fac-compiler\[cuda\]"
    )
    with pytest.raises(FacError, match=expected):
        device.chosen("cuda")


def test_cuda_that_works(machine: Callable[..., type[Granted]]) -> None:
    sessions = machine((CUDA, CPU), (CUDA, CPU))
    assert device.available() == ("cuda", "cpu")
    assert device.chosen(None) == device.chosen("cuda") == "cuda"
    assert device.chosen("cpu") == "cpu"
    assert sessions.asked == [[CUDA, CPU], [CPU]], "what was found out is remembered"


def test_cuda_that_is_promised_and_not_given(machine: Callable[..., type[Granted]]) -> None:
    """As on a machine without a GPU: the build lists the provider, and its sessions run on the CPU."""
    machine((CUDA, CPU), (CPU,))
    assert device.available() == ("cpu",)
    expected = rf"^onnxruntime cannot use `cuda` here \(onnxruntime gives {CPU} where `cuda` was asked for\): it needs"
    with pytest.raises(FacError, match=expected):
        device.chosen("cuda")
    with pytest.raises(FacError, match=f"^onnxruntime gives {CPU} where `cuda` was asked for$"):
        device.session(MODEL, "cuda")


def test_cuda_that_fails(machine: Callable[..., type[Granted]]) -> None:
    machine((CUDA, CPU), ())
    with pytest.raises(
        FacError, match=r"cannot use `cuda` here \(.*CUDA failure 35: the driver is too old\): it"
    ):
        device.chosen("cuda")


# -- no fallback ---------------------------------------------------------------------------------------------


def test_onnxruntime_is_asked_not_to_fall_back(machine: Callable[..., type[Granted]]) -> None:
    sessions = machine((CUDA, CPU), (CUDA, CPU))
    device.session(MODEL, "cuda")
    assert sessions.fallback == [0]


def test_a_run_that_fails_is_not_made_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    """By itself onnxruntime would print to standard output and run on the CPU from then on."""
    made = device.session(MODEL, "cpu")
    inner = made._sess
    failure = ort.capi.onnxruntime_pybind11_state.EPFail

    class Failing:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def run(self, *_: Any) -> None:
            raise failure("CUDA failure 700")

    made._sess = Failing()
    with pytest.raises(failure, match="CUDA failure 700"):
        made.run(None, {"x": np.ones(1, np.float32)})
    assert capsys.readouterr() == ("", "")


# -- what is installed ---------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`installed("onnxruntime")`: the distributions that there are of the two."""

    def make(*names: str) -> None:
        def looked_up(name: str) -> object:
            if name not in names:
                raise PackageNotFoundError(name)
            return object()

        monkeypatch.setattr(packages, "installed", looked_up)

    return make


def refusal() -> str:
    """Why no session can be opened, which `devices` says too."""
    with pytest.raises(FacError) as listed:
        fac_onnx.BACKEND.devices()
    with pytest.raises(FacError) as opened:
        compile(spec(NET), "onnx").open()
    assert str(listed.value) == str(opened.value)
    return str(opened.value)


def test_both_builds(installed: Callable[..., None]) -> None:
    installed("onnxruntime", "onnxruntime-gpu")
    assert refusal() == (
        "`onnxruntime` and `onnxruntime-gpu` are both installed and overwrite each other's files: "
        "`pip uninstall -y onnxruntime onnxruntime-gpu`, then install one, "
        '`pip install "fac-compiler[onnx]"` for CPUs or `"fac-compiler[cuda]"` for CUDA'
    )


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-gpu", "onnxruntime-of-ones-own"])
def test_one_build(name: str, installed: Callable[..., None]) -> None:
    """Under any name, as long as the package is there."""
    installed(name)
    packages.require_runtime()


def test_no_build(installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    installed()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert refusal() == (
        'backend `onnx` needs onnxruntime to run: pip install "fac-compiler[onnx]" for CPUs, '
        'or "fac-compiler[cuda]" for CUDA'
    )


@pytest.mark.parametrize("rest", [None, ModuleType("onnxruntime")], ids=["nothing", "an empty package"])
def test_what_removing_one_of_both_leaves(
    rest: ModuleType | None, installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("onnxruntime-gpu")
    monkeypatch.delitem(sys.modules, "fac_onnx.runtime")
    monkeypatch.setitem(sys.modules, "onnxruntime", rest)
    assert refusal().startswith("onnxruntime is installed but cannot be imported (")
    assert refusal().endswith(packages.ANEW)


def test_no_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (fac_onnx.BACKEND.devices, lambda: compile(spec(NET), "onnx")):
        with pytest.raises(FacError, match=r"^backend `onnx` needs onnx and onnxruntime: pip install \"fac-"):
            call()
