"""Kills, full disks and failing ones at every call that writes: old or new, whole, and the next call works.

Two calls of each command with each fault, the same each day; `FAC_FUZZ` tries all.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from subprocess import PIPE

from tests.children import begun
from tests.faults.injector import FAULTS
from tests.faults.scenes import SCENES

ROOT = Path(__file__).parents[2]
EVERY_DAY = 2


def test_what_a_command_writes_is_old_or_new_wherever_it_is_cut_off_and_the_next_call_works() -> None:
    """All commands that write, in folders that are new and over what was there before.

    And where eight compilations go into one folder at once, one of them is there in the end.
    """
    count = 0 if os.environ.get("FAC_FUZZ") else EVERY_DAY
    command = [sys.executable, "-m", "tests.faults.server", str(count)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with begun(command, cwd=ROOT, env=environment, stdout=PIPE, stderr=PIPE) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    found = json.loads(out)
    assert found["problems"] == {}
    assert found["rows"] == len(SCENES) * len(FAULTS)
    assert found["points"] > 800
    assert found["tried"] == (count * found["rows"] or found["points"])
