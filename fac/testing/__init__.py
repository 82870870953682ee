"""The conformance suite that every backend proves itself on, in its own repository too. It runs under pytest.

The whole file of a backend's author:

    class TestMine(BackendConformance):
        backend = mine.BACKEND
        gaps = frozenset({"op/erf(f[N, 3])@float64"})

Each case is a small fixed input; what is expected of it the reference says on the spot, or another answer of the
backend itself. A case in `gaps` has to be refused with a clear error: one that starts to work fails here.

For authors of kinds there is `check_kind`, of which `check_declarations` is a part. They come without the suite, which
asks what kinds there are when it is imported, so that files of kinds may be loaded behind them.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fac.testing.declarations import check_declarations
    from fac.testing.kinds import check_kind
    from fac.testing.suite import BackendConformance

__all__ = ["BackendConformance", "check_declarations", "check_kind"]

_HOMES = {"BackendConformance": "suite", "check_declarations": "declarations", "check_kind": "kinds"}


def __getattr__(name: str) -> object:
    """Import what is asked for."""
    if name not in __all__:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(import_module(f"fac.testing.{_HOMES[name]}"), name)
