"""With which versions of what computes a training was made: another one may round otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version

COMPUTES = ("numpy", "torch", "onnxruntime", "onnxruntime-gpu")


def versions() -> dict[str, str]:
    """Those that are installed, by the names of distributions."""
    found = {}
    for name in COMPUTES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def changed(planned: Mapping[str, str], made: Iterable[Mapping[str, str]], what: str) -> tuple[str, ...]:
    """A line on trainings that were made with other versions than the plan was; none where there are none.

    Args:
        planned: the versions of the plan.
        made: those of each training that is over.
        what: these are called, as `runs`.
    """
    others = Counter(
        f"{name} {now.get(name, 'not installed')} instead of {planned.get(name, 'none')}"
        for now in made
        for name in sorted(planned.keys() | now.keys())
        if now.get(name) != planned.get(name)
    )
    if not others:
        return ()
    told = ", ".join(f"{text} in {many}" for text, many in others.items())
    return (
        f"{what} were made with other versions than those before, equal up to rounding, not bit for bit: {told}",
    )
