"""`fac show -o` at the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]

BEGINS = {
    "svg": b"<svg xmlns=",
    "png": b"\x89PNG",
    "pdf": b"%PDF",
    "dot": b'digraph "digits-small" {',
    "mmd": b"flowchart TB\n",
}


@pytest.mark.parametrize("suffix", BEGINS)
def test_the_suffix_says_which_kind(run: Run, spec: Path, tmp_path: Path, suffix: str) -> None:
    name = f"graph.{suffix}"
    assert run("show", spec, "-o", name) == (0, f"drew `{name}`\n", "")
    assert (tmp_path / name).read_bytes().startswith(BEGINS[suffix])


def test_the_spec_can_be_edited(run: Run, spec: Path, tmp_path: Path) -> None:
    assert run("show", spec, "--output", "graph.MMD", "--set", "layers.fc1.out=7")[0] == 0
    assert "linear 64 → 7" in (tmp_path / "graph.MMD").read_text("utf-8")


@pytest.mark.parametrize("name", ["graph.gif", "graph", ".svg"])
def test_another_suffix_is_refused(run: Run, spec: Path, tmp_path: Path, name: str) -> None:
    status, out, err = run("show", spec, "-o", name)
    assert (status, out) == (2, "")
    assert err == (
        f"fac: `{name}` does not say which kind of picture it is: "
        "end the name with one of `.svg`, `.png`, `.pdf`, `.dot`, `.mmd`, or add --format\n"
    )
    assert not (tmp_path / name).exists()


def test_standard_output_has_no_suffix(run: Run, spec: Path) -> None:
    status, out, err = run("show", spec, "-o", "-")
    assert (status, out) == (2, "")
    assert err.startswith("fac: standard output does not say which kind of picture it takes: add --format")


def test_a_spec_with_findings_is_not_drawn(run: Run, spec: Path, tmp_path: Path) -> None:
    status, _, err = run("show", spec, "-o", "graph.svg", "--set", "layers.fc1.out=0")
    assert status == 1
    assert "error[" in err
    assert not (tmp_path / "graph.svg").exists()


def test_where_it_cannot_write(run: Run, spec: Path) -> None:
    status, out, err = run("show", spec, "-o", "nowhere/graph.svg")
    assert (status, out) == (2, "")
    assert err == "fac: cannot write `nowhere/graph.svg`: no such file or directory\n"


def test_other_options_are_refused(run: Run, spec: Path) -> None:
    for option in ("--expand", "--updates", "--cost", "--json"):
        status, out, err = run("show", spec, "-o", "graph.svg", option)
        assert (status, out) == (2, "")
        assert "-o draws a picture: leave out other options" in err


@pytest.mark.parametrize("suffix", ["svg", "mmd"])
def test_nothing_heavy_is_imported(spec: Path, suffix: str, tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['fac', 'show', sys.argv[1], '-o', sys.argv[2]]\n"
        "from fac.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    assert not {'torch', 'numpy', 'rich', 'networkx', 'vl_convert'} & sys.modules.keys()\n"
    )
    arguments = [sys.executable, "-c", code, str(spec), str(tmp_path / f"graph.{suffix}")]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
