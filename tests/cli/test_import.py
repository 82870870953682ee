"""`fac import torch`: files from a module of the user's own, and one message for each mistake."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
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

def leaves():
    raise SystemExit(0)

class Own(nn.Module):
    def __init__(self, does):
        super().__init__()
        self.fc, self.does = nn.Linear(4, 4), does

    def forward(self, x):
        return self.does(self.fc(x))

def condition():
    return Own(lambda h: h if h.sum() > 0 else -h)

def trouble():
    return Own(helper)

def helper(h):
    raise RuntimeError("my own")

def lazy():
    return nn.Sequential(nn.LazyLinear(4))

def meta():
    return nn.Linear(4, 4, device="meta")

def nothing():
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    module[1].weight = nn.Parameter(torch.zeros(0, 4))
    return module

def memory():
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    module[2].weight = nn.Parameter(module[0].weight.data)
    return module

def without():
    return nn.Tanh()

def odd():
    module = nn.Sequential()
    for name in ("a*b", "a_b", "lr", "two words"):
        module.add_module(name, nn.Linear(4, 4))
    module.add_module("input", nn.Sequential(nn.Linear(4, 4), nn.Tanh()))
    return module.bfloat16()
"""

PARTS = "in1_features", "in2_features", "out_features"


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
        (("own_networks:CONSTANT",), "`CONSTANT` of `own_networks` is no callable, but a `int`"),
        (
            ("own_networks:needs",),
            "missing a required argument: 'size'; give arguments with `--arg NAME=VALUE`",
        ),
        (("own_networks:mlp", "--arg", "width=3"), "unexpected keyword argument 'width'"),
        (("own_networks:mlp", "--arg", "hidden"), "is not of the form `name=value`"),
        (("own_networks:fails",), "KeyError: 'no such part'"),
        (("own_networks:CODE.mlp", "--input", "4x"), "is no shape of a sample"),
        (("own_networks:dict",), "`own_networks` has no `dict`"),
        (("own_networks:leaves",), "`own_networks:leaves` failed: SystemExit: 0"),
        (("own_networks:condition",), "there is a condition on such numbers"),
        (("own_networks:trouble",), "RuntimeError: my own"),
        (("own_networks:lazy",), "`0.weight` has no shape before the module has run once"),
        (("own_networks:meta",), "`weight` is on the device `meta`"),
        (("own_networks:nothing",), "`1.weight` has the shape [0, 4], and so no numbers"),
        (("own_networks:memory",), "`2.weight` and `0.weight` are two parameters in one memory"),
        (("own_networks:without",), "`without` has no parameter that learns"),
        (("torch.nn:Bilinear", *(f"--arg={name}=4" for name in PARTS)), "cannot be called with one tensor"),
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


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("fails", ["fails: return inner()", 'inner: raise KeyError("no such part")']),
        ("trouble", ["forward: return self.does(self.fc(x))", 'helper: raise RuntimeError("my own")']),
        (
            "condition",
            [
                "forward: return self.does(self.fc(x))",
                "<lambda>: return Own(lambda h: h if h.sum() > 0 else -h)",
            ],
        ),
    ],
)
def test_a_failure_shows_the_users_frames_alone(
    name: str,
    frames: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """When the network is made, when it runs, and when it is traced."""
    assert ran(monkeypatch, f"own_networks:{name}", "--input", "4", "-o", "out") == 2
    _, *lines = capsys.readouterr().err.splitlines()
    places = [line.rpartition(", in ")[2] for line in lines[::2]]
    assert [f"{place}: {text.strip()}" for place, text in zip(places, lines[1::2], strict=True)] == frames


def test_names_that_no_layer_has(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are mended, and the module gets its arrays back by its own names; of short floats, too."""
    assert ran(monkeypatch, "own_networks:odd", "--input", "4", "-o", "out") == 0
    nodes = fac.pipeline.lowered(folder / "out/spec.fac.yaml").nodes
    assert [node.name for node in nodes] == ["a_b", "a_b_2", "lr_", "two_words", "input_.0", "input_.1"]
    monkeypatch.setattr(
        sys, "argv", ["fac", "export", "out/weights.safetensors", "--to", "state_dict", "-o", "back.pt"]
    )
    with pytest.raises(SystemExit):
        main()
    module = sys.modules["own_networks"].odd()
    held = torch.load("back.pt", weights_only=True)
    assert {array.dtype for array in held.values()} == {torch.float32}
    module.load_state_dict(held, strict=True)


def test_what_is_missing_is_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(monkeypatch, "own_networks:unknown", "--input", "4", "-o", "out") == 1
    said = capsys.readouterr().err
    assert "  `1` (Softshrink), `aten.softshrink`: needs a layer that does that\n" in said
    assert "  `2` (Hardshrink), `aten.hardshrink`: needs a layer that does that\n" in said
