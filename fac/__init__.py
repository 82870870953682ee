"""fac: a declarative compiler for neural networks whose backward pass is explicit."""

from fac.diagnostics import Diagnostic, FacError, SpecError
from fac.pipeline import check, compile, load

__all__ = ["Diagnostic", "FacError", "SpecError", "check", "compile", "load"]
