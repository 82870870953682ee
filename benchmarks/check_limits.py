"""`fac check` under limits, on texts that are made to be hard: the families of `tests/fuzz/families.py`.

    python -m benchmarks.check_limits                                  # every family, size and format: hours
    python -m benchmarks.check_limits --sizes 100000 --formats sarif diff --only chain wide_add

Each run is a process of its own that dies beyond its limits: 2 s of CPU time for each 100 kB, and no less than 2 s;
500 MB of memory. It ends with status 1 if one did, or printed a traceback.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from fac.render.findings import FORMATS
from tests.fuzz.families import FAMILIES, grown

SIZES = (10_000, 100_000, 1_000_000)
DIFF = "diff"
SECONDS = 2.0
"""For each 100 kB."""
MEMORY = 500_000_000
SHOWN = 15


@dataclass(frozen=True)
class Run:
    """What one process took."""

    family: str
    size: int
    format: str
    seconds: float
    memory: int
    fault: str
    """Why it failed; empty if it did not."""

    @property
    def share(self) -> float:
        """Of the limits, the larger one."""
        return max(self.seconds / allowed(self.size), self.memory / MEMORY)


def allowed(size: int) -> float:
    """CPU seconds for a text."""
    return SECONDS * max(1.0, size / 100_000)


def run(file: Path, family: str, size: int, shown_as: str) -> Run:
    """Check one file in a process of its own."""
    options = ["--diff"] if shown_as == DIFF else ["--output-format", shown_as]
    command = [sys.executable, "-m", "fac", "check", "--isolated", *options, file.name]
    # A cached byte code is what users have.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["GITHUB_STEP_SUMMARY"] = str(file.with_suffix(f".{shown_as}.md"))

    def limited() -> None:
        seconds = ceil(allowed(size)) + 1  # a backstop: how much was used is known to the millisecond
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))

    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=file.parent,
            env=environment,
            preexec_fn=limited,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        printed = out.read()
    seconds, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    return Run(
        family, size, shown_as, seconds, memory, _fault(process.returncode, printed, seconds, memory, size)
    )


def _fault(status: int, printed: bytes, seconds: float, memory: int, size: int) -> str:
    if b"Traceback (most recent" in printed or b"internal error" in printed:
        return printed[-200:].decode(errors="replace")
    if status not in (0, 1, 2):
        return f"exit status {status}"
    if memory > MEMORY:
        return f"{memory / 1e6:.0f} MB"
    return f"{seconds:.1f} s" if seconds > allowed(size) else ""


def runs(names: Iterable[str], sizes: Iterable[int], formats: Iterable[str], jobs: int) -> Iterator[Run]:
    """All of them, in their order."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        waiting = []
        for size in sizes:
            for name in names:
                file = Path(folder) / f"{name}_{size}.fac.yaml"
                file.write_bytes(grown(FAMILIES[name], size).encode())
                waiting += [pool.submit(run, file, name, size, shown_as) for shown_as in formats]
        for future in waiting:
            yield future.result()


def main() -> None:
    """Run, and print what came nearest to the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--formats", nargs="+", default=(*FORMATS, DIFF), choices=(*FORMATS, DIFF))
    parser.add_argument(
        "--only", nargs="+", default=tuple(FAMILIES), choices=tuple(FAMILIES), metavar="FAMILY"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    chosen = parser.parse_args()
    done = []
    for one in runs(chosen.only, chosen.sizes, chosen.formats, chosen.jobs):
        done.append(one)
        if one.fault:
            print(f"{one.family} {one.size} {one.format}: {one.fault}", flush=True)
    largest = sorted(done, key=lambda one: one.share, reverse=True)[:SHOWN]
    print(f"\n{'family':24} {'bytes':>9} {'format':>8} {'CPU s':>7} {'MB':>5}")
    for r in largest:
        print(f"{r.family:24} {r.size:9,} {r.format:>8} {r.seconds:7.2f} {r.memory / 1e6:5.0f}")
    failed = sum(bool(one.fault) for one in done)
    print(f"\n{len(done)} runs of {len(chosen.only)} families, {failed} beyond the limits")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
