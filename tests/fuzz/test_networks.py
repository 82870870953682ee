"""Random networks that mostly fit: what the checks pass is compiled, whatever layers meet in it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fac.diagnostics import Severity
from tests.fuzz.choices import Choices
from tests.fuzz.judge import compiles, judge
from tests.fuzz.layout import write
from tests.fuzz.mutation import layout
from tests.fuzz.networks import network
from tests.fuzz.test_fuzz import FIRST, INPUTS

COUNT = max(250, INPUTS // 20)
FEATURES = (
    *("attention", "embedding", "one_hot", "positional_embedding", "class_token", "patch_embed", "mlp"),
    *("rnn", "gru", "repeat", "residual", "permute", "zeros", "tie", "steps", "mask", "causal", "kv_heads"),
    *("inputs", "several losses", "target", "routes", "subspaces", "bp", "fa", "dfa", "ldfa", "shallow"),
)
"""What has to occur in networks that are compiled: kinds, keys and rules."""


def features(value: Any) -> Iterator[str]:
    """Kinds, rules, and the keys that hold something."""
    if isinstance(value, dict):
        yield from (key for key, held in value.items() if held not in (False, None, ()))
        yield from (value[key] for key in ("kind", "rule") if key in value)
        if len(value.get("losses", ())) > 1:
            yield "several losses"
        value = tuple(value.values())
    for item in value if isinstance(value, tuple) else ():
        yield from features(item)


def test_what_passes_is_compiled_and_each_feature_passes(tmp_path: Path) -> None:
    file, seen, reached = tmp_path / "network.fac.yaml", Counter[bool](), Counter[str]()
    for number in range(COUNT):
        choices = Choices(random.Random(f"{FIRST}.{number}").randbytes(400))
        made = network(choices)
        file.write_text(write(made, layout(choices)).text, "utf-8")
        judged = judge(file, choices.pick(250))
        assert judged is not None
        document, found = judged
        if any(f.rule.code in ("FAC101", "FAC106", "FAC108") for f in found):
            continue  # of a layout that YAML does not read
        passed = compiles(document)
        assert passed != any(f.rule.severity is Severity.ERROR for f in found), made
        seen[passed] += 1
        reached.update(set(features(made)) if passed else ())
    assert seen[True] > 3 * seen[False], seen
    assert {name: reached[name] for name in FEATURES if reached[name] < COUNT // 100} == {}
