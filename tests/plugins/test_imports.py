"""Plug-ins that cannot be imported, or are none: one message with the entry point, the distribution and the file."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoints, distributions, entry_points
from pathlib import Path

import pytest

from fac import plugins
from fac.diagnostics import FacError

SWISH = """\
from typing import Literal
from fac.program.kinds import LayerKind, ProbeKind
from fac.spec.layers import Layer
class Swish(Layer):
    kind: Literal["swish"] = "swish"
"""
WHO = "plug-in `act` ({value}, of `broken 0.3`) of group `fac.layers`"

CASES = {
    "a module that is not there": (
        "absent:KINDS",
        None,
        "cannot be imported: no module `absent` is found in `",
    ),
    "another module that is not there": (
        "mine:KINDS",
        "import numppy\n",
        "cannot be imported from `mine.py`, at mine.py:1: ModuleNotFoundError: No module named 'numppy'",
    ),
    "no Python": (
        "mine:KINDS",
        "x = 1\nKINDS = (\n",
        "cannot be imported from `mine.py`: SyntaxError: '(' was never closed (mine.py, line 2)",
    ),
    "an exception": (
        "mine:KINDS",
        "\n\nKINDS = {}['x']\n",
        "cannot be imported from `mine.py`, at mine.py:3: KeyError: 'x'",
    ),
    "an end of the program": (
        "mine:KINDS",
        "import sys\nsys.exit(0)\n",
        "cannot be imported from `mine.py`, at mine.py:2: SystemExit: 0",
    ),
    "no name at all": ("mine KINDS", "KINDS = ()\n", "names nothing: `module:object` is needed"),
    "a kind without a function": (
        "mine:KINDS",
        SWISH + 'KINDS = (LayerKind("swish", Swish, print, None),)\n',
        "declares LayerKind 'swish' whose `forward` is None: a function is needed",
    ),
    "another name": ("mine:KINDS", "KIND = ()\n", "cannot be imported from `mine.py`: AttributeError: "),
    "one kind": (
        "mine:KINDS",
        SWISH + 'KINDS = LayerKind("swish", Swish, None, None)\n',
        "names a LayerKind: a tuple of kinds is needed",
    ),
    "a model": (
        "mine:KINDS",
        SWISH + "KINDS = (Swish,)\n",
        "declares the model `Swish` in the place of its kind: a `LayerKind` or `BlockKind` that names it is needed",
    ),
    "a kind of another group": (
        "mine:KINDS",
        SWISH + 'KINDS = (ProbeKind("swish", Swish, None),)\n',
        "declares a ProbeKind: a `LayerKind` or `BlockKind` is needed",
    ),
    "a kind of another name": (
        "mine:KINDS",
        SWISH + 'KINDS = (LayerKind("mish", Swish, None, None),)\n',
        "declares LayerKind 'mish' whose model does not say so: `kind: Literal['mish'] = 'mish'` is needed",
    ),
    "a kind that is there": (
        "mine:KINDS",
        SWISH.replace("swish", "relu") + 'KINDS = (LayerKind("relu", Swish, print, print),)\n',
        "`relu` of group `fac.layers` is declared by both `fac.layers:KINDS` and `mine:KINDS`",
    ),
}


def install(home: Path, value: str, source: str | None) -> None:
    """A distribution with one entry point, and its module if it has one."""
    info = home / "broken-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text(f"[fac.layers]\nact = {value}\n")
    if source is not None:
        (home / "mine.py").write_text(source)


@pytest.mark.parametrize(("value", "source", "said"), CASES.values(), ids=CASES)
def test_what_cannot_be_used_is_told_with_its_file(
    value: str, source: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, value, source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    importlib.invalidate_caches()
    (own,) = distributions(path=[str(tmp_path)])
    core = [point for point in entry_points(group="fac.layers") if point.name == "core"]
    found = EntryPoints([*core, *own.entry_points])
    monkeypatch.setattr(plugins, "_installed", lambda: found)
    with pytest.raises(FacError, match=re.escape(said)) as error:
        plugins._found.__wrapped__("fac.layers")
    assert said.startswith("`relu`") or str(error.value).startswith(WHO.format(value=value))


def test_every_command_says_so(tmp_path: Path) -> None:
    install(tmp_path, "mine:KINDS", "import numppy\n")
    ended = subprocess.run(
        [sys.executable, "-m", "fac", "schema"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert not ended.stdout
    said = "cannot be imported from `mine.py`, at mine.py:1: ModuleNotFoundError: No module named 'numppy'"
    assert ended.stderr == f"fac: {WHO.format(value='mine:KINDS')} {said}\n"


def test_an_installation_that_is_older_than_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A family that has come since has no entry point in it, and even the core's kinds are not found."""
    monkeypatch.setattr(plugins, "_installed", lambda: EntryPoints([]))
    with pytest.raises(FacError, match=r"declares kinds of `fac\.solve`, not even fac: .* install it anew"):
        plugins._found.__wrapped__("fac.solve")
