"""The ONNX backend: standard graphs of whole training steps. Importing this imports neither onnx nor onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fac.backend import Array, Artifact, Compiled, File, Module, Precision
from fac.step.transform import Pass
from fac_onnx.packages import require_onnx, require_runtime


class OnnxBackend:
    """Usable where onnx and one build of onnxruntime are installed."""

    name = "onnx"
    summary = "standard ONNX graphs of training steps and inference, run with onnxruntime"
    default_precision: Precision = "float32"
    exports = ".onnx"
    imports = "onnx"

    def devices(self) -> tuple[str, ...]:
        """CUDA first, if onnxruntime can open a session there."""
        require_onnx()
        require_runtime()
        from fac_onnx.device import available

        return available()

    def ops(self, precision: Precision) -> frozenset[str]:
        """Those with a template, but for those that onnxruntime lacks on CPUs in this precision."""
        require_onnx()
        from fac_onnx.templates import NO_KERNEL, TEMPLATES

        return frozenset(TEMPLATES) - NO_KERNEL[precision]

    def passes(self) -> tuple[Pass[Any], ...]:
        """Those of `fac_onnx.passes`."""
        require_onnx()
        from fac_onnx.passes import PASSES

        return PASSES

    def emit(self, compiled: Compiled, precision: Precision) -> Artifact:
        """The four functions as graphs."""
        require_onnx()
        from fac_onnx.artifact import OnnxArtifact

        return OnnxArtifact(compiled, precision)

    def opened(self, file: File, shape: Sequence[int] | None) -> tuple[Any, tuple[int, ...], bool]:
        """An ONNX model."""
        require_onnx()
        from fac_onnx.reading import opened

        return opened(file, shape)

    def module(self, made: Any, sample: Sequence[Array]) -> Module:
        """What `opened` gives, traced."""
        require_onnx()
        require_runtime()
        from fac_onnx.reading import OnnxModule

        (batch,) = sample
        return OnnxModule(made, batch)


BACKEND = OnnxBackend()
