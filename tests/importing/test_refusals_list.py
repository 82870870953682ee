"""What cannot be imported is one list, a line each, whoever asks."""

from __future__ import annotations

import pytest

from fac.importing.refusals import ListedError


def test_each_refusal_has_a_line_and_names_are_data() -> None:
    with pytest.raises(ListedError) as caught:
        raise ListedError("two cannot", ["a\nb", "c"])
    assert str(caught.value) == "two cannot\n  a\\nb\n  c"
