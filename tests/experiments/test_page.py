"""What docs/python.md shows runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return [
        text for kind, text in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S) if kind == language
    ]


def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in blocks("python"):
        exec(compile(code, "python.md", "exec"), names)
    (text,) = blocks("yaml")
    assert (tmp_path / "circle.fac.yaml").read_text() == text
    assert "shallow" in capsys.readouterr().out
    probed = names["session"].probe(*names["batch"])
    assert names["measured"].classes.confusion.sum() == 100
    assert -1 <= names["cosine"] <= 1
    assert np.isfinite(names["trained"].test_loss)
    assert any(name.endswith(".cosine") for name in probed)
    assert names["trained"].test_accuracy > 0.8


def test_what_comments_say_of_shapes_is_so() -> None:
    code = "\n".join(blocks("python"))
    names: dict[str, Any] = {}
    exec(
        compile(
            code.replace('spec.save("circle.fac.yaml")\nassert fac.load("circle.fac.yaml") == spec\n', ""),
            "p",
            "exec",
        ),
        names,
    )
    found = re.findall(r"^([^\n#]*\S)  # \[([\d, ]+)\]", code, re.M)
    assert len(found) == 6
    for expression, shape in found:
        value = eval(expression.rpartition(" = ")[2], names)
        assert list(value.shape) == [int(size) for size in shape.split(",")], expression
