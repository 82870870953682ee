"""The evaluation of a whole is made of its parts, however a session cuts it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from fac.backend.session import CHUNK
from fac.testing.case import Case, Subject, compare
from fac.testing.nets import NET, Data, batch, spec
from fac.testing.tolerance import TOLERANCE

WEIGHT = (0.0, 2.0, 0.5)
"""Of the classes. All labels in the last chunk are of the first."""
SMOOTHING = (0.0, 0.3)
MEANS: dict[str, Data] = {
    "mse": {"kind": "mse"},
    "huber": {"kind": "huber", "delta": 0.5},
    "bce, weighted": {"kind": "bce", "pos_weight": (0.5, 3.0, 1.0)},
}
"""Losses that are means over samples."""


def cases() -> Iterator[Case]:
    """One for each loss."""
    for smoothing in SMOOTHING:
        name = f"session/a chunk in which no class counts x smoothing {smoothing}"
        yield Case(name, partial(weighs_nothing, smoothing))
    for name, loss in MEANS.items():
        yield Case(f"session/the evaluation is one, however it is cut x {name}", partial(cut, loss))


def weighs_nothing(smoothing: float, subject: Subject) -> None:
    """sum_n <q_n, -log softmax(z_n)> / sum_n w[y_n], q_n = w ((1 - a) onehot(y_n) + a / C), over all chunks."""
    x, y = batch(n=CHUNK + 3)
    y[CHUNK:] = 0
    loss = {"kind": "cross_entropy", "weight": WEIGHT, "label_smoothing": smoothing}
    session = subject.open(spec(NET) | {"loss": loss})
    for start in (0, CHUNK):  # the whole, and what counts for nothing alone
        labels, weight = y[start:], np.array(WEIGHT)
        z = session.forward(x[start:]).astype(np.float64)
        q = weight * ((1 - smoothing) * np.eye(3)[labels] + smoothing / 3)
        total = -(q * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum()
        expected = {
            "loss": total / (weight[labels].sum() or 1.0),
            "accuracy": (z.argmax(1) == labels).mean(),
        }
        compare(session.evaluate(x[start:], labels), expected, TOLERANCE["step"][subject.precision])


def cut(loss: Data, subject: Subject) -> None:
    """A mean over all is the mean of the means over parts, each as often as it has samples."""
    x, y = batch(n=CHUNK + 3, classes=None)
    y = 1 / (1 + np.exp(-y))
    session = subject.open(spec(NET) | {"loss": loss})
    middle = 700
    parts = [session.evaluate(x[part], y[part])["loss"] for part in (slice(middle), slice(middle, None))]
    mean = np.average(parts, weights=(middle, len(x) - middle))
    compare(session.evaluate(x, y), {"loss": mean}, TOLERANCE["step"][subject.precision])
