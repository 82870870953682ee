"""The reference on the shipped suite: trivial where it is compared with itself, but not where answers must be alike."""

from __future__ import annotations

import fac_reference
from fac.testing import BackendConformance


class TestReference(BackendConformance):
    backend = fac_reference.BACKEND
