"""Specs built as Python objects mean what the same text means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, create_model

import fac
from fac import feedback, layers, losses, updates
from fac.pipeline import spec_hash
from fac.spec.base import Model, dumped, written

ROOT = Path(__file__).parents[2]
TEXT = {
    "fac": 1,
    "name": "built",
    "input": {"shape": [4]},
    "layers": [
        {"kind": "linear", "name": "fc1", "out": 5},
        {"kind": "leaky_relu", "slope": 0.2},
        {"kind": "linear", "name": "out", "out": 3},
    ],
    "loss": {"kind": "cross_entropy"},
    "feedback": {"rule": "ldfa", "rank": 2},
    "update": {"rule": "sgd", "lr": 0.1, "momentum": 0.9},
}


def built(update: object) -> fac.ModelSpec:
    return fac.ModelSpec(
        fac=1,
        name="built",
        input=fac.Input(shape=(4,)),
        layers=(
            layers.Linear(name="fc1", out=5),
            layers.LeakyRelu(slope=0.2),
            layers.Linear(name="out", out=3),
        ),
        loss=losses.CrossEntropy(),
        feedback=feedback.Ldfa(rank=2),
        update=update,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "update",
    [updates.Sgd(lr=0.1, momentum=0.9), {"rule": "sgd", "lr": 0.1, "momentum": 0.9}],
    ids=["object", "data"],
)
def test_objects_and_text_are_one_spec(update: object) -> None:
    assert built(update) == fac.load(TEXT)
    assert spec_hash(built(update)) == spec_hash(fac.load(TEXT))
    assert fac.check(built(update)) == ()


@pytest.mark.parametrize(
    ("key", "value", "same"),
    [
        ("train", {"epochs": 5}, True),
        ("constraints", {}, True),
        ("$schema", "schemas/fac.v1.schema.json", True),
        ("train", {"epochs": 6}, False),
        ("feedback", {"rule": "ldfa", "rank": 3}, False),
        ("feedback", {"rule": "ldfa", "rank": 2, "learn": "oja_kp"}, True),
        ("probes", [], False),
        ("loss", {"kind": "mse"}, False),
    ],
)
def test_the_hash_is_of_the_meaning(key: str, value: object, same: bool) -> None:
    """A default that is written out changes nothing."""
    assert (spec_hash(fac.load(TEXT | {key: value})) == spec_hash(fac.load(TEXT))) is same


def test_a_field_that_a_later_version_adds_changes_no_hash() -> None:
    later = create_model("Linear", __base__=layers.Linear, groups=(int, 1))
    assert written(later(out=3)) == written(layers.Linear(out=3)) == {"kind": "linear", "out": 3}
    assert written(later(out=3, groups=2)) != written(layers.Linear(out=3))  # type: ignore[call-arg]


class Odd(Model):
    """What fields of plug-ins may be."""

    kind: Literal["odd"] = "odd"
    out: int = 3
    hidden: int = Field(default_factory=lambda data: 2 * data["out"])
    tags: frozenset[str] = frozenset()
    on: float | bool = 1.0


def test_fields_of_any_sort_have_one_hash() -> None:
    """Defaults made of other fields, sets, in one order in every process, and truth that is no number."""
    assert written(Odd(out=4, hidden=8)) == written(Odd(out=4)) == {"kind": "odd", "out": 4}
    assert written(Odd(hidden=8)) == {"kind": "odd", "hidden": 8}
    names = [f"tag{i}" for i in range(9)]
    tagged = Odd(tags=frozenset(names[::-1]))
    assert written(tagged)["tags"] == names
    known = {"kind": "odd", "tags": names[::-1]}
    assert dumped(tagged, known) == known
    assert (written(Odd(on=True)), written(Odd(on=1.0))) == ({"kind": "odd", "on": True}, {"kind": "odd"})


def test_kinds_without_settings_differ() -> None:
    assert written(layers.Relu()) == {"kind": "relu"}
    assert written(layers.Tanh()) == {"kind": "tanh"}


def test_they_compile() -> None:
    session = fac.compile(built(updates.Adam(lr=0.1)), backend="reference").open()
    assert "fc1.weight.mean" in session.state()


def test_objects_are_as_strict_as_text() -> None:
    with pytest.raises(fac.SpecError, match="out"):
        layers.Linear(out="5")  # type: ignore[arg-type]
    with pytest.raises(fac.SpecError, match="lr"):
        built(updates.Sgd.model_construct(lr=-1.0))


def test_lists_stand_for_tuples() -> None:
    assert fac.Input(shape=[3, 4]) == fac.Input(shape=(3, 4))  # type: ignore[arg-type]
    joined = layers.Concat(from_=["a", "b"])  # type: ignore[arg-type]
    assert joined.from_ == ("a", "b")
    one = fac.ModelSpec(
        fac=1,
        name="a",
        input=fac.Input(shape=(3,)),
        layers=[layers.Linear(out=2), {"kind": "relu"}],  # type: ignore[arg-type]
        loss={"kind": "mse"},  # type: ignore[arg-type]
        update=updates.Sgd(lr=0.1),  # type: ignore[arg-type]
        feedback={"routes": [{"to": "linear_1", "matrix": {"kind": "random"}}]},  # type: ignore[arg-type]
    )
    assert one.layers == (layers.Linear(out=2), layers.Relu())


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        (
            layers.Linear,
            {"oit": 5},
            "error[FAC103]: Linear, oit: `oit` is not a field of `linear`; did you mean `out`?",
        ),
        (
            layers.Linear,
            {"out": 5, "from_": 3},
            "error[FAC102]: Linear, from: expected text or a list for `from`, found `3`",
        ),
        (
            fac.Input,
            {"shape": [0]},
            "error[FAC102]: Input, shape[0]: `shape[0]` must be greater than 0, is 0",
        ),
        (
            built,
            {"update": layers.Relu()},
            "error[FAC103]: ModelSpec, update.kind: `kind` is not a field here; write `rule`, which is one of `sgd`",
        ),
    ],
)
def test_mistakes_of_objects_are_findings(
    model: Callable[..., object], fields: dict[str, object], message: str
) -> None:
    with pytest.raises(fac.SpecError) as found:
        model(**fields)
    assert str(found.value).startswith(message)
    assert "pydantic" not in str(found.value)
    assert found.value.diagnostics


def test_what_is_saved_is_the_same_spec(tmp_path: Path) -> None:
    spec = built(updates.Sgd(lr=0.1, momentum=0.9))
    spec.save(tmp_path / "a.fac.yaml")
    assert (tmp_path / "a.fac.yaml").read_text() == SAVED
    spec.save(str(tmp_path / "a.fac.json"))
    for name in ("a.fac.yaml", "a.fac.json"):
        assert fac.load(tmp_path / name) == spec
        assert not fac.check(tmp_path / name)


SAVED = """\
fac: 1
name: built
input: {shape: [4]}
layers:
  - {kind: linear, name: fc1, out: 5}
  - {kind: leaky_relu, slope: 0.2}
  - {kind: linear, name: out, out: 3}
loss: {kind: cross_entropy}
feedback: {rule: ldfa, rank: 2}
update: {rule: sgd, lr: 0.1, momentum: 0.9}
"""


def test_a_file_is_not_lost(tmp_path: Path) -> None:
    spec, path = built(updates.Sgd(lr=0.1)), tmp_path / "a.fac.yaml"
    path.write_text("# mine\n" + SAVED)
    with pytest.raises(fac.FacError, match="`replace=True`"):
        spec.save(path)
    assert path.read_text().startswith("# mine")
    spec.save(path, replace=True)
    spec.save(path)
    assert fac.load(path) == spec
    with pytest.raises(fac.FacError, match="ends in"):
        spec.save(tmp_path / "a.txt")
    (tmp_path / "b.yaml").mkdir()
    with pytest.raises(fac.FacError, match="folder"):
        spec.save(tmp_path / "b.yaml")


def test_every_example_survives_a_save(tmp_path: Path) -> None:
    examples = ROOT / "examples"
    own = set((examples / "outside").rglob("*"))  # they have kinds of their own, see `tests.outside`
    for path in sorted({*examples.rglob("*.fac.yaml")} - own):
        spec = fac.load(path)
        spec.save(tmp_path / "a.fac.yaml", replace=True)
        assert fac.load(tmp_path / "a.fac.yaml") == spec, path


def test_it_draws_itself() -> None:
    html = built(updates.Sgd(lr=0.1))._repr_html_()
    assert html.startswith('<img alt="built" src="data:image/svg+xml;base64,')
    assert "<script" not in built(updates.Sgd(lr=0.1)).model_copy(update={"name": "<script>"})._repr_html_()
