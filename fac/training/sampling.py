"""Text from a trained network: byte by byte, each drawn from what the network expects behind those before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fac.diagnostics import FacError
from fac.step.reach import ahead
from fac.training.data.text import CODES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fac.backend import Feed, Session

CAUSAL = 1e-4
"""How far, relative to the largest, an output may move with what stands behind it: rounding, in float32."""

DIVERGED = "the network's outputs are not finite: it has diverged, train it anew with a smaller `update.lr`"


def continued(session: Session, prompt: bytes, length: int, temperature: float, seed: int) -> Iterator[int]:
    """So many bytes behind the prompt.

    The network reads a window of the last bytes. Where it is not yet full, zeros stand behind them; a causal network
    sees none of these.

    Args:
        session: of a network from bytes [T] to a number for each possible next byte, [T, 256].
        prompt: at least one byte.
        length: how many bytes to draw.
        temperature: by which the outputs are divided before the softmax; at 0 the most likely byte is taken.
        seed: of the draws.

    Raises:
        FacError: it is no such network, or what it says of a byte depends on those behind; or an output is not finite.
    """
    import numpy as np

    window = _window(session)
    _require_causal(session, window)
    draws = np.random.Generator(np.random.Philox(seed))
    text = list(prompt)
    for _ in range(length):
        seen = text[-window:]
        x = np.zeros((1, window), np.int64)
        x[0, : len(seen)] = seen
        expected = np.asarray(session.forward(x), np.float64)[0, len(seen) - 1]
        if not np.isfinite(expected).all():
            raise FacError(DIVERGED)
        text.append(drawn(expected, temperature, draws))
        yield text[-1]


def drawn(z: NDArray[np.float64], temperature: float, draws: np.random.Generator) -> int:
    """One of the numbers of z, by the softmax of z over the temperature; at 0 the largest."""
    import numpy as np

    if temperature == 0:
        return int(z.argmax())
    shares = np.exp((z - z.max()) / temperature)
    # By the inverse of the sums rather than `choice`, whose algorithm may change between releases of NumPy.
    sums = np.cumsum(shares)
    return int(np.searchsorted(sums, draws.random() * sums[-1], side="right").clip(max=len(z) - 1))


def _window(session: Session) -> int:
    """How many bytes it reads.

    Raises:
        FacError: it is no network that tells the next byte.
    """
    compiled = session.compiled
    inputs = compiled.inputs
    fits = len(inputs) == 1 and inputs[0].classes == CODES and len(inputs[0].shape) == 1
    if not fits or compiled.output != (*inputs[0].shape, CODES):
        read = " and ".join(f"{list(feed.shape)} of {_numbers(feed)}" for feed in inputs)
        raise FacError(
            f"`{compiled.name}` does not tell the next byte of a text: that takes `input: {{shape: [T], classes: "
            f"{CODES}}}` and outputs [T, {CODES}], and it reads {read} and makes {list(compiled.output)}"
        )
    return inputs[0].shape[0]


def _numbers(feed: Feed) -> str:
    if feed.mask:
        return "zeros and ones"
    return "real numbers" if feed.classes is None else f"whole numbers below {feed.classes}"


def _require_causal(session: Session, window: int) -> None:
    """What a network says of a byte in the middle does not depend on what follows: as its ops tell, and a try."""
    import numpy as np

    compiled = session.compiled
    (_, output), *_ = compiled.forward.outputs
    if mixing := ahead(compiled.forward, compiled.inputs[0].name, output):
        raise _looks_ahead(session, f": `{mixing[0]}` makes a place of later ones too")
    draws = np.random.Generator(np.random.Philox(0))
    x = draws.integers(CODES, size=(1, window))
    other = x.copy()
    half = (window + 1) // 2
    other[:, half:] = (other[:, half:] + 1 + draws.integers(CODES - 1, size=(1, window - half))) % CODES
    here, there = (np.asarray(session.forward(each), np.float64)[:, :half] for each in (x, other))
    if not np.isfinite(here).all():
        raise FacError(DIVERGED)
    if np.abs(here - there).max() > CAUSAL * np.abs(here).max():
        raise _looks_ahead(session, ": its outputs change with the bytes behind")


def _looks_ahead(session: Session, why: str) -> FacError:
    return FacError(
        f"`{session.compiled.name}` looks ahead{why}, so it cannot go on with a text; write `causal: true` in its "
        "attention"
    )
