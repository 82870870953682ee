"""`fac` within this process, as the tests of the command line have it."""

from tests.cli.conftest import run, spec

__all__ = ["run", "spec"]
