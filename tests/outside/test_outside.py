"""The systems in `examples/outside/`: each keeps what it says, on plug-in files of its own.

Each in a process of its own, as what kinds there are is settled in this one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fac.studies.finding import folder_of, names, read
from tests.forked import ROOT, python

HOME = ROOT / "examples" / "outside"
SYSTEMS = [name for name in names() if folder_of(name).parent == HOME]
DOCS = (ROOT / "docs" / "studies.md", ROOT / "examples" / "README.md")


def plugins(name: str) -> str:
    """The files of a system that declare kinds, as `FAC_PLUGINS` names them."""
    files = [file for file in sorted((HOME / name).glob("*.py")) if "\nKINDS = " in file.read_text()]
    return os.pathsep.join(map(str, files))


def test_all_are_studies() -> None:
    assert sorted(SYSTEMS) == sorted(
        folder.name for folder in HOME.iterdir() if (folder / "README.md").is_file()
    )


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_keeps_its_own_tests(name: str, tmp_path: Path) -> None:
    test = HOME / name / f"test_{name}.py"
    ended = python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", str(test))
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_short_form_bears_out_what_it_claims(name: str, tmp_path: Path) -> None:
    ended = python(tmp_path, "-m", "fac", "study", name, "--short", "--backend", "torch")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "✓" in ended.stdout
    assert "✗" not in ended.stdout


@pytest.mark.parametrize("name", SYSTEMS)
def test_its_specs_are_clean(name: str, tmp_path: Path) -> None:
    specs = sorted(map(str, (HOME / name).glob("*.fac.yaml")))
    assert specs
    ended = python(tmp_path, "-m", "fac", "check", *specs, FAC_PLUGINS=plugins(name))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "no findings" in ended.stdout + ended.stderr


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_has_a_page_of_words_and_one_of_results(name: str) -> None:
    words, results = ((HOME / name / file).read_text("utf-8") for file in ("README.md", "results.md"))
    assert "no credit assignment" in words
    assert f"fac study {name}" in words
    assert f"# {read(HOME / name).title}\n" in results
    assert "✗" not in results
    for page in DOCS:
        assert f"outside/{name}/README.md" in page.read_text("utf-8")


@pytest.mark.parametrize("name", SYSTEMS)
def test_nothing_in_the_core_knows_it(name: str) -> None:
    core = [file for home in ("fac", "backends", "schemas") for file in (ROOT / home).rglob("*.py")]
    assert not [file for file in core if name in file.read_text("utf-8")]
