"""`fac init`: a starter that is a good spec."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fac import pipeline
from fac.cli.init import COMMAND
from fac.diagnostics import FacError


def init(*arguments: str) -> str:
    return CliRunner().invoke(COMMAND, arguments, catch_exceptions=False).stdout


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_starter_has_no_findings(folder: Path) -> None:
    printed = init()
    file = folder / "spec.fac.yaml"
    assert pipeline.check(file) == ()
    assert file.read_text().startswith("# yaml-language-server: $schema=")
    for command in ("check", "show", "train"):
        assert f"  fac {command} spec.fac.yaml\n" in printed


def test_a_folder_and_a_name(folder: Path) -> None:
    (folder / "my specs").mkdir()
    assert "fac check 'my specs/spec.fac.yaml'" in init("my specs")
    for name in ("other.fac.yaml", "other.fac.yml"):
        init(name)
        assert (folder / name).is_file()


def test_a_folder_is_made(folder: Path) -> None:
    assert "fac check new/deep/spec.fac.yaml" in init("new/deep/")
    assert (folder / "new/deep/spec.fac.yaml").is_file()
    (folder / "file").write_text("")
    with pytest.raises(FacError, match=r"`file/spec.fac.yaml` cannot be written: "):
        init("file/")


@pytest.mark.parametrize("name", ["newdir", "spec.yaml", "deep/x.fac.json"])
def test_a_name_that_check_would_not_find(folder: Path, name: str) -> None:
    with pytest.raises(FacError) as caught:
        init(name)
    stem = {"newdir": "newdir", "spec.yaml": "spec", "deep/x.fac.json": "deep/x"}[name]
    assert str(caught.value) == (
        f"`{name}` is no name for a spec, which `fac check .` would not find: write `{stem}.fac.yaml`, or "
        f"`{name}/` for a folder"
    )
    assert not (folder / name).exists()


def test_an_existing_file_is_kept(folder: Path) -> None:
    (folder / "spec.fac.yaml").write_text("mine")
    with pytest.raises(FacError, match=r"`spec.fac.yaml` exists: `--force` overwrites it"):
        init()
    assert (folder / "spec.fac.yaml").read_text() == "mine"
    init("--force")
    assert (folder / "spec.fac.yaml").read_text() != "mine"


def test_a_place_that_cannot_be_written() -> None:
    with pytest.raises(
        FacError, match=r"`no/such/spec.fac.yaml` cannot be written: no such file or directory"
    ):
        init("no/such/spec.fac.yaml")
