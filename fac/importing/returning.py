"""Arrays of a trained network as PyTorch keeps those of a module: the way back of `fac import`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fac.backend import STEP, Array, Precision
from fac.importing.adapting import merged
from fac.layers import BatchNorm
from fac.program.program import Program
from fac.spec.state_dict import StateKey

MEAN = "running_mean"
COUNT = "num_batches_tracked"
"""What PyTorch calls the number of batches that a normalisation has seen."""


def state_dict(program: Program, state: Mapping[str, Array], precision: Precision) -> dict[str, Array]:
    """Parameters and averages by their keys, for `load_state_dict(..., strict=True)`.

    Adapters are merged into the weights beside them. Feedback and what an update keeps are left out: no module has
    them. A normalisation has seen as many batches as the training made steps.

    Args:
        program: the network.
        state: of it.
        precision: of the arrays.

    Raises:
        FacError: adapters cannot be merged.
    """
    return keyed(program, merged(program, state), state[STEP], precision)


def keyed(
    program: Program, arrays: Mapping[str, Array], steps: Array, precision: Precision
) -> dict[str, Array]:
    """Arrays by their keys in the module.

    Args:
        program: the network.
        arrays: by the names that they have in it without adapters.
        steps: how many the training made.
        precision: of the result.
    """
    entries = {entry.array: entry for entry in program.spec.state_dict}
    normed = {node.name for node in program.nodes if isinstance(node.layer, BatchNorm)}
    found: dict[str, Array] = {}
    for name, array in arrays.items():
        owner, _, part = name.rpartition(".")
        entry = entries.get(name) or StateKey(array=name)
        for key in entry.keys:
            found[key] = _kept(array.astype(precision), entry)
            if owner in normed and part == MEAN:
                found[key.removesuffix(MEAN) + COUNT] = np.array(steps, np.int64)
    return found


def _kept(array: Array, entry: StateKey) -> Array:
    turned = array.T if entry.transpose else array
    # in memory as it is written: files of tensors do not know strides
    return np.ascontiguousarray(turned.reshape(entry.shape) if entry.shape else turned)
