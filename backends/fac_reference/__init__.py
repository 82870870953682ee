"""The reference backend: an interpreter of the step IR in NumPy. The oracle of all others."""

from __future__ import annotations

from fac.backend import Artifact, Compiled, Precision
from fac_reference.session import ReferenceArtifact


class ReferenceBackend:
    """Always usable; float64 by default."""

    name = "reference"
    summary = "NumPy interpreter of the step IR, the oracle of all backends"
    default_precision: Precision = "float64"

    def devices(self) -> tuple[str, ...]:
        """The CPU."""
        return ("cpu",)

    def ops(self, precision: Precision) -> frozenset[str]:
        """Those of the interpreter."""
        from fac_reference.kernels import KERNELS

        return frozenset(KERNELS)

    def emit(self, compiled: Compiled, precision: Precision) -> Artifact:
        """The functions as they are."""
        return ReferenceArtifact(compiled, precision)


BACKEND = ReferenceBackend()
