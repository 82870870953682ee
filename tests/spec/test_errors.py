"""pydantic's errors in our words: one test table, each row a spec and all of its findings."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

import pydantic
import pytest
from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from fac.diagnostics import dotted
from fac.pipeline import parse
from fac.source import from_data, parse_text
from fac.source.edits import edited
from fac.spec.base import Model
from fac.spec.errors import RULES, translate


class Linear(Model):
    kind: Literal["linear"]
    out: Annotated[int, Field(gt=0)]
    bias: bool = True
    name: str | None = None
    from_: str | tuple[str, ...] | None = Field(None, alias="from")


class Relu(Model):
    kind: Literal["relu"]


class Residual(Model):
    kind: Literal["residual"]
    body: tuple[Layer, ...]


Layer = Annotated[Union["Linear", "Relu", "Residual"], Field(discriminator="kind")]


Positive = Annotated[int, Field(ge=1)]


class Window(Model):
    """Keys as those of a convolution: one number for height and width, or two."""

    kernel: Positive | tuple[Positive, Positive] = 1
    padding: Literal["same"] | Annotated[int, Field(ge=0)] | tuple[int, int] = 0


class Oja(Model):
    rule: Literal["oja"] = "oja"
    rate: float = 1.0


class To(Model):
    to: str
    rank: int = 1


class Through(Model):
    through: str
    rank: int = 1


def by_key(value: Any) -> str | None:
    return next((key for key in ("to", "through") if isinstance(value, dict) and key in value), None)


class Cosine(Model):
    kind: Literal["cosine"]
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0


class Constant(Model):
    kind: Literal["constant"]


def by_kind(value: Any) -> Any:
    return "name" if isinstance(value, str) else value.get("kind") if isinstance(value, dict) else None


Schedule = Annotated[
    Annotated[Literal["constant", "cosine"], Tag("name")]
    | Annotated[Cosine, Tag("cosine")]
    | Annotated[Constant, Tag("constant")],
    Discriminator(by_kind),
]


class Train(Model):
    epochs: Annotated[int, Field(ge=1)] = 1
    seed: int = 0
    samples: Annotated[int, Field(ge=1)] | Literal["all"] = "all"

    @field_validator("seed")
    @classmethod
    def even(cls, value: int) -> int:
        """A rule of its own."""
        if value % 2:
            raise ValueError("seed must be even")
        return value


class Spec(Model):
    fac: Literal[1]
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)] = (Relu(kind="relu"),)
    shape: tuple[Annotated[int, Field(gt=0)], ...] = (1,)
    pair: tuple[int, str] = (1, "a")
    sides: tuple[int, int] = (1, 1)
    update: Layer | tuple[Layer, ...] | None = None
    learn: Oja = Oja()
    routes: tuple[
        Annotated[Annotated[To, Tag("to")] | Annotated[Through, Tag("through")], Discriminator(by_key)], ...
    ] = ()
    schedule: Schedule = "constant"
    train: Train = Train()
    window: Window = Window()
    scales: Annotated[dict[str, float], Field(default_factory=dict)]
    lr: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.1
    tag: Annotated[str, Field(min_length=1, max_length=3, pattern="^[a-z]*$")] = "a"
    mode: Literal["replace", "add"] = "replace"

    @model_validator(mode="after")
    def consistent(self) -> Spec:
        """A rule of the whole."""
        if self.tag == "bad":
            raise ValueError("the spec contradicts itself")
        return self


def findings(**data: object) -> list[str]:
    """`CODE path: message (help)`; a `^` behind a path whose key is underlined."""
    document = from_data({"fac": 1, **data})
    assert document.diagnostics == ()
    with pytest.raises(pydantic.ValidationError) as caught:
        Spec.model_validate(document.data)
    found = translate(caught.value, document.data, Spec)
    return [
        f"{d.rule.code} {dotted(d.path)}{'^' * d.key}: {d.message}" + (f" ({d.help})" if d.help else "")
        for d in found
    ]


LINEAR = {"kind": "linear", "out": 3}
KINDS = "`kind` is one of `linear`, `relu`, `residual`"
FIELDS = "its fields are `kind`, `out`, `bias`, `name`, `from`"

CASES: dict[str, tuple[dict[str, object], list[str]]] = {
    "misspelt required key": (
        {"layers": [{"kind": "linear", "uot": 3}]},
        ["FAC103 layers[0].uot^: `uot` is not a field of `linear` (did you mean `out`?)"],
    ),
    "misspelt optional key": (
        {"layers": [{**LINEAR, "Bais": True}]},
        ["FAC103 layers[0].Bais^: `Bais` is not a field of `linear` (did you mean `bias`?)"],
    ),
    "key by its alias": (
        {"layers": [{**LINEAR, "form": "x"}]},
        ["FAC103 layers[0].form^: `form` is not a field of `linear` (did you mean `from`?)"],
    ),
    "unknown and missing": (
        {"layers": [{"kind": "linear", "zzz": 3}]},
        [
            f"FAC103 layers[0].zzz^: `zzz` is not a field of `linear` ({FIELDS})",
            "FAC104 layers[0]: `linear` needs `out` (`out` takes a whole number)",
        ],
    ),
    "inside a layer that holds layers": (
        {"layers": [{"kind": "residual", "body": [LINEAR, {"kind": "linear"}]}]},
        ["FAC104 layers[0].body[1]: `linear` needs `out` (`out` takes a whole number)"],
    ),
    "unknown key on top": (
        {"trian": {}},
        ["FAC103 trian^: `trian` is not a field of the spec (did you mean `train`?)"],
    ),
    "unknown key of a section": (
        {"train": {"epoch": 1}},
        ["FAC103 train.epoch^: `epoch` is not a field of `train` (did you mean `epochs`?)"],
    ),
    "unknown kind": (
        {"layers": [{"kind": "Linaer", "out": 3}]},
        ["FAC105 layers[0].kind: no kind is called `Linaer` (did you mean `linear`?)"],
    ),
    "unknown kind without a neighbour": (
        {"layers": [{"kind": "xyz"}]},
        [f"FAC105 layers[0].kind: no kind is called `xyz` ({KINDS})"],
    ),
    "kind that is no text": (
        {"layers": [{"kind": 3}]},
        [f"FAC105 layers[0].kind: expected a kind, found `3` ({KINDS})"],
    ),
    "kind that is nothing": (
        {"layers": [{"kind": None}]},
        [f"FAC105 layers[0].kind: expected a kind, found nothing ({KINDS})"],
    ),
    "kind that is a list": (
        {"layers": [{"kind": [1]}]},
        [f"FAC105 layers[0].kind: expected a kind, found a list ({KINDS})"],
    ),
    "kind missing": ({"layers": [{}]}, [f"FAC104 layers[0]: `kind` is missing ({KINDS})"]),
    "kind missing beside keys of one kind": (
        {"layers": [{"out": 3}]},
        ["FAC104 layers[0]: `kind` is missing (did you mean `kind: linear`?)"],
    ),
    "kind in the place of its key": (
        {"layers": [{"linear": 3}]},
        ["FAC104 layers[0]: `kind` is missing (write `{kind: linear, out: ...}`)"],
    ),
    "kind misspelt": (
        {"layers": [{"knd": "linear", "out": 3}]},
        ["FAC103 layers[0].knd^: `knd` is not a field here (did you mean `kind`?)"],
    ),
    "kind alone": (
        {"layers": ["relu"]},
        [
            "FAC102 layers[0]: expected a mapping with `kind` for `layers[0]`, found text `relu`"
            " (write `{kind: relu}`)"
        ],
    ),
    "kind of a union with one member": (
        {"learn": {"rule": "oia"}},
        ["FAC105 learn.rule: no rule is called `oia` (did you mean `oja`?)"],
    ),
    "an item fails: the list is not empty": (
        {"layers": [{"kind": "linear", "out": 0}]},
        ["FAC102 layers[0].out: `out` must be greater than 0, is 0 (write at least 1)"],
    ),
    "empty list": (
        {"layers": []},
        ["FAC102 layers: `layers` needs at least 1 item, has 0 (leave `layers` out)"],
    ),
    "one or many, one meant": (
        {"update": {"kind": "linear", "out": "abc"}},
        ["FAC102 update.out: expected a whole number for `out`, found text `abc`"],
    ),
    "one or many, many meant": (
        {"update": [LINEAR, {"kind": "rleu"}]},
        ["FAC105 update[1].kind: no kind is called `rleu` (did you mean `relu`?)"],
    ),
    "one or many, neither": (
        {"update": 5},
        ["FAC102 update: expected a mapping with `kind` or a list for `update`, found `5`"],
    ),
    "number or word": (
        {"train": {"samples": "al"}},
        [
            "FAC102 train.samples: expected a whole number or `all` for `samples`, found text `al`"
            " (did you mean `all`?)"
        ],
    ),
    "number or word, out of range": (
        {"train": {"samples": 0}},
        ["FAC102 train.samples: `samples` must be at least 1, is 0"],
    ),
    "told apart by a key": (
        {"routes": [{"to": 1}, {"through": "x", "rnk": 2}]},
        [
            'FAC102 routes[0].to: expected text for `to`, found `1` (write it in quotes: `"1"`)',
            "FAC103 routes[1].rnk^: `rnk` is not a field of `routes[1]` (did you mean `rank`?)",
        ],
    ),
    "told apart by a key that is missing": (
        {"routes": [{"rank": 1}]},
        ["FAC104 routes[0]: expected a mapping with `to` or `through`"],
    ),
    "told apart by a key that is misspelt": (
        {"routes": [{"thru": "a"}]},
        ["FAC104 routes[0]: expected a mapping with `to` or `through` (did you mean `through`?)"],
    ),
    "told apart by a function, kind": (
        {"schedule": {"kind": "cosin"}},
        ["FAC105 schedule.kind: no kind is called `cosin` (did you mean `cosine`?)"],
    ),
    "told apart by a function, word": (
        {"schedule": "cosin"},
        [
            "FAC102 schedule: expected `constant`, `cosine` or a mapping for `schedule`, found text `cosin`"
            " (did you mean `cosine`?)"
        ],
    ),
    "told apart by a function, range": (
        {"schedule": {"kind": "cosine", "floor": 1.5}},
        ["FAC102 schedule.floor: `floor` must be at most 1, is 1.5"],
    ),
    "told apart by a function, other": (
        {"schedule": 5},
        ["FAC102 schedule: expected `constant`, `cosine` or a mapping for `schedule`, found `5`"],
    ),
    "no is text": (
        {"layers": [{**LINEAR, "bias": "no"}]},
        ["FAC102 layers[0].bias: expected `true` or `false` for `bias`, found text `no` (write `false`)"],
    ),
    "number in quotes": (
        {"shape": ["784"]},
        [
            "FAC102 shape[0]: expected a whole number for `shape[0]`, found text `784`"
            " (write `784` without quotes)"
        ],
    ),
    "real number in quotes": (
        {"lr": "1e-3"},
        ["FAC102 lr: expected a number for `lr`, found text `1e-3` (write `1e-3` without quotes)"],
    ),
    "whole number with a point": (
        {"train": {"epochs": 5.0}},
        ["FAC102 train.epochs: expected a whole number for `epochs`, found `5.0` (write `5`)"],
    ),
    "boolean as number": (
        {"train": {"epochs": True}},
        ["FAC102 train.epochs: expected a whole number for `epochs`, found `true`"],
    ),
    "number for a list": (
        {"shape": 784},
        ["FAC102 shape: expected a list for `shape`, found `784` (write a list: `[784]`)"],
    ),
    "number for a fixed list": (
        {"sides": 16},
        [
            "FAC102 sides: expected a list of 2 whole numbers for `sides`, found `16` (write a list: `[16, 16]`)"
        ],
    ),
    "one item for a fixed list": (
        {"sides": [16]},
        ["FAC102 sides: `sides` takes 2 items, has 1 (write `[16, 16]`)"],
    ),
    "item of a fixed list": (
        {"pair": [1, 2]},
        ['FAC102 pair[1]: expected text for `pair[1]`, found `2` (write it in quotes: `"2"`)'],
    ),
    "nothing for a section": (
        {"train": None},
        ["FAC102 train: expected a mapping for `train`, found nothing (give `train` a value, or remove it)"],
    ),
    "list for a section": (
        {"train": [1]},
        ["FAC102 train: expected a mapping for `train`, found a list"],
    ),
    "neither a number nor two": (
        {"window": {"kernel": "a"}},
        [
            "FAC102 window.kernel: expected a whole number or a list of 2 whole numbers for `kernel`, found text `a`"
        ],
    ),
    "one number in a list of two": (
        {"window": {"kernel": [3]}},
        ["FAC102 window.kernel: `kernel` takes 2 items, has 1 (write `3` or `[3, 3]`)"],
    ),
    "three numbers in a list of two": (
        {"window": {"kernel": [1, 2, 3]}},
        [
            "FAC102 window.kernel: `kernel` takes 2 items, has 3"
            " (`kernel` takes a whole number or a list of 2 whole numbers)"
        ],
    ),
    "no number in a list of two": (
        {"window": {"kernel": []}},
        [
            "FAC102 window.kernel: `kernel` takes 2 items, has 0"
            " (`kernel` takes a whole number or a list of 2 whole numbers)"
        ],
    ),
    "one text in a list of two": (
        {"window": {"kernel": ["a"]}},
        [
            "FAC102 window.kernel: `kernel` takes 2 items, has 1"
            " (`kernel` takes a whole number or a list of 2 whole numbers)"
        ],
    ),
    "one of two numbers": (
        {"window": {"kernel": [3, 0]}},
        ["FAC102 window.kernel[1]: `kernel[1]` must be at least 1, is 0"],
    ),
    "a word beside a number and two": (
        {"window": {"padding": "sam"}},
        [
            "FAC102 window.padding: expected `same`, a whole number or a list of 2 whole numbers for `padding`,"
            " found text `sam` (did you mean `same`?)"
        ],
    ),
    "only a list of two": ({"pair": [1]}, ["FAC102 pair: `pair` takes 2 items, has 1"]),
    "values of a mapping": (
        {"scales": {"a": "x", "b": 1}},
        ["FAC102 scales.a: expected a number for `a`, found text `x`"],
    ),
    "word": (
        {"mode": "ad"},
        ["FAC102 mode: expected `replace` or `add` for `mode`, found text `ad` (did you mean `add`?)"],
    ),
    "version": (
        {"fac": 2},
        [
            "FAC102 fac: expected `1` for `fac`, found `2` (this `fac` reads version 1 of the format, and no other)"
        ],
    ),
    "version in quotes": (
        {"fac": "1"},
        ["FAC102 fac: expected `1` for `fac`, found text `1` (write `1` without quotes)"],
    ),
    "limits": ({"lr": 2}, ["FAC102 lr: `lr` must be less than 1, is 2"]),
    "text too short": (
        {"tag": ""},
        ["FAC102 tag: `tag` needs at least 1 character, has 0 (leave `tag` out)"],
    ),
    "text too long": ({"tag": "abcd"}, ["FAC102 tag: `tag` takes at most 3 characters, has 4"]),
    "pattern": ({"tag": "A"}, ["FAC102 tag: `tag` is `A`, which does not match `^[a-z]*$`"]),
    "rule of a field": ({"train": {"seed": 1}}, ["FAC102 train.seed: seed must be even"]),
    "rule of the whole": ({"tag": "bad"}, ["FAC102 : the spec contradicts itself"]),
    "everything at once": (
        {"layers": [{"kind": "x"}, {"kind": "linear"}], "lr": 0, "trian": 1},
        [
            "FAC103 trian^: `trian` is not a field of the spec (did you mean `train`?)",
            f"FAC105 layers[0].kind: no kind is called `x` ({KINDS})",
            "FAC104 layers[1]: `linear` needs `out` (`out` takes a whole number)",
            "FAC102 lr: `lr` must be greater than 0, is 0",
        ],
    ),
}


@pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES.keys())
def test_findings(data: dict[str, object], expected: list[str]) -> None:
    assert findings(**data) == expected


REAL: dict[str, tuple[dict[str, object], list[str]]] = {
    "name that would begin a line of a log": (
        {"name": "x\n::error::y"},
        ["FAC102 name: the name of a spec is one line of printable text"],
    ),
    "name without letters": ({"name": ""}, ["FAC102 name: `name` needs at least 1 character, has 0"]),
    "a longer name": (
        {"dataset": {"source": "digits"}},
        ["FAC103 dataset^: `dataset` is not a field of the spec (did you mean `data`?)"],
    ),
    "a longer name, and one like it is missing": (
        {"dataset": {"source": "digits"}, "update": None},
        [
            "FAC103 dataset^: `dataset` is not a field of the spec (did you mean `data`?)",
            "FAC104 : the spec needs `update` (`update` takes a mapping with `rule`)",
        ],
    ),
    "a name with more around it": (
        {"train": {"num_epochs": 3, "batch_size": 4}},
        [
            "FAC103 train.num_epochs^: `num_epochs` is not a field of `train` (did you mean `epochs`?)",
            "FAC103 train.batch_size^: `batch_size` is not a field of `train` (did you mean `batch`?)",
        ],
    ),
    "another word for it": (
        {"update": None, "optimizer": {"rule": "sgd", "lr": 1}},
        ["FAC103 optimizer^: `optimizer` is not a field of the spec (did you mean `update`?)"],
    ),
    "another word for it, within": (
        {"update": {"rule": "sgd", "learning_rate": 0.1}},
        ["FAC103 update.learning_rate^: `learning_rate` is not a field of `sgd` (did you mean `lr`?)"],
    ),
    "kind for rule": (
        {"update": {"kind": "adam", "lr": 0.1}},
        ["FAC103 update.kind^: `kind` is not a field here (write `rule: adam`)"],
    ),
    "kind for rule, misspelt too": (
        {"update": {"kind": "adm", "lr": 0.1}},
        ["FAC103 update.kind^: `kind` is not a field here (write `rule: adam`)"],
    ),
    "kind for rule, of nothing known": (
        {"update": {"kind": "xyz", "lr": 0.1}},
        [
            "FAC103 update.kind^: `kind` is not a field here"
            " (write `rule`, which is one of `sgd`, `adam`, `adamw`, `rmsprop`, `muon`, `gram_orthogonal`)"
        ],
    ),
    "type for kind": (
        {"layers": [{"type": "linear", "out": 4}]},
        ["FAC103 layers[0].type^: `type` is not a field here (write `kind: linear`)"],
    ),
    "type for source": (
        {"data": {"type": "digits"}},
        ["FAC103 data.type^: `type` is not a field here (write `source: digits`)"],
    ),
    "type for kind, where a word would do": (
        {"update": {"rule": "sgd", "lr": 1, "schedule": {"type": "cosine"}}},
        ["FAC103 update.schedule.type^: `type` is not a field here (write `kind: cosine`)"],
    ),
    "kind for rule, where routes could be written out": (
        {"feedback": {"kind": "fa"}},
        ["FAC103 feedback.kind^: `kind` is not a field here (write `rule: fa`)"],
    ),
    "a kind for a list of kinds": (
        {"probes": "alignment"},
        ["FAC102 probes: expected a list for `probes`, found text `alignment` (write `[{kind: alignment}]`)"],
    ),
    "one item for a list of kinds": (
        {"probes": {"kind": "alignment"}},
        ["FAC102 probes: expected a list for `probes`, found a mapping (write it in brackets: `[{...}]`)"],
    ),
    "a number for a bound": (
        {"constraints": {"backward_macs_vs_backprop": 0.9, "peak_memory": "1 MiB"}},
        [
            "FAC102 constraints.backward_macs_vs_backprop: expected a mapping for `backward_macs_vs_backprop`, "
            "found `0.9` (write `{at_most: 0.9}`)",
            "FAC102 constraints.peak_memory: expected a mapping for `peak_memory`, found text `1 MiB` "
            "(write `{at_most: 1 MiB}`)",
        ],
    ),
    "a list for a mapping with one": (
        {"input": (3, 4)},
        ["FAC102 input: expected a mapping for `input`, found a list (write `{shape: [3, 4]}`)"],
    ),
    "a list that does not fit": (
        {"input": (3, "x")},
        ["FAC102 input: expected a mapping for `input`, found a list"],
    ),
    "true for a bound": (
        {"constraints": {"backward_macs": True}},
        ["FAC102 constraints.backward_macs: expected a mapping for `backward_macs`, found `true`"],
    ),
    "names on an allow-list": (
        {"constraints": {"allowed_rules": ("dfaa", "routes"), "allowed_matrices": ("rnadom",)}},
        [
            "FAC105 constraints.allowed_rules[0]: no feedback rule is called `dfaa` (did you mean `dfa`?)",
            "FAC105 constraints.allowed_matrices[0]: no feedback operator is called `rnadom` (did you mean `random`?)",
        ],
    ),
    "a name on an allow-list that is like no other": (
        {"constraints": {"allowed_learning": ("xyz",)}},
        [
            "FAC105 constraints.allowed_learning[0]: no learning rule is called `xyz`"
            " (there are `fixed`, `oja`, `kolen_pollack`, `local`, `normative`, `weight_mirror`, `forward_gradient`)"
        ],
    ),
}


@pytest.mark.parametrize(("data", "expected"), REAL.values(), ids=REAL.keys())
def test_findings_of_the_spec(data: dict[str, object], expected: list[str]) -> None:
    whole = {
        "fac": 1,
        "name": "x",
        "input": {"shape": (4,)},
        "layers": ({"kind": "linear", "out": 4},),
        "loss": {"kind": "mse"},
        "update": {"rule": "sgd", "lr": 0.1},
    }
    document = from_data({k: v for k, v in {**whole, **data}.items() if v is not None})
    _, found = parse(document)
    assert [
        f"{d.rule.code} {dotted(d.path)}{'^' * d.key}: {d.message}" + (f" ({d.help})" if d.help else "")
        for d in found
    ] == expected


def test_codes() -> None:
    assert [(rule.code, rule.name) for rule in RULES] == [
        ("FAC102", "invalid-value"),
        ("FAC103", "unknown-key"),
        ("FAC104", "missing-key"),
        ("FAC105", "unknown-kind"),
    ]


def test_no_spec_has_a_silent_or_pydantic_worded_error() -> None:
    """Each value that a text can hold, at each place: there is a finding, and it is in our words."""
    values: list[object] = [None, True, 0, -1, 0.5, "", "text", (), (1,), {}, {"a": 1}, {"kind": "x"}]
    for name in Spec.model_fields:
        for value in values:
            data = {"fac": 1, name: value}
            try:
                Spec.model_validate(data)
            except pydantic.ValidationError as error:
                found = translate(error, data, Spec)
                assert found
                assert not any("Input" in d.message or "input" in d.message for d in found), found


SPEC = """\
fac: 1
name: example
input: {shape: [4]}
layers: [{kind: linear, name: out, out: 4}]
loss: {kind: mse}
update: {rule: sgd, lr: 0.1}
"""


@pytest.mark.parametrize(
    ("old", "wrong", "mended"),
    [
        ("loss: {kind: mse}", "loss: mse", "loss: {kind: mse}"),
        ("loss: {kind: mse}", "loss: 'crossentropy'", "loss: {kind: cross_entropy}"),
        ("loss: {kind: mse}", '"loss": mse', '"loss": {"kind": "mse"}'),
        ("loss: {kind: mse}", "loss: {kind: mse}\ndata: digits", "loss: {kind: mse}\ndata: {source: digits}"),
        (", name: out", ", init: uniform", ", init: uniform"),  # nobody knows which bound
        ("layers: [", "layers: [relu, ", "layers: [{kind: relu}, "),
        (
            "update:",
            "feedback: {routes: [{to: out, matrix: random}]}\nupdate:",
            "feedback: {routes: [{to: out, matrix: {kind: random}}]}\nupdate:",
        ),
        (
            "update:",
            "feedback: {subspaces: [{name: s, rank: 2, basis: oia}]}\nupdate:",
            "feedback: {subspaces: [{name: s, rank: 2, basis: {rule: oja}}]}\nupdate:",
        ),
        ("update:", "probes: alignment\nupdate:", "probes: [{kind: alignment}]\nupdate:"),
        ("{shape: [4]}", "4", "{shape: [4]}"),
        ("{shape: [4]}", "[4]", "{shape: [4]}"),
        ("fac: 1", 'fac: "1"', "fac: 1"),
        (
            "update:",
            "constraints: {backward_macs: 1e6, peak_memory: 1 MiB, allowed_rules: [routs]}\nupdate:",
            'constraints: {backward_macs: {at_most: 1000000.0}, peak_memory: {at_most: "1 MiB"}, '
            "allowed_rules: [routes]}\nupdate:",
        ),
    ],
)
def test_what_is_surely_meant_is_mended(old: str, wrong: str, mended: str) -> None:
    document = parse_text(SPEC.replace(old, wrong))
    fixes = [finding.fix for finding in parse(document)[1] if finding.fix]
    assert edited(document, fixes).document.text == SPEC.replace(old, mended)


@pytest.mark.parametrize(
    ("old", "wrong"), [("{kind: mse}", "xyz"), ("{rule: sgd, lr: 0.1}", "adamm"), ("fac: 1", "fac: 2")]
)
def test_what_could_mean_several_things_is_left(old: str, wrong: str) -> None:
    (finding,) = parse(parse_text(SPEC.replace(old, wrong)))[1]
    assert finding.fix is None
