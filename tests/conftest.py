"""What tests of more than one folder need."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(
    "patient"
)  # how long an example takes is a matter of who else is at work on the machine


def pytest_collection_finish() -> None:
    """Six times a test, pytest gives its handlers to every logger that does not propagate: torch has 42 of these."""
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.propagate = True


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def heard() -> Iterator[None]:
    """Signals reach the processes that a test begins, also where these tests run under `nohup` or behind an `&`.

    A process inherits which signals are ignored, and fac leaves those ignored.
    """
    ignored = [number for number in ENDING if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
