"""A test run that is killed leaves no training behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.children import begun

ROOT = Path(__file__).parents[1]
PARENT = """\
import sys
from tests.children import begun
child = begun([sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"], stdout=-1)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def alive(child: Path) -> bool:
    """Whether a process is there; one that has ended may wait for somebody to ask how (`Z`)."""
    try:
        return child.read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(
    sys.platform != "linux", reason="no other system tells a process that its parent has ended"
)
def test_a_child_ends_with_its_parent_however_that_ends() -> None:
    with begun([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        child = Path("/proc") / parent.stdout.readline().strip() / "stat"
        assert alive(child)
        parent.kill()
    deadline = time.monotonic() + 60
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(child)
