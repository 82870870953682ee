"""A step by `torch.compile` and a C++ compiler, which takes half a minute."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fac.testing.nets import linear, spec
from tests.backends.test_torch_compiled import ROUNDING, both, stepped
from tests.passes.specs import MOMENTUM


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_compiled_step_copies_no_weight(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the C++ compiler: in what it is given nothing as large as a weight is allocated, and the numbers are right."""
    from torch._inductor.utils import run_and_get_code

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    layers = (linear("fc1", 31), {"kind": "gelu"}, linear("out", 3))
    eager, compiled, batch = both(spec(layers, {"rule": "bp"}, MOMENTUM, shape=(29,)))
    losses, codes = run_and_get_code(partial(stepped, compiled, batch))
    assert losses == pytest.approx(stepped(eager, batch), abs=ROUNDING)
    for key, value in eager.state().items():
        np.testing.assert_allclose(compiled.state()[key], value, rtol=ROUNDING, atol=ROUNDING, err_msg=key)
    (code,) = codes
    assert code.count("torch.ops.fac.sgd_outer.default(arg") == 2
    assert "(31, 29)" in code  # asserted of what is given
    assert "empty_strided_cpu((31, 29)" not in code
