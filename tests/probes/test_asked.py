"""Probes cost nothing where nobody asks for them, and where they cannot apply that is a finding."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import fac
from fac.pipeline import compile, lowered
from fac.plugins import kinds
from fac.program.declared import probes_of
from tests.rules.nets import BP, Spec, dense, spec

KINDS = [kind.name for kind in kinds("fac.probes")]
FA: Spec = {"rule": "fa"}


def forgetful(text: str) -> str:
    """A module without its probe, and without the hash of its spec, which stands in its docstring."""
    return re.sub(r"from spec \w+,", "", text[: text.index("def probe(")])


@pytest.mark.parametrize("kind", KINDS)
def test_the_step_is_the_same_byte_for_byte(kind: str, tmp_path: Path) -> None:
    of = spec(dense(6, 5, 4), {"rule": "ldfa", "rank": 2}, {"rule": "adam", "lr": 0.01})
    found = []
    for probes in ((), ({"kind": kind},)):
        artifact = compile(of | {"probes": probes}, backend="torch")
        artifact.write(tmp_path)
        compiled = artifact.compiled
        functions = compiled.forward, compiled.evaluate, compiled.step
        found.append((forgetful((tmp_path / "step.py").read_text()), *map(str, functions), compiled.state))
    assert found[0] == found[1]


def test_what_is_measured_by_itself_and_what_is_not() -> None:
    by_itself = [kind.name for kind, _ in probes_of(lowered(spec(dense(6, 4))))]
    assert by_itself == ["alignment", "feedback_alignment", "captured_energy", "conservation"]


FROZEN = tuple({**layer, "trainable": False} if layer["kind"] == "linear" else layer for layer in dense(6, 4))
TURNED: tuple[Spec, ...] = ({"kind": "reshape", "shape": (1, 7)}, {"kind": "permute", "axes": (1, 0)})
LAST: tuple[Spec, ...] = ({"kind": "linear", "name": "l", "out": 4, "bias": False},)


@pytest.mark.parametrize(
    ("probe", "layers", "feedback", "told"),
    [
        ({"kind": "effective_rank"}, FROZEN, BP, "where no weight learns"),
        ({"kind": "gradient_norm"}, FROZEN, BP, "where no weight learns"),
        ({"kind": "update_size"}, FROZEN, BP, "where no weight learns"),
        ({"kind": "effective_rank", "of": ()}, dense(6, 4), BP, "where it names nothing"),
        ({"kind": "effective_rank", "window": 3}, dense(6, 4), BP, "where `of` has no `trajectory`"),
        ({"kind": "activation_scale"}, ({"kind": "tanh"},), BP, "where no layer has a weight"),
        ({"kind": "min_norm"}, dense(6, 4), BP, "with another loss than one on targets, such as `mse`"),
        ({"kind": "feedback_alignment"}, dense(6, 4), BP, "where no route has a matrix of its own"),
        ({"kind": "conservation", "neurons": True}, dense(4), BP, "where no hidden layer learns"),
    ],
)  # fmt: skip
def test_where_a_probe_cannot_apply_is_a_finding(
    probe: Spec, layers: tuple[Spec, ...], feedback: Spec, told: str
) -> None:
    found = fac.check(spec(layers, feedback, inputs=4 if len(layers) == 1 else 7) | {"probes": (probe,)})
    assert any(told in finding.message for finding in found if finding.rule.code == "FAC314"), found


@pytest.mark.parametrize(
    ("layers", "applies"),
    [
        (dense(6, 4, act=None, bias=False), True),
        (dense(6, 4, act=None), False),
        (dense(6, 4, bias=False), False),
        ((*dense(6, act=None, bias=False), {"kind": "flatten"}, *LAST), True),
        ((*TURNED, {"kind": "flatten"}, *LAST), False),
    ],
)  # fmt: skip
def test_min_norm_is_for_products_of_weights(layers: tuple[Spec, ...], applies: bool) -> None:
    of = spec(layers, loss="mse") | {"probes": ({"kind": "min_norm"},)}
    found: Any = [finding.message for finding in fac.check(of) if finding.rule.code == "FAC314"]
    assert found == (
        [] if applies else ["`min_norm` has no effect but in a chain of linear layers without biases"]
    )
    measured = [name for name, _ in compile(of, backend="reference").compiled.probe.outputs]
    assert len(measured) == (4 if applies else 1)
