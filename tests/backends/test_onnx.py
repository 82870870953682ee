"""The ONNX backend against the reference: the shipped suite."""

from __future__ import annotations

import fac_onnx
from fac.testing import BackendConformance


class TestOnnx(BackendConformance):
    """onnxruntime has no float64 `Erf` on CPUs (tests/backends/test_onnx_emit.py runs it by other means).

    A graph that it runs as a whole has no two halves between which the host could do something.
    """

    backend = fac_onnx.BACKEND
    gaps = frozenset(
        f"{case}@float64"
        for case in (
            "layer/erf",
            "layer/gelu",
            "op/gelu(f[N, 3])",
            "op/gelu_input(f[N, 3], f[N, 3])",
            "op/erf(f[N, 3])",
            "op/erf(f[])",
        )
    ) | {"op/host(f[N, 3], call=fac.testing.halves, width=2)"}
