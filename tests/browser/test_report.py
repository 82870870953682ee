"""A report as a reader meets it, in a headless Chromium: `make test-browser` installs it and runs this.

`FAC_PICTURES=FOLDER` keeps the pictures and the PDF that are made on the way.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import fac
from fac.experiments.reporting import Report
from fac.render.report.page import SECTIONS
from fac.training.nonfinite import DivergedError
from tests.cli.conftest import DIGITS

ROOT = Path(__file__).parents[2]
BROWSER = Path(os.environ.get("FAC_BROWSER", ROOT / ".cache/browser")).absolute()


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `look.mjs` finds in a report."""
    place = tmp_path_factory.mktemp("page")
    page = place / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        settings = len(made(page).settings)
    for file in ("look.mjs", "package.json"):
        shutil.copy(ROOT / "tests/browser" / file, BROWSER)
    asked = os.environ.get("FAC_PICTURES")
    folder = place if asked is None else Path(asked)
    folder.mkdir(exist_ok=True)
    node = shutil.which("node") or str(BROWSER / "python/bin/node")
    command = [node, str(BROWSER / "look.mjs"), str(page), str(folder), *(["pictures"] if asked else [])]
    # where the browser is unpacked
    there = os.environ | {"TMPDIR": str(BROWSER)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=there)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found | {"settings": settings, "pdf": (folder / "page.pdf").read_bytes()}


def made(page: Path) -> Report:
    """A report of a comparison, a sweep, a run that diverged, and one with a hostile name."""
    spec = "small.fac.yaml"
    Path(spec).write_text(DIGITS)
    probes = ["probes=[{kind: alignment}, {kind: effective_rank}, {kind: captured_energy}]"]
    fac.compare(spec, ["bp", "ldfa"], seeds=2, out="kept", overrides=probes, backend="reference")
    name = "<img src=x onerror=alert(1)>" + "wide" * 40
    fac.train(spec, out=name, overrides=[f"name={json.dumps(name)}"], backend="reference")
    with pytest.raises(DivergedError):
        fac.train(spec, out="away", overrides=["update.lr=1e6"], backend="reference")
    fac.sweep(
        spec,
        {"update.lr": "log:0.01:0.1"},
        ["bp"],
        out="swept",
        trials=2,
        seeds=1,
        overrides=["data.validation=0.1"],
        backend="reference",
    )
    return fac.report(["kept", "swept", name, "away"], page)


def test_nothing_fails_and_nothing_is_asked_for(looked: dict[str, Any]) -> None:
    assert (looked["errors"], looked["requests"]) == ([], [])


@pytest.mark.parametrize("view", ["desktop-light", "desktop-dark", "narrow-light", "narrow-dark"])
def test_it_fits_and_can_be_read(looked: dict[str, Any], view: str) -> None:
    """No scrolling sideways, closed and opened up; every word has the contrast of WCAG 2.2, 1.4.3 (AA)."""
    seen = looked["views"][view]
    assert max(seen["needed"], seen["needed_opened"]) <= seen["width"]
    assert seen["words"] > 300
    assert seen["faint"] == []


def test_without_scripts_all_sections_are_there(looked: dict[str, Any]) -> None:
    assert looked["plain"]["headings"] == [title for _, title, _ in SECTIONS]
    assert looked["plain"]["pictures"] > 10


def test_in_print_what_is_folded_up_is_open(looked: dict[str, Any]) -> None:
    assert looked["print"]["headings"] == [title for _, title, _ in SECTIONS]
    assert looked["print"]["pictures"] == looked["plain"]["pictures"]
    assert looked["plain"]["specs"] == []
    assert len(looked["print"]["specs"]) == looked["settings"] >= 5
    assert any("Each run" in caption for caption in looked["print"]["tables"])


def test_the_pdf_has_all_sections(looked: dict[str, Any]) -> None:
    """By its outline, which Chromium makes of the headings."""
    titles = re.findall(rb"/Title \(([^)]*)\)", looked["pdf"])
    for _, title, _ in SECTIONS:
        assert title.encode() in titles
    assert len(re.findall(rb"/Type /Page\b", looked["pdf"])) > 3
