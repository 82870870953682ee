"""`python(folder, "-m", "fac", ...)`: Python as a process of its own, which does not have to import fac and torch anew.

It is a fork of one process, begun when it is first asked for, that has imported all modules of fac and has settled
nothing: not which kinds there are, and nothing that depends on the environment.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path
from subprocess import PIPE
from types import ModuleType
from typing import Any

from tests.children import begun

ROOT = Path(__file__).parents[1]
PACKAGES = ("fac", "fac_reference", "fac_torch", "fac_onnx")
APART = ("fac.testing", "fac.__main__")
"""What settles the kinds as it is imported, and what is run."""


def python(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE ...` or `python -c CODE ...` in a folder, with more in its environment."""
    server = _server()
    assert server.stdin
    assert server.stdout
    with tempfile.TemporaryDirectory() as streams:
        out, err = Path(streams, "out"), Path(streams, "err")
        asked = {
            "folder": str(folder),
            "arguments": arguments,
            "environment": dict(os.environ) | environment,
            "streams": (os.devnull, str(out), str(err)),
        }
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(arguments, status, out.read_text("utf-8"), err.read_text("utf-8"))


@cache
def _server() -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return begun([sys.executable, "-m", "tests.forked"], cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE)


def serve() -> None:
    """A fork for each line of the input, until it ends."""
    for package in PACKAGES:
        root = importlib.import_module(package)
        for module in pkgutil.walk_packages(root.__path__, f"{package}."):
            if not module.name.startswith(APART):
                importlib.import_module(module.name)
    importlib.import_module("torch")
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")  # no program that a fork begins gets it
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(ended(json.loads(line)))
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def ended(asked: dict[str, Any]) -> int:
    """The exit status. Python's own end would take all these modules apart, which is a third of a second."""
    status = 0
    try:
        become(**asked)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def become(
    folder: str, arguments: list[str], environment: dict[str, str], streams: tuple[str, str, str]
) -> None:
    """Make this process what it were if it had been begun so."""
    for number, (path, flags) in enumerate(
        zip(streams, (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT] * 2), strict=True)
    ):
        os.dup2(os.open(path, flags, 0o600), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    named = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [folder, *named, *(path for path in sys.path if path not in (str(ROOT), ""))]
    sys.dont_write_bytecode = True
    option, what, *rest = arguments
    sys.argv = [option, *rest]
    main = sys.modules["__main__"] = ModuleType("__main__")
    if option == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(what, vars(main))


if __name__ == "__main__":
    serve()
