"""Every rule has a folder: a bad spec with what `fac check` prints, to the character, and a good one without findings.

`FAC_UPDATE_GOLDEN=1 pytest` writes the expected output anew.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from fac.checks.pages import Page, pages
from fac.cli.check import COMMAND
from tests.forked import python

FOLDERS = sorted(path for path in Path(__file__).parent.iterdir() if path.name.startswith("FAC"))


def check(folder: Path, *arguments: str) -> str:
    """Standard output of `fac check` in a folder, with the arguments that the folder asks for.

    Plug-ins are found once per process: a folder with one, in `site`, needs a process of its own.
    """
    more = folder / "arguments.txt"
    arguments += tuple(more.read_text("utf-8").split()) if more.exists() else ()
    site = folder / "site"
    if not site.is_dir():
        here = Path.cwd()
        os.chdir(folder)
        try:
            result = CliRunner().invoke(COMMAND, arguments)
        finally:
            os.chdir(here)
        assert not result.exception or isinstance(result.exception, SystemExit)
        return result.stdout
    return python(folder, "-m", "fac", "check", *arguments, PYTHONPATH=str(site)).stdout


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_bad_file_is_reported(folder: Path) -> None:
    golden = folder / "expected.txt"
    actual = check(folder, "bad.yaml")
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        golden.write_text(actual, "utf-8")
    assert actual == golden.read_text("utf-8")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_bad_file_has_this_finding_and_no_other(folder: Path) -> None:
    found = json.loads(check(folder, "bad.yaml", "--json"))
    assert {row["code"] for row in found["findings"]} == {folder.name}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_good_file_is_clean(folder: Path) -> None:
    ignored = {"FAC109": ", 2 ignored", "FAC110": ", 1 ignored"}.get(folder.name, "")
    assert check(folder, "good.yaml") == f"no findings in 1 file{ignored}\n"


def test_folders_are_exactly_the_rules() -> None:
    codes = [page.rule.code for page in pages()]
    assert codes == sorted(set(codes)), "a code names one rule"
    assert [folder.name for folder in FOLDERS] == codes


@pytest.mark.parametrize("page", pages(), ids=lambda p: p.rule.code)
def test_help_page_says_what_is_bad_and_what_is_good(page: Page) -> None:
    assert re.search(r"^Bad\b", page.help, re.MULTILINE)
    assert re.search(r"^Good\b", page.help, re.MULTILINE)
    assert page.rule.name == page.rule.name.lower().replace("_", "-")


def test_names_are_unique() -> None:
    names = [page.rule.name for page in pages()]
    assert len(set(names)) == len(names)
