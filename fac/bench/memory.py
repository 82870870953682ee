"""The peak of memory of a process that builds a contender and makes some steps.

    python -m fac.bench.memory CASE CONTENDER THREADS PRODUCTS

is such a process. It does the same with a tiny network first, so that what is counted is what the network takes, and
neither imports nor libraries that are opened late; opening a session counts.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from signal import Signals

from fac.bench.contenders.base import UnfitError

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
STEPS = 3


def peak(case: str, contender: str, threads: int, products: str) -> float:
    """MiB.

    Raises:
        UnfitError: the system does not say, or the process fails; with what it said last.
    """
    command = [sys.executable, "-m", "fac.bench.memory", case, contender, str(threads), products]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if ended.returncode < 0:
        raise UnfitError(f"a process that builds it ended by {Signals(-ended.returncode).name}")
    if ended.returncode:
        last = [line for line in ended.stderr.splitlines() if line.strip()][-1:]
        raise UnfitError(
            f"a process that builds it ended with {', '.join(last) or f'status {ended.returncode}'}"
        )
    if not ended.stdout:
        raise UnfitError("this system does not tell the memory of a process")
    return float(ended.stdout)


def resident(of: str) -> float | None:
    """MiB of this process now (`VmRSS`), or at most so far (`VmHWM`). `getrusage` counts who started it, too."""
    try:
        found = re.search(rf"{of}:\s*(\d+) kB", STATUS.read_text())
    except OSError:
        return None
    return None if found is None else int(found[1]) / 1024


def added(name: str, contender: str, threads: int, products: str) -> float | None:
    """MiB that a case takes at most above what is there by then."""
    import torch

    from fac.bench import cases
    from fac.bench.contenders import every

    torch.set_num_threads(threads)
    case, small = cases.made(name)
    before = None
    for each in (small, case):
        if each is case:
            RESET.write_text("5")  # the peak is that of now
            before = resident("VmRSS")
        (entry,) = [one for one in every(each, [*each.rules], products, peers=True) if one.name == contender]
        built = entry.build(each, None, "float32")
        built.steps([built.place(*batch) for batch in each.batches(STEPS, "float32")])
    most = resident("VmHWM")
    return None if most is None or before is None else most - before


if __name__ == "__main__":
    if (found := added(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])) is not None:
        print(found)
