"""`fac` within this process, and results made up."""

from __future__ import annotations

from fac.bench.results import BASELINE, Floor, Measured, Results, Timed
from tests.cli.conftest import run, spec

__all__ = ["results", "run", "spec"]


def results(processor: str = "a processor", **seconds: list[float]) -> Results:
    """One case, two rounds: the baseline takes 4 and 8 seconds, its floor half of that."""
    timed = {
        BASELINE: Timed(rule="bp", seconds=[4.0, 8.0], memory=10.0, deviation=0.0),
        **{
            f"fac {rule}": Timed(rule=rule, seconds=given, memory=None, deviation=1e-3)
            for rule, given in seconds.items()
        },
    }
    case = Measured(
        says="a network",
        command="fac bench x",
        steps=3,
        products="highest",
        timed=timed,
        floors={"bp": Floor(macs=2_000_000, bytes=3_000_000, seconds=[2.0, 4.0])},
        left={"a peer": "it is not installed"},
    )
    return Results(
        machine={"processor": processor, "torch": "2"},
        threads=1,
        clock="CPU time of the process",
        cases={"x": case},
    )
