"""The examples are what a newcomer runs first: each is clean, compiles, and is where and what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import fac
from fac.diagnostics import FacError
from fac.pipeline import lowered
from fac.program.lower import kind_of
from fac.training.data import load
from fac.training.loop import train
from tests.architectures.modules import MODULES

FOLDER = Path(__file__).parents[1] / "examples"
SPECS = sorted(FOLDER.glob("*.fac.yaml"))
SMALL = [path for path in SPECS if path.name.removesuffix(".fac.yaml") not in MODULES]
"""But for networks that `tests.architectures` compiles, at reduced width."""
NAMES = [path.name.removesuffix(".fac.yaml") for path in SPECS]


def test_there_are_examples() -> None:
    assert {"digits_ldfa", "fashion_bp", "fashion_ldfa"} <= set(NAMES)


@pytest.mark.parametrize("path", SPECS, ids=NAMES)
def test_an_example_is_clean(path: Path) -> None:
    assert fac.check(path) == ()


@pytest.mark.parametrize("path", SPECS, ids=NAMES)
def test_no_bias_of_an_example_is_for_nothing(path: Path) -> None:
    """In front of a norm none is learned, not by default either, which no finding of `fac check` speaks of."""
    program = lowered(path)
    idle = [
        node.name
        for node in program.nodes
        for found in kind_of("fac.layers", node.layer).unused(node.layer, program)
        if found.field == "bias"
    ]
    assert idle == []


@pytest.mark.parametrize("backend", ["reference", "torch"])
@pytest.mark.parametrize("path", SMALL, ids=[path.name.removesuffix(".fac.yaml") for path in SMALL])
def test_an_example_compiles(path: Path, backend: str, tmp_path: Path) -> None:
    artifact = fac.compile(path, backend)
    if artifact.compiled.solution is not None:
        with pytest.raises(FacError, match="there is no training step to compile"):
            artifact.write(tmp_path / "built")
        return
    artifact.write(tmp_path / "built")
    manifest = json.loads((tmp_path / "built" / "manifest.json").read_text())
    assert manifest["name"] == fac.load(path).name


@pytest.mark.parametrize("path", SPECS, ids=NAMES)
def test_the_first_line_names_the_schema(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found
    schema = json.loads((path.parent / found[1]).read_text())
    assert schema["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize(("path", "name"), list(zip(SPECS, NAMES, strict=True)), ids=NAMES)
def test_a_spec_is_called_like_its_file(path: Path, name: str) -> None:
    assert fac.load(path).name == name.replace("_", "-")


@pytest.mark.parametrize("path", SPECS, ids=NAMES)
def test_an_example_is_a_page(path: Path) -> None:
    """At most 60 lines of at most 120 characters."""
    lines = path.read_text().splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 120


def test_every_example_is_in_the_table() -> None:
    page = (FOLDER / "README.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in page] == []
    written = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert set(written) <= set(NAMES)


def test_the_digits_train_without_a_framework() -> None:
    """One epoch gets well beyond chance, which is 10 %."""
    spec = fac.load(FOLDER / "digits_ldfa.fac.yaml", ["train.epochs=1"])
    assert spec.data is not None
    report = train(fac.compile(spec, "reference").open(), load(spec.data, FOLDER), spec)
    assert report.test_accuracy is not None
    assert report.test_accuracy > 0.5
