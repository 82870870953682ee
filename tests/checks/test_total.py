"""No spec makes the checks fail, and a spec that they pass compiles: random specs with every kind of mistake."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from fac.build.functions import build_probe, functions
from fac.build.initial import draw as initial
from fac.checks import run_checks
from fac.diagnostics import Severity
from fac.program.lower import lower
from fac.spec.model import ModelSpec
from fac.step.verify import verify

NAMES = ["a", "b", "c", "linear_1", "relu_1", "task", "a.weight", "nowhere", "input", "loss", "x", "", "a b"]
NAMED = ["a", "b", "c", "d", "e", "f"]
SPEC: dict[str, Any] = {"fac": 1, "name": "random", "loss": {"kind": "mse"}}
HUGE = {"kind": "normal", "std": 1e200}
UPDATES: list[dict[str, Any]] = [
    {"rule": "sgd", "lr": 0.1},
    {
        "rule": "adam",
        "lr": 0.1,
        "groups": ({"match": "*.weight", "weight_decay": 0.1}, {"match": "*.feedback.*"}, {"match": "*"}),
    },
    {
        "rule": "sgd",
        "lr": 0.1,
        "momentum": 0.5,
        "clip": {"by": "norm", "at": 1.0},
        "feedback": {"lr_scale": 2.0},
    },
    {
        "rule": "gram_orthogonal",
        "lr": 0.1,
        "groups": ({"match": "*.weight", "keep": 1}, {"match": "b*", "trainable": False}),
    },
]

names = st.sampled_from(NAMES)
targets = st.sampled_from(["targets", "targets.a"])
globs = st.sampled_from(["*", "a", "b*", "nowhere*", *NAMES])
widths = st.sampled_from([1, 2, 3, 5])
ranks = st.sampled_from([1, 2, 4])
learning = st.sampled_from(["fixed", "oja", "kolen_pollack", "local", "normative", "forward_gradient"]).map(
    lambda rule: {"rule": rule}
)

layers = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("linear"), "out": widths},
        optional={
            "name": names,
            "from": names,
            "trainable": st.booleans(),
            "bias": st.booleans(),
            "init": st.sampled_from(["zeros", "orthogonal", HUGE]),
        },
    ),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["relu", "flatten", "dropout", "tanh", "sigmoid"])},
        optional={"name": names, "from": names},
    ),
    st.fixed_dictionaries(
        {"kind": st.just("add")},
        optional={"name": names, "from": st.lists(names, min_size=1, max_size=3).map(tuple)},
    ),
)
masks = st.one_of(
    st.fixed_dictionaries({"per_unit": ranks}, optional={"rank": ranks}),
    st.fixed_dictionaries({"density": st.sampled_from([0.5, 1.0])}),
)
said = {"combine": st.just("add"), "signs": st.just(True), "error_scale": st.just("sum")}
matrices = st.one_of(
    st.fixed_dictionaries({"kind": st.sampled_from(["identity", "transpose"])}),
    st.fixed_dictionaries(
        {"kind": st.just("random")},
        optional={
            "learn": learning,
            "init": st.sampled_from(["like_forward", "launay", "crafton", "orthogonal", "zeros", HUGE]),
            "mask": masks,
            "shared": st.booleans(),
        },
    ),
    st.fixed_dictionaries(
        {"kind": st.just("low_rank"), "rank": ranks},
        optional={
            "read": learning,
            "write": learning,
            "init": st.sampled_from(["random", "svd"]),
            "refresh": st.just(3),
            "init_P": st.just("zeros"),
            "scale": st.sampled_from([0.0, 2.0, -1e-300, 1e300]),
        },
    ),
)
routes = st.one_of(
    st.fixed_dictionaries({"through": globs, "matrix": matrices}),
    st.fixed_dictionaries(
        {"to": globs, "matrix": matrices},
        optional={"from": st.one_of(names, targets), "at": names, **said},
    ),
)
subspaces = st.fixed_dictionaries(
    {"name": names, "rank": ranks}, optional={"of": st.one_of(names, targets), "basis": learning}
)
short_hands = st.one_of(
    st.fixed_dictionaries({"rule": st.sampled_from(["bp", "dfa", "shallow"])}, optional={"nodes": globs}),
    st.fixed_dictionaries(
        {"rule": st.sampled_from(["dfa", "drtp"])},
        optional={"mask": masks, "shared": st.booleans(), "error_scale": st.just("sum")},
    ),
    st.fixed_dictionaries({"rule": st.just("fa")}, optional={"nodes": globs, "learn": learning}),
    st.fixed_dictionaries(
        {"rule": st.sampled_from(["ldfa", "direct_ldfa"]), "rank": ranks},
        optional={
            "nodes": globs,
            "learn": st.sampled_from(["fixed", "local", "kolen_pollack"]),
            "rate": st.just(0.5),
            "scale": st.just(0.0),
        },
    ),
)
sections = st.one_of(
    short_hands,
    st.fixed_dictionaries(
        {},
        optional={
            "subspaces": st.lists(subspaces, max_size=3).map(tuple),
            "routes": st.lists(routes, max_size=4).map(tuple),
        },
    ),
)
probes = st.sampled_from(["alignment", "captured_energy", "conservation", "feedback_alignment"]).map(
    lambda kind: {"kind": kind}
)
specs = st.fixed_dictionaries(
    {
        **{key: st.just(value) for key, value in SPEC.items()},
        "input": st.fixed_dictionaries({"shape": st.sampled_from([(2,), (3,), (2, 2)])}),
        "layers": st.lists(layers, max_size=6).map(tuple),
        "loss": st.sampled_from([{"kind": "cross_entropy"}, {"kind": "mse"}]),
        "feedback": st.one_of(sections, st.lists(sections, max_size=2).map(tuple)),
        "update": st.sampled_from(UPDATES),
        "probes": st.lists(probes, max_size=3).map(tuple),
        "constraints": st.fixed_dictionaries(
            {}, optional={"no_weight_transport": st.booleans(), "max_rank": ranks}
        ),
    }
)


@st.composite
def sound_networks(draw: st.DrawFn) -> dict[str, Any]:
    """Networks without a mistake, and routes between their layers that fit more often than not."""
    built: list[dict[str, Any]] = []
    shapes = {"input": 3}
    for name in NAMED[: draw(st.integers(1, 6))]:
        kind = draw(st.sampled_from(["linear", "linear", "relu", "dropout", "flatten", "add"]))
        below = draw(st.sampled_from([list(shapes)[-1], *shapes]))
        alike = [other for other in shapes if shapes[other] == shapes[below]]
        layer: dict[str, Any] = {"kind": kind, "name": name, "from": below}
        shapes[name] = shapes[below]
        if kind == "linear":
            layer |= {
                "out": draw(st.sampled_from([2, 3])),
                "trainable": draw(st.sampled_from([True, True, False])),
            }
            shapes[name] = layer["out"]
        if kind == "dropout":
            layer["rate"] = draw(st.sampled_from([0.0, 0.5]))
        if kind == "add":
            layer["from"] = (below, draw(st.sampled_from(alike)))
        built.append(layer)
    node = st.sampled_from([layer["name"] for layer in built if layer["kind"] == "linear"] or ["*"])
    source = st.sampled_from(["loss", "loss", "task", "targets", *NAMED[: len(built)]])
    to = st.fixed_dictionaries(
        {"to": node, "from": source, "matrix": matrices},
        optional={"at": st.sampled_from(NAMED[: len(built)]), **said},
    )
    through = st.fixed_dictionaries({"through": node, "matrix": matrices})
    task = {
        "name": "task",
        "rank": draw(st.sampled_from([1, 2])),
        "basis": {"rule": draw(st.sampled_from(["fixed", "oja"]))},
    }
    written = {"subspaces": (task,), "routes": tuple(draw(st.lists(st.one_of(to, through), max_size=3)))}
    feedback = draw(st.one_of(short_hands, st.just(written), st.just((draw(short_hands), written))))
    update = draw(st.sampled_from(UPDATES))
    return SPEC | {"input": {"shape": (3,)}, "layers": tuple(built), "feedback": feedback, "update": update}


def check_and_compile(spec: dict[str, Any]) -> bool:
    """Whether the spec has no errors. If so, all functions can be built, and every tensor drawn."""
    program = lower(ModelSpec.model_validate(spec))
    found = run_checks(program)
    assert list(found) == list(dict.fromkeys(found))
    if any(finding.rule.severity is Severity.ERROR for finding in found):
        return False
    made = functions(program)
    for function in (made.forward, made.evaluate, made.step, build_probe(program)):
        verify(function)
    arrays = initial(made.tensors, 0)
    assert len(arrays) == len(made.tensors)
    assert all(arrays[tensor.name].shape == tensor.shape for tensor in made.tensors)
    return True


@settings(max_examples=250)
@given(specs)
def test_no_mistake_makes_the_checks_fail(spec: dict[str, Any]) -> None:
    check_and_compile(spec)


@settings(max_examples=200)
@given(sound_networks())
def test_what_the_checks_pass_compiles(spec: dict[str, Any]) -> None:
    event(f"passed: {check_and_compile(spec)}")
