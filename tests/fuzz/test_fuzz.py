"""Random specs in random layouts, and what changes of their text make of them.

`FAC_FUZZ` is the number of inputs, in rounds of a thousand, so that hypothesis never has to remember too much. They
are the same each time: `FAC_FUZZ_FROM` is the number of the first round, and another one gives others.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from fac.diagnostics import Severity
from tests.fuzz.choices import Choices
from tests.fuzz.grammar import spec
from tests.fuzz.judge import compiles, judge
from tests.fuzz.layout import write
from tests.fuzz.mutation import layout, mutated
from tests.fuzz.networks import network

EVERY_DAY = 2_000
ROUND = 1_000
INPUTS = int(os.environ.get("FAC_FUZZ") or EVERY_DAY)
FIRST = int(os.environ.get("FAC_FUZZ_FROM") or 0)

Body = Callable[[bytes], None]


def rounds(count: int, body: Body) -> None:
    """Run `body` on so many inputs."""
    for turn in range(max(1, count // ROUND)):
        chosen = settings(
            max_examples=min(count, ROUND),
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        seed(FIRST + turn)(chosen(given(st.binary(min_size=400, max_size=400))(body)))()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "input.fac.yaml"


def test_sound_text_is_read_as_it_was_written(file: Path) -> None:
    """Specs in every layout: the data come back, and every key and value is found where it was written."""
    seen = Counter[str]()

    def body(data: bytes) -> None:
        choices = Choices(data)
        made = network(choices) if choices.rarely(4) else spec(choices)
        written = write(made, layout(choices))
        # Two line ends of old are one to no reader, and a lone surrogate is no text at all.
        file.write_bytes(written.text.encode("utf-8"))
        note(f"input: {file.read_bytes()!r}")
        judged = judge(file, choices.pick(250))
        assert judged is not None
        document, found = judged
        unreadable = [f for f in found if f.rule.code in ("FAC101", "FAC106", "FAC108")]
        seen["unreadable" if unreadable else "read"] += 1
        if not unreadable:
            for places, offsets in ((document.keys, written.keys), (document.values, written.values)):
                for path, place in offsets.items():
                    assert places[path] == written.span(place), path
        if choices.rarely(3):
            passed = compiles(document)
            seen["compiled" if passed else "refused"] += 1
            assert passed != any(f.rule.severity is Severity.ERROR for f in found)

    rounds(INPUTS // 2, body)
    assert min(seen[kind] for kind in ("read", "compiled", "refused")) > INPUTS // 50, seen


def test_changed_text_has_findings_and_no_traceback(file: Path) -> None:
    """The same after changes that know nothing of YAML, bytes that are not UTF-8 among them."""
    seen = Counter[str]()

    def body(data: bytes) -> None:
        choices = Choices(data)
        made = network(choices) if choices.rarely(4) else spec(choices)
        text = write(made, layout(choices)).text
        file.write_bytes(mutated(text, choices))
        note(f"input: {file.read_bytes()!r}")
        judged = judge(file, choices.pick(250))
        for finding in judged[1] if judged else ():
            seen[finding.rule.code] += 1
        seen["refused" if judged is None else "judged"] += 1

    rounds(INPUTS - INPUTS // 2, body)
    for kind in ("refused", "judged", "FAC101", "FAC102", "FAC103", "FAC106", "FAC108", "FAC201"):
        assert seen[kind] > INPUTS // 1000, kind
