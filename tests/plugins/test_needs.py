"""`needs` in `fac.toml`: a plug-in that is not there is told, and none is run because a file says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from fac.diagnostics import FacError
from fac.lint.settings import load
from tests.forked import python

MINE = Path(__file__).parent / "mine.py"
SPEC = """\
fac: 1
name: small
input: {shape: [4]}
layers: [{kind: linear, name: fc1, out: 6}, {kind: relu}, {kind: linear, name: out, out: 3}]
loss: {kind: cross_entropy}
feedback: {rule: bp}
update: {rule: sgd, lr: 0.1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository, its specs in a folder, and a plug-in that leaves a trace where it is run."""
    (tmp_path / "rules").mkdir()
    trace = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
    text = MINE.read_text("utf-8").replace("from __future__ import annotations\n", "")
    (tmp_path / "rules/mine.py").write_text(f"{trace}{text}", "utf-8")
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/small.fac.yaml").write_text(SPEC)
    (tmp_path / "specs/other.fac.yaml").write_text(SPEC)
    (tmp_path / "fac.toml").write_text('needs = ["rules/mine.py"]\n')
    return tmp_path


def check(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    ended = python(folder, "-m", "fac", "check", *arguments, **environment)
    return ended.returncode, ended.stdout, ended.stderr


def test_it_is_told_once_and_not_run(folder: Path) -> None:
    status, _, err = check(folder)
    assert status == 2
    assert err.splitlines() == [
        "fac: `fac.toml` says that specs need the plug-in `rules/mine.py`, which is not loaded: name it by "
        "`--plugin rules/mine.py`, or in the environment, `FAC_PLUGINS`"
    ]
    assert not (folder / "ran").exists()
    status, _, err = check(folder / "specs")  # paths are from where one stands
    assert status == 2
    assert "`--plugin ../rules/mine.py`" in err
    assert not (folder / "ran").exists()


def test_where_it_is_named_specs_are_checked(folder: Path) -> None:
    clean = (0, "no findings in 2 files\n", "")
    assert check(folder, "--plugin", "rules/mine.py") == clean
    assert (folder / "ran").exists()
    assert check(folder, FAC_PLUGINS="rules/mine.py") == clean
    assert check(folder, "--isolated") == clean


def test_a_file_that_is_extended_names_its_own(folder: Path) -> None:
    (folder / "rules/policy.toml").write_text('needs = ["mine.py"]\n')
    (folder / "fac.toml").write_text('extends = "rules/policy.toml"\n')
    status, _, err = check(folder)
    assert (status, "`rules/policy.toml` says that specs need the plug-in `rules/mine.py`" in err) == (
        2,
        True,
    )
    assert check(folder, "--plugin", "rules/mine.py")[0] == 0


def test_a_distribution(folder: Path) -> None:
    (folder / "fac.toml").write_text('needs = ["my.Rules"]\n')
    status, _, err = check(folder)
    assert status == 2
    assert err == (
        "fac: `fac.toml` says that specs need kinds of the distribution `my.Rules`, and it is not installed, or "
        "declares none: `pip install my.Rules`\n"
    )
    (folder / "my_rules.py").write_text("KINDS = ()\n")
    about = folder / "my_rules-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-rules\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[fac.layers]\nmine = my_rules:KINDS\n")
    assert check(folder, PYTHONPATH=str(folder))[0] == 0


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            '["my-rules>=1"]',
            "`needs` names `my-rules>=1`, which is neither a Python file, `rules/mine.py`, nor the name",
        ),
        ('[""]', "`needs` names ``, which is neither"),
        ('"mine.py"', "needs"),
    ],
)
def test_what_names_nothing(said: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "fac.toml").write_text(f"needs = {said}\n")
    with pytest.raises(FacError) as caught:
        load(str(tmp_path / "fac.toml"), str(tmp_path))
    assert message in str(caught.value)
