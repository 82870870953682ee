"""Random numbers of a step: a hash of (seed, stream, step, index), and the dropout made of it."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

import numpy as np
import pytest

from fac.step.builder import Builder
from fac.step.random import bernoulli, mix, uniform_bits
from fac.step.types import DType, N, Type
from fac_reference.interpreter import run
from tests.rules.nets import Array, Spec, batch, gradients, opened, put, spec

UNITS = 500
BITS = 32


def mask(keep: float, *, seed: int = 0, name: str = "drop", step: int = 0, n: int = 200) -> Array:
    """[n, UNITS] of zeros and ones."""
    b = Builder()
    b.input("x", Type((N, UNITS)))
    found = bernoulli(b, (N, UNITS), keep, seed, name, b.scalar("step", DType.INT))
    function = b.finish("mask", {"mask": found})
    return np.asarray(run(function, {"x": np.zeros((n, 1)), "step": step}, np.dtype(np.float64))["mask"])


def mixed(numbers: Array) -> Array:
    """The hash of 32-bit numbers."""
    b = Builder()
    x = b.input("x", Type((N,), DType.INT))
    return np.asarray(run(b.finish("mix", {"y": mix(b, x)}), {"x": numbers}, np.dtype(np.float64))["y"])


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.8, 0.99])
def test_the_keep_rate_is_within_four_sigma(keep: float) -> None:
    """In all, per unit and per sample: 100,000 numbers, of which no row or column may stand out."""
    found = mask(keep)
    assert set(np.unique(found)) == {0.0, 1.0}
    sigma = sqrt(keep * (1 - keep))
    assert abs(found.mean() - keep) <= 4 * sigma / sqrt(found.size)
    for axis in (0, 1):
        # the largest of some hundred deviations may reach 5 sigma
        assert np.abs(found.mean(axis) - keep).max() <= 5 * sigma / sqrt(found.shape[axis])
        assert found.mean(axis).std() == pytest.approx(sigma / sqrt(found.shape[axis]), rel=0.25)


def drawn(n: int, seed: int, name: str, steps: Iterable[int]) -> Array:
    """[steps, n]: the numbers of 24 bits of each step."""
    b = Builder()
    b.input("x", Type((N,)))
    bits = uniform_bits(b, (N,), seed, name, b.scalar("step", DType.INT))
    function, x = b.finish("bits", {"bits": bits}), np.zeros(n)
    return np.stack([run(function, {"x": x, "step": step}, np.dtype(float))["bits"] for step in steps])


def test_no_two_masks_of_20_seeds_200_steps_and_4_streams_are_one_in_any_order() -> None:
    """As numbers of 24 bits, of which a mask is a comparison; sorted, so that another order is no other mask.

    The seeds are neighbours, then 2^32 apart, and the last ones that there are. Counts of units that are kept have
    the spread of independent draws.
    """
    seeds = [*range(10), *(k * 2**32 for k in range(1, 6)), *(2**64 - k for k in range(1, 6))]
    masks = [drawn(64, seed, name, range(200)) for seed in seeds for name in ("drop", "drop2", "a", "b")]
    numbers = np.concatenate(masks)
    assert len(numbers) == len({row.tobytes() for row in np.sort(numbers, 1)}) == 16_000
    kept = (numbers < 0.8 * 2**24).sum(1)
    assert abs(kept.mean() - 0.8 * 64) <= 4 * sqrt(0.16 * 64 / len(kept))
    assert kept.var() == pytest.approx(0.16 * 64, rel=4 * sqrt(2 / len(kept)))


def test_masks_of_other_seeds_streams_and_steps_do_not_correlate() -> None:
    """600 masks of 4,096 units: 179,700 correlations of deviation 1/64, of which the largest may reach 6."""
    masks = [drawn(4096, seed, name, range(10)) for seed in range(20) for name in ("drop", "drop2", "a")]
    signs = np.where(np.concatenate(masks) < 2**23, 1.0, -1.0)
    correlations = (signs @ signs.T / 64)[np.triu_indices(len(signs), 1)]
    assert np.abs(correlations).max() <= 6
    assert abs(correlations.mean()) <= 0.02
    assert correlations.std() == pytest.approx(1, abs=0.02)


def test_each_bit_of_seed_and_step_and_each_other_name_and_index_flips_half_of_the_bits() -> None:
    """Avalanche of the whole hash: frequencies of 4,096 trials (deviation .0078), 24 for each bit that is changed."""
    n = 4096
    base = drawn(n, 5, "drop", [9])[0]
    others = [drawn(n, 5 ^ 1 << bit, "drop", [9])[0] for bit in range(64)]
    others += list(drawn(n, 5, "drop", [9 ^ 1 << bit for bit in range(63)]))
    others += [drawn(n, 5, f"drop{k}", [9])[0] for k in range(16)]
    others += [base[np.arange(n) ^ 1 << bit] for bit in range(12)]
    flips = np.array([[((base ^ other) >> out & 1).mean() for out in range(24)] for other in others])
    assert np.abs(flips - 0.5).max() <= 0.045


def test_neighbours_are_independent() -> None:
    found = mask(0.5)
    for a, b in ((found[1:], found[:-1]), (found[:, 1:], found[:, :-1])):
        assert abs((a == b).mean() - 0.5) <= 4 * 0.5 / sqrt(a.size)


def test_a_mask_is_a_function_of_its_arguments_and_not_of_the_batch() -> None:
    np.testing.assert_array_equal(mask(0.5), mask(0.5))
    np.testing.assert_array_equal(mask(0.5, n=200)[:50], mask(0.5, n=50))


def test_the_bits_are_uniform() -> None:
    b = Builder()
    b.input("x", Type((N, UNITS)))
    bits = uniform_bits(b, (N, UNITS), 3, "drop", b.scalar("step", DType.INT))
    inputs = {"x": np.zeros((400, 1)), "step": 7}
    found = run(b.finish("bits", {"bits": bits}), inputs, np.dtype(np.float64))["bits"]
    assert found.min() >= 0
    assert found.max() < 2**24
    counts = np.bincount(found.ravel() >> 16, minlength=256)
    expected = found.size / 256
    # chi squared with 255 degrees of freedom: mean 255, deviation 22.6
    assert abs(((counts - expected) ** 2 / expected).sum() - 255) <= 4 * 22.6


def test_the_hash_is_a_bijection() -> None:
    numbers = np.r_[np.arange(2**18), 2**32 - 1 - np.arange(2**18)]
    found = mixed(numbers)
    assert len(np.unique(found)) == len(numbers)
    assert found.min() >= 0
    assert found.max() < 2**BITS


@pytest.mark.parametrize("numbers", ["random", "counting"])
def test_each_input_bit_flips_each_output_bit_half_of_the_time(numbers: str) -> None:
    """Avalanche: 32 x 32 frequencies, each of 20,000 trials (deviation .0035)."""
    x = np.random.default_rng(0).integers(0, 2**BITS, 20_000) if numbers == "random" else np.arange(20_000)
    base, flips = mixed(x), np.zeros((BITS, BITS))
    for bit in range(BITS):
        changed = base ^ mixed(x ^ (1 << bit))
        flips[bit] = [(changed >> out & 1).mean() for out in range(BITS)]
    assert np.abs(flips - 0.5).max() <= 0.03


RATE = 0.4
WIDTH = 64
NET: tuple[Spec, ...] = (
    {"kind": "linear", "name": "fc1", "out": WIDTH},
    {"kind": "dropout", "name": "drop", "rate": RATE},
    {"kind": "linear", "name": "fc2", "out": WIDTH, "bias": False},
)


def test_inference_has_no_dropout() -> None:
    x, _ = batch()
    y = np.zeros((12, WIDTH))
    session, bare = (opened(spec(layers, loss="mse")) for layers in (NET, (NET[0], NET[2])))
    np.testing.assert_array_equal(session.forward(x), bare.forward(x))
    assert session.evaluate(x, y) == bare.evaluate(x, y)
    assert session.step(x, y)["loss"] != bare.step(x, y)["loss"]


@pytest.mark.parametrize("feedback", [{"rule": "bp"}, {"rule": "fa"}], ids=["bp", "fa"])
@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_values_and_errors_pass_through_the_same_mask(backend: str, feedback: Spec) -> None:
    """One sample, W2 = B = I: gW2 holds the values that were kept, gb1 the errors that were."""
    session = opened(spec(NET, feedback, loss="mse"), backend)
    identity = {n: np.eye(WIDTH) for n in session.state() if n in ("fc2.weight", "fc2.feedback.B")}
    put(session, identity)
    x, y = np.random.default_rng(0).standard_normal((1, 7)), np.full((1, WIDTH), 10.0)
    state, g = session.state(), gradients(session, x, y)
    hidden = (x @ state["fc1.weight"].T + state["fc1.bias"])[0]
    kept = g["fc2.weight"].any(0)
    assert 0.3 < kept.mean() < 0.9
    h = hidden * kept / (1 - RATE)
    e = 2 * (h - y[0]) / WIDTH
    np.testing.assert_allclose(g["fc2.weight"], np.outer(e, h), atol=1e-13, rtol=0)
    np.testing.assert_allclose(g["fc1.bias"], e * kept / (1 - RATE), atol=1e-13, rtol=0)


def test_each_step_draws_anew_and_a_state_that_is_loaded_draws_the_same() -> None:
    session = opened(spec(NET, loss="mse"))
    x, y = batch()[0], np.zeros((12, WIDTH))
    start = session.state()
    first, second = (session.step(x, y, lr=0.0)["loss"] for _ in range(2))
    assert first != second
    session.load_state(start)
    assert [session.step(x, y, lr=0.0)["loss"] for _ in range(2)] == [first, second]
