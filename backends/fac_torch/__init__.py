"""The torch backend: straight-line source for PyTorch, on the CPU or CUDA. Importing this does not import torch."""

from __future__ import annotations

from importlib.util import find_spec

from fac.backend import Artifact, Compiled, Precision
from fac.diagnostics import FacError


class TorchBackend:
    """Usable where torch is installed."""

    name = "torch"
    summary = "straight-line PyTorch source, CPU or CUDA"
    default_precision: Precision = "float32"

    def devices(self) -> tuple[str, ...]:
        """CUDA first, if it is there."""
        require_torch()
        from fac_torch.device import available

        return available()

    def ops(self, precision: Precision) -> frozenset[str]:
        """Those with a template, and those that the emitter writes as literals."""
        from fac_torch.templates import TEMPLATES

        return frozenset({*TEMPLATES, "constant", "batch_size"})

    def emit(self, compiled: Compiled, precision: Precision) -> Artifact:
        """`step.py` and its companions."""
        require_torch()
        from fac_torch.artifact import TorchArtifact

        return TorchArtifact(compiled, precision)


def require_torch() -> None:
    """Say how to get torch if it is missing.

    Raises:
        FacError: torch is not installed.
    """
    if find_spec("torch") is None:
        raise FacError('backend `torch` needs torch: pip install "fac-compiler[torch]"')


BACKEND = TorchBackend()
