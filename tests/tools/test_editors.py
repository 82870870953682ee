"""The published JSON Schema in an editor: what a YAML language server makes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fac import pipeline, source
from fac.diagnostics import Span
from tests.tools.conftest import ROOT, environment, program
from tests.tools.language_server import LanguageServer

SCHEMA = ROOT / "schemas/fac.v1.schema.json"
MODELINE = "# yaml-language-server: $schema=fac.v1.schema.json\n"
GOOD = [
    *sorted(ROOT.glob("examples/*.fac.yaml")),
    # A folder with a plug-in has kinds that the published schema has not.
    *(file for file in sorted(ROOT.glob("tests/checks/*/good.yaml")) if not (file.parent / "site").exists()),
]
SPEC = """\
fac: 1
name: example
input: {shape: [20]}
layers:
  - {kind: linear, name: fc1, out: 32}
  - {kind: relu}
  - kind: linear
    name: logits
    out: 10
loss: {kind: cross_entropy}
feedback: {rule: ldfa, rank: 9}
update: {rule: sgd, lr: 0.1}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    """A server in a folder with the schema."""
    folder = tmp_path_factory.mktemp("specs")
    shutil.copy(SCHEMA, folder)
    command = (str(program("yaml-language-server")), "--stdio")
    with LanguageServer(command, folder, environment()) as running:
        yield running


def opened(server: LanguageServer, text: str) -> tuple[Path, list[dict[str, Any]]]:
    """A new file with that text below the modeline, and what the server says of it."""
    number = len(list(server.folder.glob("*.fac.yaml")))
    file = server.folder / f"{number}.fac.yaml"
    file.write_text(MODELINE + text)
    return file, server.open(file)


def offered(server: LanguageServer, text: str) -> set[str]:
    """What is offered at the place of `|`."""
    before, _, after = text.partition("|")
    file, _ = opened(server, before + after)
    lines = (MODELINE + before).split("\n")
    found = server.at("completion", file, len(lines) - 1, len(lines[-1]))
    return {item["label"] for item in found["items"]}


def kinds(name: str) -> set[str]:
    """The words that choose between the models of a union."""
    schema = json.loads(SCHEMA.read_text())
    # the same choice has a schema of its own where it is meant otherwise, as the rule of anchors
    (found,) = {frozenset(mapping) for mapping in _mappings(schema, name)}
    return {*found}


def _mappings(schema: Any, name: str) -> list[dict[str, str]]:
    found = []
    if isinstance(schema, dict):
        if "mapping" in schema and name in schema["mapping"]:
            found.append(schema["mapping"])
        found += [mapping for value in schema.values() for mapping in _mappings(value, name)]
    elif isinstance(schema, list):
        found += [mapping for value in schema for mapping in _mappings(value, name)]
    return [mapping for i, mapping in enumerate(found) if mapping not in found[:i]]


def test_a_good_spec_has_no_squiggle(server: LanguageServer) -> None:
    assert opened(server, SPEC)[1] == []


@pytest.mark.parametrize("file", GOOD, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_good_specs_have_no_squiggle(server: LanguageServer, file: Path) -> None:
    text = "".join(line for line in file.read_text().splitlines(keepends=True) if "$schema=" not in line)
    assert opened(server, text)[1] == []


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("name: fc1, out", "nmae: fc1, out", "Property nmae is not allowed."),
        ("    out: 10", "    uot: 10", "Property uot is not allowed."),
        ("rank: 9", "rnak: 9", "Property rnak is not allowed."),
        ("lr: 0.1", "lr: fast", 'Incorrect type. Expected "number".'),
        ("{kind: relu}", "{kind: rleu}", 'Value must be "linear" | "conv2d"'),
        ("loss: {", "los: {", "Property los is not allowed."),
        ("loss: {", "constraints: {allowed_rules: [lfda]}\nloss: {", "Value is not accepted."),
        ("loss: {", "losses: [{kind: mse}]\nloss: {", 'Incorrect type. Expected "null".'),
    ],
)
def test_a_squiggle_is_where_fac_check_points(
    server: LanguageServer, right: str, wrong: str, message: str
) -> None:
    assert SPEC.count(right) == 1
    file, said = opened(server, SPEC.replace(right, wrong))
    (squiggle,) = [one["range"] for one in said if one["message"].startswith(message)]
    document = source.read(file)
    places = [document.place(finding) for finding in pipeline.check(document)]
    start, end = squiggle["start"], squiggle["end"]
    assert Span(start["line"] + 1, start["character"] + 1, end["line"] + 1, end["character"] + 1) in places


@pytest.mark.parametrize(
    ("right", "wrong", "key"),
    [
        ("{kind: relu}", "{name: q}", "kind"),
        ("{kind: cross_entropy}", "{}", "kind"),
        ("{rule: sgd, lr: 0.1}", "{lr: 0.1}", "rule"),
    ],
)
def test_the_key_that_chooses_a_kind_is_missed(
    server: LanguageServer, right: str, wrong: str, key: str
) -> None:
    """On the line on which `fac check` misses it, too."""
    file, said = opened(server, SPEC.replace(right, wrong))
    lines = {
        one["range"]["start"]["line"] + 1 for one in said if one["message"] == f'Missing property "{key}".'
    }
    (finding,) = pipeline.check(source.read(file))
    assert finding.message == f"`{key}` is missing"
    assert lines == {source.read(file).span(finding).line}


def test_kinds_are_offered(server: LanguageServer) -> None:
    assert offered(server, SPEC.replace("{kind: relu}", "{kind: |}")) >= kinds("relu")
    assert offered(server, SPEC.replace("{rule: ldfa, rank: 9}", "\n  rule: |")) >= kinds("ldfa")


@pytest.mark.parametrize(
    ("right", "place", "keys"),
    [
        ("    out: 10\n", "    out: 10\n    |\n", {"bias", "init", "from", "trainable"}),
        ("feedback: {rule: ldfa, rank: 9}", "feedback:\n  rule: ldfa\n  |", {"rank", "learn", "rate"}),
        ("update: {rule: sgd, lr: 0.1}", "update:\n  rule: sgd\n  |", {"lr", "momentum", "weight_decay"}),
        ("update: {", "|\nupdate: {", {"data", "train", "probes", "constraints"}),
    ],
)
def test_keys_are_offered(server: LanguageServer, right: str, place: str, keys: set[str]) -> None:
    found = offered(server, SPEC.replace(right, place))
    assert keys <= found
    assert "slope" not in found  # a key of another kind


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("rank", "Rank of every route"),
        ("lr", "Learning rate."),
        ("feedback", "Low-dimensional feedback alignment"),
        ("input", "The data that the first layer reads"),
        ("kind", "A = H W^T"),
    ],
)
def test_hover_texts(server: LanguageServer, at: str, text: str) -> None:
    file, _ = opened(server, SPEC)
    (line, row) = next((i, row) for i, row in enumerate((MODELINE + SPEC).splitlines()) if f"{at}:" in row)
    found = server.at("hover", file, line, row.index(f"{at}:") + 1)
    assert text in found["contents"]["value"]
