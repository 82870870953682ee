"""What figures were made on: the processor and the versions of packages."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from fac.build.processor import processor


def machine(packages: Iterable[str]) -> dict[str, str]:
    """Processor, Python, and the version of each package that is installed.

    Args:
        packages: names of distributions. One that is not installed is left out.
    """
    found = {"processor": processor(), "python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
