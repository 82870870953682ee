"""`fac init`: a starter that is a good spec."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

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
    with pytest.raises(FacError, match=r"cannot write `file/spec.fac.yaml`: "):
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
    with pytest.raises(FacError, match=r"cannot write `no/such/spec.fac.yaml`: no such file or directory"):
        init("no/such/spec.fac.yaml")


# -- --ci ------------------------------------------------------------------------------------------------------

WRITTEN = ["specs/digits.fac.yaml", "fac.toml", ".github/workflows/fac.yml", ".gitlab-ci.yml"]
WRITTEN += [".pre-commit-config.yaml"]


def test_a_repository_that_checks_its_specs(folder: Path) -> None:
    lines = init("--ci").splitlines()
    assert lines[:6] == [*(f"wrote {name}" for name in WRITTEN), ""]
    assert lines[6:8] == ["next:", "  fac check"]
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == sorted(WRITTEN)
    assert pipeline.check(folder / WRITTEN[0]) == ()
    for name in WRITTEN:
        text = (folder / name).read_text()
        assert "@" not in text.replace("actions/", "").replace("@v", "").replace("upload-sarif", ""), name
        assert (f"fac-compiler=={version('fac-compiler')}" in text) == (name in WRITTEN[2:])


def test_a_repository_in_a_new_folder(folder: Path) -> None:
    printed = init("--ci", "my nets/new")
    assert "wrote my nets/new/fac.toml\n" in printed
    assert "next:\n  cd 'my nets/new'\n  fac check\n" in printed


def test_what_a_repository_has_is_kept(folder: Path) -> None:
    (folder / ".gitlab-ci.yml").write_text("mine")
    printed = init("--ci")
    assert "kept  .gitlab-ci.yml, which exists\n" in printed
    assert "wrote fac.toml\n" in printed
    assert "see what `fac init --ci new-folder/` writes" in printed
    assert (folder / ".gitlab-ci.yml").read_text() == "mine"
    with pytest.raises(FacError, match=r"all files exist in `\.`: `--force` overwrites them"):
        init("--ci")
    init("--ci", "--force")
    assert "mine" not in (folder / ".gitlab-ci.yml").read_text()


def test_settings_that_exist_are_not_doubled(folder: Path) -> None:
    """A folder with two files of settings would be refused by `fac check`."""
    (folder / "pyproject.toml").write_text("[tool.fac]\nignore = ['FAC316']\n")
    assert "fac.toml" not in init("--ci")
    assert not (folder / "fac.toml").exists()
    (folder / "pyproject.toml").write_text("[tool.other]\n")
    assert "wrote fac.toml" in init("--ci")


def test_the_settings_that_are_suggested_are_right(folder: Path) -> None:
    from fac.lint.settings import load

    init("--ci")
    (folder / "team").mkdir()
    (folder / "team/policy.toml").write_text("")
    text = (folder / "fac.toml").read_text()
    (folder / "fac.toml").write_text(re.sub(r"^# (?=[a-z_-]+ = )", "", text, flags=re.MULTILINE))
    settings = load("fac.toml", ".")
    assert settings.fail_on == "warning"
    assert settings.policy.constraints
    assert pipeline.check(folder / WRITTEN[0], policy=settings.policy) == ()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("x.fac.yaml", "`x.fac.yaml` is the name of a spec: `--ci` takes the folder of a repository"),
        ("file/x", "cannot write `file/x/specs/digits.fac.yaml`: not a directory"),
    ],
)
def test_a_repository_that_cannot_be_written(folder: Path, path: str, message: str) -> None:
    (folder / "file").write_text("")
    with pytest.raises(FacError) as caught:
        init("--ci", path)
    assert str(caught.value) == message


def test_below_the_top_of_a_repository(folder: Path) -> None:
    (folder / ".git").mkdir()
    assert "at the top" not in init("--ci")
    assert init("--ci", "nets").endswith(
        f"\nA CI reads its files at the top of the repository only: move them to `{folder}`.\n"
    )


def test_what_a_ci_installs(folder: Path) -> None:
    """In a line of shell and in a list of YAML, whatever is in its name."""
    source = "fac-compiler[viz] @ git+https://example.org/it's: /fac@1 #egg"
    for wrong in (" ", "a\nb"):
        assert CliRunner().invoke(COMMAND, ("--ci", "--install", wrong)).exit_code == 2
    assert CliRunner().invoke(COMMAND, ("--install", source)).exit_code == 2
    init("--ci", "--install", source)
    read = YAML(typ="safe").load
    (job,) = read((folder / ".github/workflows/fac.yml").read_text())["jobs"].values()
    (step,) = [step["run"] for step in job["steps"] if "install" in step.get("run", "")]
    assert shlex.split(step) == ["pip", "install", source]
    assert shlex.split(read((folder / ".gitlab-ci.yml").read_text())["fac"]["script"][0]) == shlex.split(step)
    (repo,) = read((folder / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["additional_dependencies"] for hook in repo["hooks"]] == [[source]] * 2


# -- --plugin --------------------------------------------------------------------------------------------------


def ran(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_tests_of_plug_ins_pass_at_once_and_two_go_together(folder: Path) -> None:
    """In one process, as a repository of several has them; and a spec may use both."""
    printed = init("--plugin", "mine")
    assert printed.splitlines()[:3] == [
        f"wrote mine/{name}" for name in ("mine.py", "test_mine.py", "mine.fac.yaml")
    ]
    init("--plugin", "deep/other")
    texts = "".join(file.read_text("utf-8") for file in folder.rglob("*.*") if file.is_file())
    assert "PLUGIN" not in texts
    ended = ran(folder, "pytest", "-q", "-p", "no:cacheprovider")
    assert ended.returncode == 0, ended.stdout
    assert "12 passed" in ended.stdout
    both = ("--plugin", "mine/mine.py", "--plugin", "deep/other/other.py")
    ended = ran(folder, "fac", "check", "--fail-on", "warning", *both, "--set", "update.rule=other_signum")
    assert (ended.returncode, ended.stdout) == (0, "no findings in 2 files\n"), ended.stdout + ended.stderr


def test_what_a_plug_in_test_finds(folder: Path) -> None:
    """The tests that are written can fail: at an equation, and at what a kind says of itself."""
    init("--plugin", "mine")
    file = folder / "mine/mine.py"
    text = file.read_text("utf-8")
    for right, wrong, named in (
        ("b.mul(x, 2 / 3)", "b.mul(x, 3 / 2)", "test_it_keeps_the_laws_of_its_family[mine_squash]"),
        ("-rule.rate)", "rule.rate)", "test_a_step_is_that_of_the_equations"),
        ('{"B": matrix.learn}', "{}", "test_it_keeps_the_laws_of_its_family[mine_binary]"),
    ):
        assert text.count(right) == 1
        file.write_text(text.replace(right, wrong), "utf-8")
        ended = ran(folder, "pytest", "-q", "-p", "no:cacheprovider", f"mine/test_mine.py::{named}")
        assert ended.returncode == 1
        assert f"FAILED mine/test_mine.py::{named}" in ended.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mine.py",
            "`mine.py` is no name for a plug-in: its folder and its kinds take a Python name, `my_rule`",
        ),
        ("my-rule", "`my-rule` is no name for a plug-in"),
        ("class", "`class` is no name for a plug-in"),
        ("über", "`über` is no name for a plug-in"),
        ("..", "`..` is no name for a plug-in"),
        ("json", "a module of Python's is called `json`, which the plug-in would hide: take another name"),
        ("deep/numpy", "a module of Python's is called `numpy`"),
    ],
)
def test_a_name_that_no_plug_in_can_have(folder: Path, name: str, message: str) -> None:
    with pytest.raises(FacError, match=re.escape(message)):
        init("--plugin", name)
    assert not list(folder.iterdir())


def test_what_a_plug_in_has_is_kept(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine/test_mine.py").write_text("own")
    lines = init("--plugin", "mine").splitlines()
    assert lines[:3] == [
        "wrote mine/mine.py",
        "kept  mine/test_mine.py, which exists",
        "wrote mine/mine.fac.yaml",
    ]
    assert (folder / "mine/test_mine.py").read_text() == "own"
    with pytest.raises(FacError, match=r"all files exist in `mine`: `--force` overwrites them"):
        init("--plugin", "mine")
    init("--plugin", "mine", "--force")
    assert (folder / "mine/test_mine.py").read_text() != "own"


@pytest.mark.parametrize("other", ["--ci", "other.fac.yaml"])
def test_a_plug_in_alone(other: str) -> None:
    found = CliRunner().invoke(COMMAND, ["--plugin", "mine", other])
    assert found.exit_code == 2
    assert "--plugin names the folder that it writes: remove " in found.stderr
