"""The torch backend: straight-line source for PyTorch, on the CPU or CUDA. Importing this does not import torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import BufferedReader
from typing import Any

from fac.backend import Array, Artifact, Compiled, Module, Precision
from fac.diagnostics import FacError
from fac.step.transform import Pass


class TorchBackend:
    """Usable where torch is installed."""

    name = "torch"
    summary = "straight-line PyTorch source, CPU or CUDA"
    default_precision: Precision = "float32"
    imports = "torch"

    def devices(self) -> tuple[str, ...]:
        """CUDA first, if it is there."""
        require_torch()
        from fac_torch.device import available

        return available()

    def ops(self, precision: Precision) -> frozenset[str]:
        """Those with a template, and those that the emitter writes as literals."""
        from fac_torch.templates import TEMPLATES

        return frozenset({*TEMPLATES, "constant", "batch_size"})

    def passes(self) -> tuple[Pass[Any], ...]:
        """Those of `fac_torch.passes`."""
        require_torch()
        from fac_torch.passes import PASSES

        return PASSES

    def emit(self, compiled: Compiled, precision: Precision) -> Artifact:
        """`step.py` and its companions."""
        require_torch()
        from fac_torch.artifact import TorchArtifact

        return TorchArtifact(compiled, precision)

    def module(self, made: Any, sample: Sequence[Array]) -> Module:
        """A `torch.nn.Module`, by `torch.export`."""
        require_torch()
        from torch.nn import Module as Made

        from fac_torch.reading import TorchModule

        if not isinstance(made, Made):
            raise FacError(f"a `torch.nn.Module` is needed, and this is a `{type(made).__name__}`")
        return TorchModule(made, sample)

    def saved(self, arrays: Mapping[str, Array]) -> bytes:
        """As `torch.save` writes a `state_dict`."""
        require_torch()
        from fac_torch.reading import saved

        return saved(arrays)

    def loaded(self, file: BufferedReader, name: str) -> dict[str, Array]:
        """A `state_dict` as `torch.save` writes it, by `torch.load(..., weights_only=True)`."""
        require_torch()
        from fac_torch.pickled import loaded

        return loaded(file, name)


def require_torch() -> None:
    """Say how to get torch if it is missing.

    Raises:
        FacError: torch is not installed.
    """
    if find_spec("torch") is None:
        raise FacError('backend `torch` needs torch: pip install "fac-compiler[torch]"')


BACKEND = TorchBackend()
