"""fac: a declarative compiler for neural networks whose backward pass is explicit."""

from fac.diagnostics import Diagnostic, FacError, SpecError
from fac.pipeline import check, compile, load
from fac.spec.model import Input, ModelSpec

__all__ = ["Diagnostic", "FacError", "Input", "ModelSpec", "SpecError", "check", "compile", "load"]
