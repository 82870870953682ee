"""What ends a cluster of Ray, or a training in it. A minute and more: `make test` leaves it to `make test-tools`."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import grpc
import pytest

from tests.experiments.interrupting import files
from tests.tools.test_ray import AGENTS, COMPARE, begun, ended, fac, folder, logged, running

__all__ = ["folder"]


def test_whatever_ends_it_nothing_of_it_is_left_and_the_next_call_goes_on(folder: Path) -> None:
    """First a process of the cluster is killed, and then the call itself; another one hears Ctrl-C."""
    long = (*COMPARE, "--set", "train.epochs=40", "--out")
    with begun(*long, "part", "--executor", "ray", "--jobs", "2", does="one_dies") as process:
        assert process.stderr is not None
        at = process.stderr.readline().partition(" Ray cluster at ")[2].partition(",")[0]
        alive = grpc.insecure_channel(at).unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")
        with pytest.raises(grpc.RpcError, match=r"StatusCode\.UNAUTHENTICATED"):
            alive(b"")  # as anybody may ask who has no token
        died = "failed: its process died (`WorkerCrashedError`): the next call goes on with it"
        assert any(died in line for line in process.stderr)
        process.kill()
    assert ended(folder, AGENTS), running(folder)
    made = logged()
    with begun(*long, "part", "--executor", "ray", "--jobs", "2") as process:
        ends = time.monotonic() + 60
        while logged() == made and time.monotonic() < ends:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same call goes on from here" in err
    assert ended(folder), running(folder)
    assert logged() > made, "so that the next call has something to go on with"
    fac(*long, "part", "--jobs", "2")
    fac(*long, "whole", "--jobs", "2")
    assert files("part") == files("whole")
