"""`check_kind`: true of what ships, and of a plug-in that breaks a law it says which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fac import pipeline
from fac.plugins import kinds
from fac.program.kinds import LayerKind
from fac.testing import check_kind
from tests.forked import python
from tests.testing.fakes import Fake, rounded
from tests.testing.test_declarations import SETTINGS, SHAPES

HERE = Path(__file__).parent
SCRIPT = """
import json, sys
from fac import plugin

broken = plugin.load(sys.argv[1])
from fac.testing import check_kind

found = {}
for kind in broken.KINDS:
    try:
        check_kind(kind)
        found[kind.name] = ""
    except AssertionError as error:
        found[kind.name] = str(error)
exact, = (kind for kind in broken.KINDS if kind.name == "half_stopped")
check_kind(exact, exact=False)
print(json.dumps(found))
"""
REMEDY = "let its type refuse that, `misfit` or a ShapeError"
BROKEN = {
    "half_stopped": (
        "`half_stopped` as a layer hands back an error that is no derivative: along a direction of `",
    ),
    "changing": ("`changing` as a layer on `", " makes other numbers than on the reference: "),
    "stopped_square": (
        "`stopped_square` as a loss hands back an error that is no derivative",
        "`exact=False`",
    ),
    "named": ("`named` with `name_of: 'nope'`", "KeyError: 'nope'", REMEDY),
    "drawn": (
        "`drawn` with `law: 'nope'` fails with AssertionError: no law for nope, and has no finding",
        REMEDY,
    ),
    "divided": ("`divided` with `by: 0`", "ZeroDivisionError", REMEDY),
    "secret_feedback": (
        "`secret_feedback` as `feedback:` expands to a spec that has another step; what a spec does not write out",
    ),
    "unfit_feedback": ("`unfit_feedback` as `feedback:` expands to a spec that cannot be read: ", "level"),
    "rooted": ("`rooted` with `n: -1`", "not 'complex'", REMEDY),
    "shrinking": ("`shrinking` with `by: -1`", "fails with ZeroDivisionError", REMEDY),
    "nowhere": ("`nowhere` cannot be used; as a `through` route: FAC308: ", "; as a `to` route: FAC308: "),
    "stray": ("`stray` measures `fc1.extent, fc2.extent, out.extent`, and nothing in `measures` ends so",),
    "another": ("`another` gives another `x` for train each time: a run could not go on",),
    "coarse": ("`coarse` gives `x` as float32 where float64 is asked for",),
    "claimed": ("`claimed` says by its `facts` that 9 samples are trained on, and there are 8",),
    "unlike": ("`unlike` says that its arrays are ['x', 'y'], and gives ['left', 'y']",),
}
"""What is said of each kind of `broken.py`; of all others nothing."""
SHIPPED = {
    "fac.layers": (
        "linear",
        "conv2d",
        "batch_norm",
        "dropout",
        "multiply",
        "one_hot",
        "carry",
        "zeros",
        "residual",
    ),
    "fac.losses": ("cross_entropy", "bce"),
    "fac.rules": ("fa", "ldfa", "drtp"),
    "fac.feedback": ("identity", "low_rank"),
    "fac.learning": ("weight_mirror",),
    "fac.updates": ("adam",),
    "fac.schedules": ("constant", "cosine", "step"),
    "fac.solve": ("zorb",),
    "fac.probes": ("alignment",),
    "fac.data": ("digits", "teacher"),
}
"""Of each family some that are unlike one another."""


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    ended = python(HERE, "-c", SCRIPT, str(HERE / "broken.py"))
    assert ended.returncode == 0, ended.stderr
    found: dict[str, str] = json.loads(ended.stdout)
    return found


def test_kinds_that_are_in_order_pass_beside_those_that_are_not(said: dict[str, str]) -> None:
    assert {name for name, message in said.items() if not message} == {"secret", "level"}
    assert said.keys() == BROKEN.keys() | {"secret", "level"}


@pytest.mark.parametrize("name", BROKEN)
def test_a_law_that_is_broken_is_named(name: str, said: dict[str, str]) -> None:
    for part in BROKEN[name]:
        assert part in said[name]


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, names in SHIPPED.items() for name in names]
)
def test_what_ships_passes(group: str, name: str) -> None:
    kind = kind_called(group, name)
    settings = {"rank": 2} if name == "ldfa" else SETTINGS.get(name)
    check_kind(kind, None if settings is None else kind.spec.model_validate(settings), SHAPES.get(name, ()))


def kind_called(group: str, name: str) -> Any:
    return next(kind for kind in kinds(group) if kind.name == name)


def test_a_backend_that_makes_other_numbers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = (*pipeline.backends(), Fake(rounded))
    monkeypatch.setattr(pipeline, "backends", lambda: backends)
    with pytest.raises(
        AssertionError,
        match=r"`tanh` as a layer on `fake` in float64 makes other numbers than on the reference: ",
    ):
        check_kind(kind_called("fac.layers", "tanh"))


def test_a_backend_that_refuses_an_op_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = (pipeline.find_backend("reference"), Fake(without=frozenset({"tanh"})))
    monkeypatch.setattr(pipeline, "backends", lambda: backends)
    check_kind(kind_called("fac.layers", "tanh"))


def test_what_no_spec_could_name() -> None:
    tanh = kind_called("fac.layers", "tanh")
    with pytest.raises(
        ValueError, match=r"`own` is not among the kinds of `fac\.layers`: load its file first"
    ):
        check_kind(LayerKind("own", tanh.spec, tanh.infer, tanh.forward))
    with pytest.raises(ValueError, match="3 is no kind"):
        check_kind(3)
    with pytest.raises(
        ValueError, match=r"`linear` has settings without a default, `out`: give `spec=Linear"
    ):
        check_kind(kind_called("fac.layers", "linear"))
