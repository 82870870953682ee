"""What a trained network says of samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fac.backend import Array, Session
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.training.dataset import Split
from fac.training.evaluation import answers, probabilities


def predicted(
    session: Session, split: Split, program: Program, classes: Sequence[str] = ()
) -> dict[str, Array]:
    """The network as in inference, a part of the samples at a time.

    Args:
        session: with the state.
        split: samples that fit what the network reads.
        program: what the network is.
        classes: what the classes are called, in the order of their numbers.

    Returns:
        `output` [N, *output]. If the first loss is over classes, `label` INT [N, *places], the class of the largest
        output, and if there are names, `class`, that of the class or else its number; if it makes probabilities of
        outputs, `probability` of that class, float64 [N, *places].

    Raises:
        FacError: an output is not finite.
    """
    output = np.concatenate([output for _, output in answers(session, split)])
    found: dict[str, Array] = {"output": output}
    kind = kind_of("fac.losses", program.spec.minimised[0])
    if kind.classes:
        rows = np.moveaxis(output, 1 + session.compiled.losses[0].axis, -1)
        label = rows.argmax(-1)
        found["label"] = label
        if classes:
            numbers = map(str, range(len(classes), rows.shape[-1]))
            found["class"] = np.array([*classes, *numbers])[label]
        if kind.inside == "softmax":
            found["probability"] = np.take_along_axis(probabilities(rows), label[..., None], -1)[..., 0]
    return found
