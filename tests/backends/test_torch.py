"""Torch on the shipped suite."""

from __future__ import annotations

import fac_torch
from fac.testing import BackendConformance


class TestTorch(BackendConformance):
    backend = fac_torch.BACKEND
