"""The conformance suite that every backend proves itself on, in its own repository too. It runs under pytest.

The whole file of a backend's author:

    class TestMine(BackendConformance):
        backend = mine.BACKEND
        gaps = frozenset({"op/erf(f[N, 3])@float64"})

Each case is a small fixed input; what is expected of it the reference says on the spot, or another answer of the
backend itself. A case in `gaps` has to be refused with a clear error: one that starts to work fails here.
"""

from fac.testing.declarations import check_declarations
from fac.testing.suite import BackendConformance

__all__ = ["BackendConformance", "check_declarations"]
