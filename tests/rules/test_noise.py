"""Alpha dropout and drop path: the laws of their papers, in numbers."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

import fac
from fac.layers.noise import ALPHA_DROPOUT, DROP_PATH, AlphaDropout, DropPath
from fac.testing.alone import Alone
from fac.testing.nets import Data, batch, linear, spec

SHAPE = (3, 4)
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def noise(samples: int, mean: float = 0.0) -> Any:
    return mean + np.random.default_rng(1).standard_normal((samples, *SHAPE))


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_drop_path_drops_whole_samples(rate: float) -> None:
    x = noise(4000)
    ratio = (Alone(DROP_PATH, DropPath(rate=rate), (SHAPE,)).output(x) / x).reshape(4000, -1)
    assert np.ptp(ratio, axis=1).max() <= 1e-12
    kept = ratio[:, 0] > 0.5
    np.testing.assert_allclose(ratio[:, 0], kept / (1 - rate), rtol=1e-12)
    assert abs(kept.mean() - (1 - rate)) <= 4 * sqrt(rate * (1 - rate) / 4000)


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_alpha_dropout_is_that_of_the_paper(rate: float) -> None:
    """a (x d + alpha' (1 - d)) + b with a = (q + alpha'^2 q (1 - q))^(-1/2), b = -a (1 - q) alpha', q = 1 - rate."""
    x, q, lowest = noise(4000), 1 - rate, -SELU_SCALE * SELU_ALPHA
    y = Alone(ALPHA_DROPOUT, AlphaDropout(rate=rate), (SHAPE,)).output(x)
    a = (q + lowest**2 * q * (1 - q)) ** -0.5
    b = -a * (1 - q) * lowest
    dropped = np.abs(y - (a * lowest + b)) < 1e-12
    np.testing.assert_allclose(y, np.where(dropped, a * lowest + b, a * x + b), rtol=1e-12, atol=1e-12)
    assert abs(dropped.mean() - rate) <= 4 * sqrt(rate * q / x.size)
    # Mean and variance of what has mean 0 and variance 1 stay.
    assert abs(y.mean()) <= 4 / sqrt(x.size)
    assert abs(y.var() - 1) <= 0.03


@pytest.mark.parametrize("kind", ["alpha_dropout", "drop_path"])
def test_a_measurement_has_no_noise_and_steps_have_another_each(kind: str) -> None:
    def net(*between: Data) -> Any:
        layers = (linear("fc1", 6), *between, linear("out", 3))
        return fac.compile(spec(layers), "reference", "float64").open()

    noisy, plain = net({"kind": kind, "rate": 0.5}), net()
    x, y = batch(9)
    assert np.array_equal(noisy.forward(x), plain.forward(x))
    start = noisy.state()
    first = float(noisy.step(x, y)["loss"])
    noisy.load_state(start | {"step": np.array(1)})
    second = float(noisy.step(x, y)["loss"])
    noisy.load_state(start)
    assert float(noisy.step(x, y)["loss"]) == first != second
    assert float(net({"kind": kind, "rate": 0.0}).step(x, y)["loss"]) == float(plain.step(x, y)["loss"])
