"""What a measure is about: by that curves are picked (`fac plot --what`), and stand together in a report."""

from __future__ import annotations

TOPICS = ("loss", "accuracy", "alignment", "rank", "energy", "time", "other")
"""In the order of a report."""
_LAST = {
    "loss": "loss",
    "accuracy": "accuracy",
    "captured_energy": "energy",
    "seconds": "time",
    "step_ms": "time",
}
_ANGLES = ("cosine", "cosine_sd", "matrix_cosine", "angle", "matrix_angle")


def topic(measure: str) -> str:
    """Which of `TOPICS` a measure is about, such as `error.cosine`: its last word says so, or the one before."""
    *before, last = measure.split(".")
    if last in _ANGLES:
        return "alignment"
    return "rank" if "rank" in before else _LAST.get(last, "other")
