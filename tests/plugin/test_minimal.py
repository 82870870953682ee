"""The minimal backend on the suite that ships with fac."""

from __future__ import annotations

import fac_minimal

from fac.testing import BackendConformance


class TestMinimal(BackendConformance):
    backend = fac_minimal.BACKEND
    gaps = frozenset(
        {
            "op/erf(f[N, 3])",
            "op/erf(f[])",
            "op/gelu(f[N, 3])",
            "op/gelu_input(f[N, 3], f[N, 3])",
            "op/host(f[N, 3], call=fac.testing.halves, width=2)",
            "op/round_to(f[N, 3], to=bfloat16)",
            "op/round_to(f[2, 3, 2], to=bfloat16)",
            "layer/erf",
            "layer/gelu",
            "step/mixed precision x bp",
            "step/mixed precision x ldfa_oja_kp",
            "step/mixed precision x maps",
        }
    )
