"""No spec makes the checks fail, and a spec that they pass compiles: random specs with every kind of mistake."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fac.build.functions import functions
from fac.build.initial import draw as initial
from fac.checks import run_checks
from fac.diagnostics import Severity
from fac.program.lower import lower
from fac.spec.model import ModelSpec
from fac.step.verify import verify

NAMES = ["a", "b", "c", "linear_1", "relu_1", "task", "a.weight", "nowhere", "input", "loss", "x", "", "a b"]
names = st.sampled_from(NAMES)
globs = st.sampled_from(["*", "a", "b*", "nowhere*", *NAMES])
widths = st.sampled_from([1, 2, 3, 5])
ranks = st.sampled_from([1, 2, 4])
learning = st.sampled_from(["fixed", "oja", "kolen_pollack", "local", "normative"]).map(
    lambda rule: {"rule": rule}
)

layers = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("linear"), "out": widths},
        optional={"name": names, "from": names, "trainable": st.booleans(), "bias": st.booleans()},
    ),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["relu", "flatten", "dropout"])}, optional={"name": names, "from": names}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("add")}, optional={"name": names, "from": st.lists(names, max_size=3).map(tuple)}
    ),
)
matrices = st.one_of(
    st.fixed_dictionaries({"kind": st.sampled_from(["identity", "transpose"])}),
    st.fixed_dictionaries(
        {"kind": st.just("random")},
        optional={"learn": learning, "init": st.sampled_from(["like_forward", "launay"])},
    ),
    st.fixed_dictionaries(
        {"kind": st.just("low_rank"), "rank": ranks},
        optional={
            "read": learning,
            "write": learning,
            "init": st.sampled_from(["random", "svd"]),
            "refresh": st.just(3),
        },
    ),
)
routes = st.one_of(
    st.fixed_dictionaries({"through": globs, "matrix": matrices}),
    st.fixed_dictionaries(
        {"to": globs, "matrix": matrices},
        optional={"from": names, "at": names, "combine": st.just("add")},
    ),
)
subspaces = st.fixed_dictionaries({"name": names, "rank": ranks}, optional={"of": names, "basis": learning})
short_hands = st.one_of(
    st.fixed_dictionaries({"rule": st.sampled_from(["bp", "dfa", "shallow"])}, optional={"nodes": globs}),
    st.fixed_dictionaries({"rule": st.just("fa")}, optional={"nodes": globs, "learn": learning}),
    st.fixed_dictionaries(
        {"rule": st.sampled_from(["ldfa", "direct_ldfa"]), "rank": ranks},
        optional={"nodes": globs, "learn": st.sampled_from(["fixed", "local", "kolen_pollack"])},
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
specs = st.fixed_dictionaries(
    {
        "fac": st.just(1),
        "name": st.just("random"),
        "input": st.fixed_dictionaries({"shape": st.sampled_from([(2,), (3,), (2, 2)])}),
        "layers": st.lists(layers, max_size=6).map(tuple),
        "loss": st.sampled_from([{"kind": "cross_entropy"}, {"kind": "mse"}]),
        "feedback": st.one_of(sections, st.lists(sections, max_size=2).map(tuple)),
        "update": st.sampled_from(
            [
                {"rule": "sgd", "lr": 0.1},
                {"rule": "adam", "lr": 0.1, "groups": ({"match": "a.*", "weight_decay": 0.1},)},
            ]
        ),
        "constraints": st.fixed_dictionaries(
            {}, optional={"no_weight_transport": st.booleans(), "max_rank": ranks}
        ),
    }
)


@settings(deadline=None, max_examples=1000)
@given(specs)
def test_checks_are_total_and_what_they_pass_compiles(spec: dict[str, Any]) -> None:
    program = lower(ModelSpec.model_validate(spec))
    found = run_checks(program)
    assert list(found) == list(dict.fromkeys(found))
    if not any(finding.rule.severity is Severity.ERROR for finding in found):
        made = functions(program)
        for function in (made.forward, made.evaluate, made.step, made.probe):
            verify(function)
        names = [tensor.name for tensor in made.tensors]
        assert len(set(names)) == len(names)
        assert {name: array.shape for name, array in initial(made.tensors, 0).items()} == {
            tensor.name: tensor.shape for tensor in made.tensors
        }
