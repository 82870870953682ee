"""`python -m tests.hostile CASES REPORT`: command lines, each in a process of its own under limits, and what they did.

CASES is JSON, `[[folder, [argument, ...]], ...]`; REPORT gets `[[status, out, err, [path read or written, ...]], ...]`.
The processes are forks of this one, which has imported what commands import. No socket can be opened, and what is
written outside of the folder ends it with status 99 (`sealed.py`).
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from tests import sealed

SECONDS = 10
"""Of CPU time, and of waiting a few times as many."""
MEMORY = 400_000_000
"""Bytes beyond what the process has when it begins."""

WARM = {
    "fac": 1,
    "name": "warm",
    "input": {"shape": [2]},
    "layers": [{"kind": "linear", "out": 2}],
    "loss": {"kind": "cross_entropy"},
    "update": {"rule": "sgd", "lr": 0.1},
}
Found = tuple[int, str, str, list[str]]


def ran(folder: str, arguments: list[str], main: Callable[[], None], watch: Callable[..., None]) -> Found:
    """One command line."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as opened:
        child = os.fork()
        if not child:
            try:
                _limited(folder, (out.fileno(), err.fileno()))
                sys.addaudithook(_noting(opened.fileno()))
                sys.addaudithook(watch)
                sys.argv = ["fac", *arguments]
                main()
            except SystemExit as end:
                sys.stdout.flush()
                os._exit(end.code if isinstance(end.code, int) else 1)
            finally:
                os._exit(98)  # main() ends by an exception, or not at all
        _, status = os.waitpid(child, 0)
        said = []
        for file in (out, err, opened):
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
        return os.waitstatus_to_exitcode(status), said[0], said[1], said[2].split("\0")[:-1]


def _limited(folder: str, streams: tuple[int, int]) -> None:
    os.chdir(folder)
    for number, stream in zip((1, 2), streams, strict=True):
        os.dup2(stream, number)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    signal.alarm(6 * SECONDS)


def _noting(descriptor: int) -> Callable[[str, tuple[Any, ...]], None]:
    def note(event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(details[0], str | bytes):
            os.write(descriptor, os.path.realpath(os.fsencode(details[0])) + b"\0")

    return note


def main() -> None:
    """All of them."""
    from fac import pipeline
    from fac.cli import COMMANDS, fac, main

    for name in COMMANDS:
        fac.get_command(click.Context(fac), name)
    for name in (
        "torch",
        "fac.training.loop",
        "fac.training.folder",
        "fac.lint.schema",
        "fac.render.findings.full",
    ):
        import_module(name)
    pipeline.compile(WARM, "reference")  # what is built when it is first used, is built once
    gc.freeze()
    cases, report = sys.argv[1:]
    found = []
    sealed.no_sockets()
    for folder, arguments in json.loads(Path(cases).read_text()):
        sealed.HERE = os.path.realpath(folder)
        found.append(ran(folder, arguments, main, sealed.watch))
    Path(report).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
