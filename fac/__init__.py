"""fac: a declarative compiler for neural networks whose backward pass is explicit."""

from importlib import import_module

TYPE_CHECKING = False  # not from `typing`, which takes longer to import than what is needed to hear Ctrl-C
if TYPE_CHECKING:
    from fac.diagnostics import Diagnostic, FacError, SpecError
    from fac.experiments.api.comparing import compare, sweep
    from fac.experiments.api.plotting import plot
    from fac.experiments.api.reporting import report
    from fac.experiments.api.trained import evaluate, predict
    from fac.experiments.api.training import train
    from fac.experiments.results import Trained
    from fac.importing import from_onnx, from_torch
    from fac.lint.lock.naming import lock
    from fac.pipeline import check, compile, load
    from fac.spec.model import Input, ModelSpec

__all__ = [
    "Diagnostic",
    "FacError",
    "Input",
    "ModelSpec",
    "SpecError",
    "Trained",
    "check",
    "compare",
    "compile",
    "evaluate",
    "from_onnx",
    "from_torch",
    "load",
    "lock",
    "plot",
    "predict",
    "report",
    "sweep",
    "train",
]

_HOMES = {"Diagnostic": "diagnostics", "FacError": "diagnostics", "SpecError": "diagnostics"} | {
    "Input": "spec.model",
    "ModelSpec": "spec.model",
    "from_onnx": "importing",
    "lock": "lint.lock.naming",
    "plot": "experiments.api.plotting",
    "Trained": "experiments.results",
    "compare": "experiments.api.comparing",
    "evaluate": "experiments.api.trained",
    "predict": "experiments.api.trained",
    "report": "experiments.api.reporting",
    "sweep": "experiments.api.comparing",
    "train": "experiments.api.training",
    "from_torch": "importing",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: a module of `fac` loads this one first, and may need none of it."""
    if name not in __all__:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(import_module(f"fac.{_HOMES.get(name, 'pipeline')}"), name)


def __dir__() -> list[str]:
    """What a person asks for; not the modules that have been imported on the way."""
    return [*__all__]
