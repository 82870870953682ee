"""A clone of this repository, and an index with the wheels that it needs: each is made once for all tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.ci.machine import clean_environment

ROOT = Path(__file__).parents[2]
PINS = ROOT / "requirements/dev.txt"
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@example.org")


def call(*arguments: object, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command that has to succeed; what it printed."""
    command = [str(argument) for argument in arguments]
    ended = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def committed(folder: Path) -> str:
    """Make a repository of a folder, or a commit of what changed in it; its name."""
    environment = clean_environment()
    if not (folder / ".git").exists():
        call("git", "init", "--quiet", "--initial-branch=main", cwd=folder, env=environment)
    call("git", "add", "--all", cwd=folder, env=environment)
    call("git", *IDENTITY, "commit", "--quiet", "--message=test", cwd=folder, env=environment)
    return call("git", "rev-parse", "HEAD", cwd=folder, env=environment).strip()


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree as a repository of its own, with what is not committed yet."""
    folder = tmp_path_factory.mktemp("clone")
    names = call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    committed(folder)
    return folder


@pytest.fixture(scope="session")
def offline(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables for which pip takes the wheel of this tree, and what it needs, from a folder and nothing elsewhere."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--quiet")
    call(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, clone, cwd=folder)
    call(*pip, "download", "--dest", folder, "--constraint", PINS, *needed(), cwd=folder)
    return clean_environment(
        HOME=str(tmp_path_factory.mktemp("home")),  # virtualenv keeps copies there
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=str(folder),
        PIP_CONFIG_FILE=os.devnull,
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_COMPILE="no",  # which to pip says that it compiles nothing: most modules are never imported
        PRE_COMMIT_HOME=str(tmp_path_factory.mktemp("pre-commit")),
    )


def needed() -> Sequence[str]:
    """What an installation from source asks of an index; pre-commit builds a package of its own by setuptools."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[str] = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        "setuptools",
    ]
    return found


@pytest.fixture(scope="session")
def python(offline: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """`offline`, where `python` and `pip` are those of a fresh installation."""
    folder = tmp_path_factory.mktemp("python")
    call(sys.executable, "-m", "venv", folder, cwd=folder, env=offline)
    return offline | {"PATH": f"{folder / 'bin'}{os.pathsep}{offline['PATH']}", "VIRTUAL_ENV": str(folder)}
