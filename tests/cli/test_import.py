"""`fac import torch`: files from a module of the user's own, and one message for each mistake."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import fac
from fac.cli import main
from fac.training import checkpoint

CODE = """\
import torch
from torch import nn

CONSTANT = 3

def mlp(hidden=5, bias=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, hidden, bias=bias), nn.ReLU(), nn.Linear(hidden, 3))

def needs(size):
    return mlp(size)

def fails():
    return inner()

def inner():
    raise KeyError("no such part")

def unknown():
    return nn.Sequential(nn.Linear(4, 4), nn.Softshrink(), nn.Hardshrink())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "own_networks.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("own_networks", None)


def ran(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fac", "import", "torch", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_a_spec_and_weights(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ("own_networks:mlp", "--input", "4", "--arg", "hidden=6", "--arg", "bias=false", "-o", "out")
    assert ran(monkeypatch, *call) == 0
    printed = capsys.readouterr().out
    assert "4 random samples" in printed
    assert "3 parameters have the gradients that autograd gives them" in printed
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "spec.fac.yaml",
        "weights.safetensors",
    ]
    spec, state = folder / "out/spec.fac.yaml", load_file(folder / "out/weights.safetensors")
    assert fac.check(spec) == ()
    assert [layer.name for layer in fac.load(spec).layers] == ["0", "1", "2"]
    assert {name: array.shape for name, array in state.items()} == {
        "0.weight": (6, 4),
        "2.weight": (3, 6),
        "2.bias": (3,),
        "step": (),
    }
    held = checkpoint.load(folder / "out/weights.safetensors")
    assert fac.load(held.document()) == fac.load(spec)
    session = fac.compile(spec, "reference").open(held.state, derive=True)
    assert np.isfinite(session.forward(np.ones((2, 4)))).all()
    # nothing is lost
    edited = spec.read_text() + "# mine\n"
    spec.write_text(edited)
    assert ran(monkeypatch, *call) == 2
    assert "`--force` overwrites it" in capsys.readouterr().err
    assert spec.read_text() == edited
    assert ran(monkeypatch, *call, "--force") == 0
    assert spec.read_text() != edited


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("own_networks",), "write `package.module:callable`"),
        (("own_network:mlp",), "there is no module `own_network`"),
        (("own_networks:mpl",), "`own_networks` has no `mpl`"),
        (("own_networks:CONSTANT",), "has, but not as a callable, `CONSTANT`"),
        (
            ("own_networks:needs",),
            "missing a required argument: 'size'; give arguments with `--arg NAME=VALUE`",
        ),
        (("own_networks:mlp", "--arg", "width=3"), "unexpected keyword argument 'width'"),
        (("own_networks:mlp", "--arg", "hidden"), "is not of the form `name=value`"),
        (("own_networks:fails",), "KeyError: 'no such part'"),
        (("own_networks:CODE.mlp", "--input", "4x"), "is no shape of a sample"),
        (("own_networks:dict",), "`own_networks` has no `dict`"),
    ],
)
def test_mistakes(
    arguments: tuple[str, ...],
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reference, *rest = arguments
    assert ran(monkeypatch, reference, "--input", "4", *rest, "-o", "out") == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert "internal error" not in printed.err
    assert printed.out == ""
    assert not (folder / "out").exists()


def test_a_failure_shows_the_users_frames_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(monkeypatch, "own_networks:fails", "--input", "4", "-o", "out")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(", ", 1)[1] for line in lines if line.lstrip().startswith("File")] == [
        "line 14, in fails",
        "line 17, in inner",
    ]


def test_what_is_missing_is_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(monkeypatch, "own_networks:unknown", "--input", "4", "-o", "out") == 1
    said = capsys.readouterr().err
    assert "  `1` (Softshrink), `aten.softshrink`: needs a layer that does that\n" in said
    assert "  `2` (Hardshrink), `aten.hardshrink`: needs a layer that does that\n" in said
