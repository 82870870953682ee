"""python hear.py RUN [-o NAME]: what a training has learned, to be heard, looked at, and run elsewhere.

NAME.wav is the response of the network, NAME.svg how its energy decays and how dense its echoes are, beside the room's,
and NAME.onnx the network with whole delays, whose parameters are constants.
"""

from __future__ import annotations

import argparse
import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

import fac
from fac import pipeline, source, writing
from fac.plugin import FacError, load
from fac.render.plot import Trial, figure, render

HERE = Path(__file__).parent
POINTS = 256
Array = NDArray[np.float64]


def sound(h: Array, rate: float) -> bytes:
    """A WAV file, one channel of 16 bits, as loud as it can be.

    Raises:
        FacError: there is nothing to hear.
    """
    loudest = float(np.abs(h).max(initial=0))
    if not 0 < loudest < np.inf:
        raise FacError("the response is silent, or is no number: there is nothing to hear")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(round(rate))
        out.writeframes(np.round(h / loudest * 32767).astype("<i2").tobytes())
    return file.getvalue()


def curves(h: Array, rate: float) -> dict[str, list[float]]:
    """What is drawn of a response: `step` in seconds, `decay dB`, `echo density`."""
    room = load(HERE / "room.py")
    at = np.linspace(0, len(h) - 1, POINTS).astype(int)
    decay, dense = room.decay_db(h), room.counted(h)
    return {
        "step": (at / rate).tolist(),
        "decay dB": np.maximum(decay[at], -80).tolist(),
        "echo density": dense[at].tolist(),
    }


def picture(responses: dict[str, Array], rate: float) -> bytes:
    """An SVG of all of them."""
    trials = []
    for name, h in responses.items():
        drawn = curves(h, rate)
        rows = (dict(zip(drawn, row, strict=True)) for row in zip(*drawn.values(), strict=True))
        trials.append(Trial(name, (tuple(rows),)))
    return render(figure(trials, ("decay dB", "echo density"), axis="second"), "svg")


def told(run: str, name: str) -> str:
    """Write the three files, and say how the response is like the room's.

    Raises:
        FacError: that is no run of a delay network on data of a room, or a file cannot be written.
    """
    load(HERE / "delay_network.py")
    room = load(HERE / "room.py")
    document = source.read(str(Path(run) / "spec.fac.yaml"))
    spec = pipeline.lowered(document).spec
    layer: Any = spec.layers[0]
    data: Any = spec.data
    if [getattr(layer, "kind", None), getattr(data, "source", None)] != ["delay_network", "room"]:
        raise FacError(f"`{run}` is no training of a `delay_network` on data of a `room`")
    impulse = np.eye(1, data.samples)
    responses = {
        "room": room.response(data, 0),
        "learned": fac.predict(run, impulse)["output"][0].astype(np.float64),
    }
    whole = fac.compile(document, overrides={"layers.0.integer": True}, backend="onnx")
    known = whole.open().state()  # less than the run has: what is not learned has no moments of Adam
    state = {of: array for of, array in load_file(Path(run) / "state.safetensors").items() if of in known}
    exported = whole.export(state, f"{name}.onnx")
    responses["whole delays"] = exported.run(impulse.astype(np.float32))[0].astype(np.float64)
    writing.write(Path(f"{name}.wav"), sound(responses["learned"], layer.rate))
    writing.write(Path(f"{name}.svg"), picture(responses, layer.rate))
    times = ", ".join(f"{of} {room.reverberation(h, layer.rate):.3f} s" for of, h in responses.items())
    return f"reverberation time: {times}\n`{name}.wav`, `{name}.svg` and `{name}.onnx` are written"


def main() -> None:
    """Of the command line."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("run", help="the folder of a run of `fac train`")
    asked.add_argument("-o", "--output", default="room", help="what the files are called, without a suffix")
    given = asked.parse_args()
    try:
        print(told(given.run, given.output))
    except FacError as error:
        raise SystemExit(f"hear.py: {error}") from None


if __name__ == "__main__":
    main()
