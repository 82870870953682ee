"""Passes by name: a step after one of them, and a program without some."""

from __future__ import annotations

import pytest

import fac
from fac.build.after import behind, step_after
from fac.build.costs import cost, optimised_step
from fac.build.disabling import passes_of, without
from fac.diagnostics import FacError
from fac.pipeline import compiled, find_backend, lowered
from fac.step.text import to_text
from fac.testing.nets import mlp, spec

DATA = spec(mlp(6, 3), {"rule": "ldfa", "rank": 2}, {"rule": "sgd", "lr": 0.1, "momentum": 0.9})
CORE = "`fold_constants`, `turn_matrices`, `share_common`, `drop_dead`"


def test_after_a_pass() -> None:
    program = lowered(DATA)
    built, shared, last = (step_after(program, name) for name in ("build", "share_common", "drop_dead"))
    assert last == to_text(optimised_step(program))
    assert len(built.splitlines()) > len(shared.splitlines()) >= len(last.splitlines())
    less = step_after(without(program, ["share_common"], None), "drop_dead")
    assert len(less.splitlines()) > len(last.splitlines())
    message = f"no pass is called `fuse`; there are `build`, {CORE}; those of a backend"
    with pytest.raises(FacError, match=message):
        step_after(program, "fuse")


def test_what_lies_behind_a_pass_of_a_backend() -> None:
    torch = find_backend("torch")
    names = [step.name for step in passes_of(torch)]
    assert behind("addmm", torch) == tuple(names[names.index("addmm") + 1 :])
    assert behind(names[-1], torch) == ()
    with pytest.raises(FacError, match=r"no pass for `torch` is called `adddmm`, did you mean `addmm`\?"):
        behind("adddmm", torch)


@pytest.mark.parametrize("backend", ["torch", "onnx", "reference"])
def test_a_name_that_no_pass_has_is_told_with_those_that_there_are(backend: str) -> None:
    with pytest.raises(FacError) as caught:
        fac.compile(DATA, backend, disable=["share_comon"])
    assert str(caught.value).startswith(
        f"no pass for `{backend}` is called `share_comon`, did you mean `share_common`? there are {CORE}"
    )


def test_passes_of_another_backend_are_none_of_this_one() -> None:
    with pytest.raises(FacError, match="no pass for `onnx` is called `tie_rows`"):
        fac.compile(DATA, "onnx", disable=["tie_rows"])
    with pytest.raises(FacError, match="disable"):
        fac.compile(DATA, "onnx", disable="fuse_products")


def test_all_functions_are_without_it() -> None:
    """Also what is made of the compiled spec later: the probe, views, and what the cost counts."""
    names = frozenset({"fold_constants", "share_common", "turn_matrices"})
    all_of, less = lowered(DATA), without(lowered(DATA), names, None)
    whole, made = compiled(all_of), compiled(less)
    assert made.disabled == names
    for name in ("step", "probe"):
        one, other = getattr(whole, name), getattr(made, name)
        assert len(other.ops) > len(one.ops), name
    assert made.views is not None
    assert made.views("errors").disabled == names
    moved = [sum(layer.total.bytes for layer in cost(of, 8).step.layers) for of in (all_of, less)]
    assert moved[0] < moved[1]


def test_a_backend_is_given_the_names_and_emits_without_them() -> None:
    made, less = fac.compile(DATA, "torch"), fac.compile(DATA, "torch", disable=["update_kernels"])
    assert "kernels.sgd" in made.listing()
    assert "kernels.sgd" not in less.listing()
