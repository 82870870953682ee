"""Commands in the README of a study train specs that compile, even if their data are not on this machine."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import fac
from fac.studies.finding import folder_of, names
from fac_torch.artifact import TorchArtifact

ROOT = Path(fac.__file__).parents[1]
COMMANDS = [
    line
    for name in names()
    if folder_of(name).parent.name == "papers"
    for line in (folder_of(name) / "README.md").read_text().splitlines()
    if line.startswith("fac train ")
]


def test_all_rows_of_the_resnet_have_a_command() -> None:
    assert len([line for line in COMMANDS if "/resnet18_cifar100" in line]) == 6


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line.rpartition("/")[2])
def test_what_a_command_trains_compiles(line: str) -> None:
    spec, *options = shlex.split(line)[2:]
    values = dict.fromkeys(options[::2])
    assert values.keys() <= {"--set", "--out"}, line
    changes = [value for key, value in zip(options[::2], options[1::2], strict=True) if key == "--set"]
    assert fac.check(ROOT / spec, changes) == ()
    artifact = fac.compile(ROOT / spec, "torch", overrides=changes)
    assert isinstance(artifact, TorchArtifact)
    assert "def step(" in artifact.source
