"""What the README shows is what happens; what the pages link to is there."""

from __future__ import annotations

import re
import sys
from math import ceil
from pathlib import Path
from typing import Any

import click
import pytest

import fac
from fac import source
from fac.checks.pages import pages as pages_of_rules
from fac.cli import COMMANDS, main
from fac.cli import fac as group

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = ("README.md", "CONTRIBUTING.md", "examples/README.md", "benchmarks/README.md", "docs/*.md")
SPEC = "spec.fac.yaml"


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order; `""` is for those that name none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def shown(command: str) -> str:
    """What the README says that a command prints."""
    (text,) = [b.removeprefix(f"$ {command}\n") for b in blocks("") if b.startswith(f"$ {command}\n")]
    return text


(YAML,) = blocks("yaml")
MENDED = YAML.replace("rank: 64", "rank: 10")


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["fac", *arguments])
    with pytest.raises(SystemExit) as leaving:
        main()
    assert isinstance(leaving.value.code, int)
    return leaving.value.code, capsys.readouterr().out


def test_the_spec_is_clean_once_its_finding_is_mended() -> None:
    assert fac.check(source.parse_text(MENDED, SPEC)) == ()


def test_the_finding_is_what_check_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / SPEC).write_text(YAML)
    monkeypatch.chdir(tmp_path)
    status, out = printed(monkeypatch, capsys, "check", SPEC)
    assert status == 1
    assert out == f"{shown(f'fac check {SPEC}')}\n1 error in 1 file, 1 fixable with --fix\n"


def test_the_updates_are_what_show_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / SPEC).write_text(MENDED)
    monkeypatch.chdir(tmp_path)
    status, out = printed(monkeypatch, capsys, "show", "--updates", SPEC)
    assert status == 0
    lines = [line for line in shown(f"fac show --updates {SPEC}").splitlines() if line.strip() != "…"]
    assert len(lines) >= 2
    assert [line for line in lines if line not in out.splitlines()] == []


def test_the_python_runs_as_it_is_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["same"] == fac.load(source.parse_text(MENDED, SPEC))
    trained = names["trained"]
    assert isinstance(trained, fac.Trained)
    assert trained.session.steps == trained.spec.train.epochs * ceil(512 / trained.spec.train.batch)
    session = names["session"]
    assert isinstance(session, fac.backend.Session)
    assert session.steps == 1
    assert {"loss", "accuracy"} == session.evaluate(names["x"], names["y"]).keys()
    assert any(name.endswith(".cosine") for name in session.probe(names["x"], names["y"]))
    session.load_state(session.state())


def calls() -> list[tuple[str, tuple[str, ...]]]:
    """Each command that the README names, with the options named beside it.

    A code span or line that starts with `fac` is a call; in a row of a table, the options in its other cells
    belong to the command of the first.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    for line in README.splitlines():
        spans = re.findall(r"`([^`]+)`", line)
        own = [s for s in spans if s.startswith("fac ")]
        if line.startswith("| `fac "):
            first = line.split("|")[1]
            named = [s for s in own if f"`{s}`" in first]
            options = [s for s in spans if s.startswith("-") and f"`{s}`" not in first]
            assert len(named) == 1 or not options, line
            own = [*own, *(f"{named[0]} {option}" for option in options)]
        bare = line.removeprefix("$ ")
        if bare.startswith("fac ") and not bare.startswith("fac ."):
            own += [part for part in bare.split(" && ") if part.startswith("fac ")]
        for span in own:
            for call in span.split(" && "):
                words = call.removeprefix("fac ").split()
                found.append((words[0], tuple(w.split("=")[0] for w in words[1:] if w.startswith("-"))))
    return found


def test_every_command_exists_with_its_options() -> None:
    assert {name for name, _ in calls()} == set(COMMANDS)
    assert ("train", ("--resume",)) in calls()
    context = click.Context(group)
    for name, options in calls():
        command = group.get_command(context, name)
        assert command, name
        known = {text for parameter in command.params for text in parameter.opts}
        assert set(options) <= known, (name, options)


def test_the_rules_are_counted() -> None:
    (count,) = re.findall(r"\[(\d+) rules\]", README)
    assert int(count) == len(pages_of_rules())


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {n for page in pages() for n in re.findall(r"(?:^|`)make (\w+)", page.read_text(), re.MULTILINE)}
    assert {"demo", "test"} <= named
    assert [name for name in named if f"\n{name}:" not in makefile] == []


def pages() -> list[Path]:
    return [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    relative = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [link for link in relative if not (page.parent / link).exists()] == []
