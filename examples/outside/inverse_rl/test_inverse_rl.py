"""Its equations, derived anew, and what it refuses: `pytest examples/outside/inverse_rl`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import fac
from fac import pipeline, source
from fac.cli import fac as command
from fac.plugin import load
from fac.testing import check_kind

HOME = Path(__file__).parent
regulator, inverse_rl = (load(HOME / name) for name in ("regulator.py", "inverse_rl.py"))
SPEC, STEP = HOME / "inverse_rl.fac.yaml", HOME / "regulator_step.fac.yaml"
Array = NDArray[np.float64]


def changed(*changes: str, spec: Path = SPEC) -> source.Document:
    return source.override(source.read(str(spec)), changes)


@pytest.fixture(scope="module")
def plant() -> Any:
    return pipeline.lowered(changed()).spec.data


def test_the_expert_solves_its_riccati_equation_and_stabilises(plant: Any) -> None:
    has, (k, s) = plant.arrays, plant.expert
    a, b, q, r = has["a"], has["b"], has["q"], np.diag(has["r"])
    left = a.T @ s + s @ a - s @ b @ np.linalg.inv(r) @ b.T @ s + q
    assert np.abs(left).max() < 1e-10
    assert np.linalg.eigvals(a - b @ k).real.max() < 0
    # Seen along the columns of T = C^-1 this plant is three plants of one state each, x' = i x + u.
    one = np.array([1.0, 2, 3])
    gains = one + np.sqrt(one**2 + np.array([7.0, 4, 8]) / has["r"])
    np.testing.assert_allclose(k @ np.linalg.inv(has["c"]), np.diag(gains), atol=1e-10)


def test_a_trajectory_is_that_of_the_equations(plant: Any) -> None:
    """Without an excitation, against the exponential of the matrix; with one, against steps of a tenth."""
    calm = plant.model_copy(update={"excitation": 0.0})
    x, seen, u = regulator.trajectory(calm, 1.0, 0, 2.0)
    m, _ = regulator.closed(calm, calm.poles)
    values, vectors = np.linalg.eig(m)
    start = np.array([1.0] * 3 + [2.0] * 3)
    exact = np.real(vectors @ np.diag(np.exp(values)) @ np.linalg.solve(vectors, start.astype(complex)))
    np.testing.assert_allclose(np.concatenate([x[-1], seen[-1]]), exact, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(u, -x @ plant.expert[0].T, atol=1e-12)
    fine = plant.model_copy(update={"step": 0.001})
    rough, smooth = (regulator.trajectory(one, 1.0, 0, 2.0)[0] for one in (plant, fine))
    np.testing.assert_allclose(rough, smooth, atol=2e-3)


def test_the_observer_errs_less_by_its_poles(plant: Any) -> None:
    x, seen, _ = regulator.trajectory(plant, 20.0, 0, 2.0)
    wrong = (x - seen) @ plant.arrays["c"].T
    fades = np.exp(plant.every * np.arange(len(x) - 1)[:, None] * plant.poles)
    np.testing.assert_allclose(wrong[:-1], wrong[0] * fades, rtol=1e-6, atol=1e-9)


def test_rows_are_those_of_bellman_and_of_the_best_input(plant: Any) -> None:
    """By derivatives of x^T S x that are taken by differences, at random states, inputs and costs."""
    session = pipeline.compile(changed(), "reference", precision="float64").open()
    rng = np.random.default_rng(0)
    z, w = rng.standard_normal((7, 6)), rng.standard_normal(14)
    session.write({"cost.weight": w[None]})
    made = session.forward(z)[..., 0]
    s, q, r = inverse_rl.costs(w, 1.0, 3, 3)
    has = plant.arrays
    for row, (x, u) in zip(made, zip(z[:, :3], z[:, 3:], strict=True), strict=True):

        def slope(along: Array, x: Array = x) -> float:
            return float(((x + along) @ s @ (x + along) - (x - along) @ s @ (x - along)) / 2)

        bellman = slope(has["a"] @ x + has["b"] @ u) + x @ q @ x + u[1:] ** 2 @ r[1:]
        best = [slope(has["b"][:, j]) + (2 * u[j] * r[j] if j else 0.0) for j in range(3)]
        np.testing.assert_allclose(row, [bellman, *best], atol=1e-12)


def test_the_true_cost_satisfies_all_rows(plant: Any) -> None:
    session = pipeline.compile(changed(), "reference", precision="float64").open()
    (_, s), (i, j) = plant.expert, np.triu_indices(3)
    session.write({"cost.weight": np.concatenate([s[i, j], plant.arrays["q"][i, j], plant.r[1:]])[None]})
    test = regulator.load(plant, HOME, "float64").test
    assert np.abs(session.forward(test.x) - test.y).max() < 1e-9


def test_the_stack_moves_as_its_equation_says(plant: Any) -> None:
    """One long filled stack: W goes to the ridge solution, e-fold by e-fold along what is told apart well."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((60, 4, 6))
    targets = rows @ (true := rng.standard_normal(6))
    spec = inverse_rl.HistoryStack(rule="history_stack", samples=5, purge=1e6, condition=1e-9, every=0.1)
    start = np.zeros(6)
    (*_, (w, sigma, _)) = inverse_rl.estimates(spec, start, rows, targets)
    assert len(sigma) == 0
    np.testing.assert_array_equal(w, start)
    spec = spec.model_copy(update={"purge": 0.5, "condition": 1e-9})
    passed = list(inverse_rl.estimates(spec, start, rows, targets))
    np.testing.assert_allclose(passed[-1][0], true * (1 - 0.99 ** (10 * 56)), rtol=2e-3)


def test_a_full_stack_takes_what_conditions_it_better() -> None:
    rng = np.random.default_rng(2)
    stack = inverse_rl.Stack(4, 2, 3, 1e-3)
    held: list[Array] = []
    for number in range(40):
        rows = rng.standard_normal((2, 3)) * (0.1 if number < 4 else 1)
        before, had = stack.condition, [row.copy() for row in stack.rows]
        stack.add(rows, np.zeros(2))
        if number >= 4:
            choices = [[*had[:k], rows, *had[k + 1 :]] for k in range(4)]
            conditions = [np.linalg.cond(sum(one.T @ one for one in c) + 1e-3 * np.eye(3)) for c in choices]
            assert stack.condition == pytest.approx(min(before, *conditions), rel=1e-9)
        held.append(stack.condition)
    assert held[-1] < held[3]


def test_a_step_as_a_graph_is_that_of_the_data(plant: Any, tmp_path: Path) -> None:
    """Runge and Kutta's stages, against the one matrix that they come to, and against the source's samples."""
    pipeline.compile(changed(spec=STEP), "onnx", precision="float64").write(tmp_path)
    graph = onnxruntime.InferenceSession(tmp_path / "forward.onnx", providers=["CPUExecutionProvider"])
    zeros = {one.name: np.zeros(3) for one in graph.get_inputs() if one.name.endswith("gain")}
    every = plant.model_copy(update={"every": plant.step, "duration": 0.2})
    x, seen, u = regulator.trajectory(every, 0.2, 0, 2.0)
    v = regulator.excitation(every, 0)(plant.step * np.arange(41) / 2)
    for k in range(1, 19):
        row = np.concatenate([x[k], seen[k], v[2 * k + 2], v[2 * k + 3], v[2 * k + 4]])[None]
        (made,) = graph.run(None, {"x": row, **zeros})
        np.testing.assert_allclose(made[0], np.concatenate([x[k + 1], seen[k + 1], u[k + 1]]), atol=1e-12)


def test_kinds_keep_what_they_declare(plant: Any) -> None:
    """The rule is not among them: networks of `check_kind` have no rows of a cost."""
    data, of_step = regulator.KINDS
    rows, _ = inverse_rl.KINDS
    step = pipeline.lowered(changed(spec=STEP)).spec.layers[0]
    check_kind(data, plant.model_copy(update={"duration": 2.0, "test": 1.0}))
    check_kind(of_step, step, [(15,)])
    check_kind(rows, pipeline.lowered(changed()).spec.layers[0], [(6,)])


ROWS = "[[-0.2, 0.4, 1.6], [3.7, 1.6, -3.1], [-3.2, 0.4, 4.7]]"
MISTAKES = {
    "data.b=[[1, 2, 0], [-1, 3, 0], [1, 2, 0]]": "its input reaches 2 of 3 directions",
    "data.q=[[0, 0, 0], [0, 0, 0], [0, 0, 0]]": "the cost sees 0 of 3 directions",
    "data.q=[[1, 2, 0], [0, 1, 0], [0, 0, 1]]": "`q` has to be symmetric",
    "data.c=[[1, 0, 0], [1, 0, 0], [0, 0, 1]]": "`c` has to be invertible",
    "data.a=[[1, 0], [0, 1]]": "`b` has to be 2 rows of 3 numbers",
    "data.poles=[-1, 0.5, -2]": "`poles` has to be 3 negative numbers",
    "data.step=0.03": "`every` has to be a multiple of `step`",
    "data.poles=[-1, -1, -900]": "is too long for these equations",
    "data.duration=0.01": "`duration` is shorter than",
    f"data.a={ROWS}": "its rows are of another plant",
    "data.every=0.1": "samples come every 0.1 s, and `every` says 0.05 s",
    "solve.step=0.04": "no whole number of steps",
    "layers.cost.bias=true": "one output and no bias",
    "layers.rows.a=[[1, 0], [0]]": "`a` of `rows` has to be 2 rows of 2 numbers",
    "solve.epsilon=0": "epsilon",
}


@pytest.mark.parametrize("change", MISTAKES)
def test_mistakes_are_found_before_anything_runs(change: str) -> None:
    assert MISTAKES[change] in " ".join(f"{one.message} {one.help}" for one in fac.check(changed(change)))


def train(folder: Path, *changes: str) -> str:
    sets = [word for change in changes for word in ("--set", change)]
    ended = CliRunner().invoke(command, ["train", str(SPEC), "--out", str(folder / "out"), *sets])
    return f"{ended.output}{ended.exception or ''}"


def test_what_it_may_claim_is_said(tmp_path: Path) -> None:
    said = train(tmp_path, "data.duration=5")
    assert "products of states span 6 of 6 directions" in said
    assert "of 14 unknowns are told apart" in said
    assert "from the expert's" in said


def test_a_trajectory_too_short_for_a_stack_is_refused(tmp_path: Path) -> None:
    assert "10 samples fill no stack of 14" in train(tmp_path, "data.duration=0.5")
