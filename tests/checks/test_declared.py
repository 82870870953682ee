"""Layers and operators from outside take part in the checks by what they declare, and by nothing else."""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from math import inf, tanh
from pathlib import Path
from typing import Any

import pytest

from fac.layers import LeakyRelu
from fac.program.declared import curve_of
from fac.program.traits import Curve
from fac.testing import check_declarations
from tests.checks.specs import SGD, Layers, chain, linear, routes
from tests.forked import python

PLUGIN = '''
from typing import Literal

from fac.program.kinds import Facts, LayerKind, MatrixKind
from fac.program.tensors import Role, Tensor
from fac.program.traits import Curve
from fac.spec.feedback import Matrix
from fac.spec.layers import Layer


class Softsign(Layer):
    """x / (1 + |x|)."""

    kind: Literal["softsign"] = "softsign"


class Bent(Layer):
    """x above zero, slope * x below."""

    kind: Literal["bent"] = "bent"
    slope: float = 0.25


class Twice(Matrix):
    """2 B d."""

    kind: Literal["twice"] = "twice"
    init: Literal["zeros", "launay"] = "launay"


def same(layer, name, shapes):
    return Facts(shapes[0])


def softsign(b, layer, inputs, state, mode):
    (x,) = inputs
    return b.div(x, b.add(b.maximum(x, b.neg(x)), 1.0))


def bent(b, layer, inputs, state, mode):
    return b.emit("leaky_relu", inputs[0], slope=layer.slope)


def tensors(matrix, ends):
    return (Tensor(f"{ends.prefix}.B", (ends.writes, ends.reads), matrix.init, role=Role.FEEDBACK),)


def apply(b, matrix, state, signals):
    return b.mul(signals.sent(b, signals.error, b.transpose(state["B"], (1, 0))), 2.0)


SOFTSIGN = LayerKind("softsign", Softsign, same, softsign, curve=lambda _: Curve(lambda x: x / (1 + abs(x))))
BENT = LayerKind(
    "bent", Bent, same, bent, curve=lambda layer: Curve(lambda x: x if x > 0 else layer.slope * x)
)
LAYERS = (SOFTSIGN, BENT)
MATRICES = (MatrixKind("twice", Twice, tensors, apply),)
'''
SOFTSIGN, BENT, CUT = {"kind": "softsign"}, {"kind": "bent"}, {"kind": "bent", "slope": 0.0}
TWO_READERS: Layers = (
    linear("fc1"),
    SOFTSIGN | {"name": "act"},
    linear("fc2"),
    {"kind": "add", "name": "join", "from": ["fc1", "fc2"]},
    linear("logits", 4),
)
ASKED = {"probes": [{"kind": "conservation"}]}
SPECS: dict[str, tuple[Layers, dict[str, Any], list[tuple[str, str]]]] = {
    "a bounded curve before the loss": (
        (*chain(8), SOFTSIGN),
        {},
        [
            (
                "FAC213",
                "after `softsign_1` no class gets a probability above 0.71, and the loss no value below 0.34",
            )
        ],
    ),
    "a curve that cuts before the loss": (
        (*chain(8), CUT),
        {},
        [("FAC213", "`bent_1` cuts off negative logits, and a class that is cut gets no error")],
    ),
    "a curve that is neither": ((*chain(8), BENT), {}, []),
    "behind a relu": (
        (linear("fc1"), {"kind": "relu"}, BENT, linear("logits", 4)),
        {},
        [("FAC215", "`bent_1` changes nothing: the output of `relu_1` is never negative")],
    ),
    "below a unit that is dead at zero": (
        (linear("fc1", init="zeros"), CUT, linear("logits", 4)),
        {},
        [
            (
                "FAC216",
                "the weights of `fc1` are zero and stay so: no error gets back through units that are all zero",
            )
        ],
    ),
    "below one that is not": ((linear("fc1", init="zeros"), BENT, linear("logits", 4)), {}, []),
    "zeros between zeros": (
        (linear("fc1"), {"kind": "tanh"}, *chain(8, 8, act="softsign", init="zeros")[2:]),
        {},
        [
            (
                "FAC216",
                "the weights of `fc2` are zero and stay so: together with `logits` it keeps every error out",
            ),
            ("FAC216", "the weights of `logits` are zero and stay so: what it reads is zero, too"),
        ],
    ),
    "an operator of zeros": (
        chain(8),
        {"feedback": {"routes": [{"to": "fc1", "matrix": {"kind": "twice", "init": "zeros"}}]}},
        [("FAC319", "the feedback of `fc1` starts at zero and stays there, so it brings no error")],
    ),
    "an operator that is drawn": (
        chain(8),
        {"feedback": {"routes": [{"to": "fc1", "matrix": {"kind": "twice"}}]}},
        [],
    ),
    "a site on one of two sides": (
        TWO_READERS,
        {"feedback": routes({"to": "fc1"})},
        [("FAC324", "`act` and `join` read `fc1`, so the error enters there, before `act`")],
    ),
    # Five matrices with 8 entries of variance 0.0025 to each unit make 5.7e-5 of it; the first `softsign` reads numbers
    # of spread 0.12 and takes another sixth away.
    "an error that vanishes": (
        chain(*[8] * 5, act="softsign", init={"kind": "normal", "std": 0.05}),
        {},
        [("FAC325", "the error at `fc1` is expected to be 4.7e-05 times that at the output, 5 layers above")],
    ),
    "a straight line on either side": (chain(8, 8, act="bent"), ASKED, []),
    "a curve that is no such line": (
        chain(8, act="softsign"),
        ASKED,
        [("FAC328", "`conservation` measures nothing at `fc1`: `softsign_1` is not positively homogeneous")],
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the plug-in is installed."""
    folder = tmp_path_factory.mktemp("outside")
    info = folder / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    points = "[fac.layers]\nouter = outside:LAYERS\n[fac.feedback]\nouter = outside:MATRICES\n"
    (info / "entry_points.txt").write_text(points)
    (folder / "outside.py").write_text(PLUGIN)
    return folder


@pytest.fixture(scope="module")
def findings(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Of every spec, by its name, in one process: plug-ins are found once in each."""
    files = {f"{number}.yaml": name for number, name in enumerate(SPECS)}
    for file, name in files.items():
        layers, more, _ = SPECS[name]
        spec = {"fac": 1, "name": "example", "input": {"shape": [6]}, "layers": list(layers)}
        (folder / file).write_text(
            json.dumps(spec | {"loss": {"kind": "cross_entropy"}, "update": SGD} | more)
        )
    run = python(folder, "-m", "fac", "check", *files, "--json", PYTHONPATH=str(folder))
    found = defaultdict[str, list[tuple[str, str]]](list)
    for finding in json.loads(run.stdout)["findings"]:
        found[files[Path(finding["file"]).name]].append((finding["code"], finding["message"]))
    return found


@pytest.mark.parametrize("name", SPECS)
def test_a_layer_from_outside_is_judged_by_what_it_declares(
    name: str, findings: dict[str, list[tuple[str, str]]]
) -> None:
    assert findings.get(name, []) == SPECS[name][2]


def test_what_it_declares_is_held_by_the_shipped_law(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    outside: Any = importlib.import_module("outside")
    for kind, layer in (
        (outside.SOFTSIGN, outside.Softsign()),
        (outside.BENT, outside.Bent()),
        (outside.BENT, outside.Bent(slope=0.0)),
    ):
        check_declarations(kind, layer)


def test_a_curve_belongs_to_its_settings() -> None:
    steep, flat = (curve_of(LeakyRelu(slope=slope)) for slope in (0.5, 0.1))
    assert steep is not None
    assert flat is not None
    assert (steep.f(-1.0), flat.f(-1.0)) == (-0.5, -0.1)
    assert curve_of(LeakyRelu(slope=0.5, name="other")) is steep


def test_what_is_read_off_a_curve() -> None:
    assert (Curve(tanh).odd, Curve(tanh).bounds) == (True, (-1.0, 1.0))
    relu = Curve(lambda x: max(x, 0.0))
    assert (relu.odd, relu.bounds) == (False, (0.0, inf))
    # What has not settled at a million is not known to stay anywhere.
    assert Curve(lambda x: x / (abs(x) + 1e7)).bounds == (-inf, inf)
