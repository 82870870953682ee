"""Processes of a Ray cluster, on this machine or on several (https://docs.ray.io).

A training is a task of one CPU or GPU: it waits in the cluster's queue like those of others, and holds nothing once it
is over. What it makes it writes where a process of this machine would, so all machines have to see one file system: the
folder of the runs, the working directory, data and plug-ins. Each task looks before it begins.
"""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fac.build.threads import processors
from fac.diagnostics import FacError, plain
from fac.experiments import plan
from fac.experiments.executors.pool import ASKED, ENVIRONMENT, GOES_ON, Say, Setup, environment, made
from fac.experiments.rows import Run
from fac.experiments.trainer import Trainer
from fac.signals import ENDING
from fac.training.holding import LOCK
from fac.training.loop import StoppedError

if TYPE_CHECKING:
    from fac.experiments.queued import Make, Work

ADDRESS = "RAY_ADDRESS"
QUIET = {"logging_level": logging.CRITICAL, "log_to_driver": False}
TOKEN = secrets.token_hex(32)
"""What a cluster of this process asks of who talks to it. Ray would write one into the home folder."""
_TRAINERS: dict[str, Trainer] = {}
"""In a process of the cluster: what trains for a pool."""


@contextmanager
def opened(setup: Setup, jobs: int | None, say: Say) -> Iterator[_Pool]:
    """See `Workers.opened`."""
    with held(jobs):
        import ray

        machines = sum(node["Alive"] for node in ray.nodes())
        at = ray.get_runtime_context().gcs_address
        say(f"trainings go to the Ray cluster at {at}, of {machines} machine{'s' * (machines != 1)}")
        kind = "GPU" if (setup.where.device or "").startswith("cuda") else "CPU"
        there = int(ray.cluster_resources().get(kind, 0))
        if not there:
            raise FacError(f"the Ray cluster has no {kind} to train on")
        pool = _Pool(ray, setup, kind, min(there, jobs or there))
        try:
            yield pool
        finally:
            pool.close()


@contextmanager
def held(jobs: int | None) -> Iterator[None]:
    """See `Workers.held`: the cluster that `RAY_ADDRESS` names or that runs here, or else one that ends with this."""
    try:
        import ray
    except ImportError as error:
        raise FacError('`--executor ray` needs Ray: `pip install "fac-compiler[ray]"`') from error
    if ray.is_initialized():  # who calls has done so, and goes on with it
        yield
        return
    with TemporaryDirectory(prefix="fac-ray-", ignore_cleanup_errors=True) as folder:
        try:
            with _signals_kept():
                if not _joined(ray):
                    _begin(ray, processors() if jobs is None else jobs, folder)
            yield
        finally:
            ray.shutdown()


def _joined(ray: Any) -> bool:
    named = os.environ.get(ADDRESS, "")
    if "://" in named:
        raise FacError(
            f"`{ADDRESS}` is `{named}`, which is for clients of Ray: train on a machine of the cluster, with "
            f"`{ADDRESS}=HOST:PORT`"
        )
    if named == "local":
        return False
    if named not in ("", "auto"):
        _require_answer(named)
    try:
        ray.init("auto", **QUIET)
    except ConnectionError as error:
        if named:
            raise FacError(f"no Ray cluster answers at `{named}`, which `{ADDRESS}` names") from error
        return False
    except Exception as error:  # of a library that is not ours, anything
        raise FacError(f"the Ray cluster cannot be joined: {plain(str(error))}") from error
    return True


def _require_answer(named: str) -> None:
    """Refuse an address where nobody listens, which Ray asks for two minutes."""
    host, _, port = named.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise FacError(
            f"no Ray cluster answers at `{named}`, which `{ADDRESS}` names: {plain(str(error))}"
        ) from error


def _begin(ray: Any, processes: int, folder: str) -> None:
    asked = {"RAY_USAGE_STATS_ENABLED": "0"}
    if "RAY_AUTH_MODE" not in os.environ:
        asked["RAY_AUTH_TOKEN"] = TOKEN
    try:
        with environment(asked):
            ray.init(
                "local",
                num_cpus=processes,
                include_dashboard=False,
                _temp_dir=folder,
                **QUIET,
            )
    except Exception as error:  # of a library that is not ours, anything
        raise FacError(f"Ray does not start here: {plain(str(error))}") from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """What ends this process is heard as before, whatever Ray makes of it."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where this process is, for another one to tell whether it is there, too."""

    directory: str
    folder: str
    held: int
    """When that folder was taken hold of: no other has a lock of just that time, in nanoseconds."""
    version: str

    @classmethod
    def here(cls, folder: Path) -> _Place:
        """Of this process, which holds the folder."""
        held = (folder / LOCK).stat().st_mtime_ns
        return cls(os.getcwd(), str(folder.absolute()), held, plan.version())

    def missed(self) -> str:
        """Go there; why no training can be made here, empty if it can."""
        here = socket.gethostname()
        if plan.version() != self.version:
            return f"`{here}`, a machine of the Ray cluster, has fac {plan.version()}, and this one {self.version}"
        try:
            os.chdir(self.directory)
            if (Path(self.folder) / LOCK).stat().st_mtime_ns == self.held:
                return ""
        except OSError:
            pass
        return (
            f"`{here}`, a machine of the Ray cluster, does not see the folder `{self.folder}`: train in one that all "
            "machines share"
        )


class _Pool:
    """See `Pool`."""

    def __init__(self, ray: Any, setup: Setup, kind: str, jobs: int) -> None:
        self.ray, self.jobs = ray, jobs
        self.works: dict[Any, Work] = {}
        self.stopping = False
        # a copy for each process, which may write to it: what Ray shares it may not
        self.setup, self.key = ray.put(pickle.dumps(setup)), secrets.token_hex(8)
        self.place = _Place.here(setup.folder)
        own = {name: value for name, value in os.environ.items() if name.startswith("FAC_")}
        self.task = ray.remote(_made).options(
            num_cpus=1,
            num_gpus=int(kind == "GPU"),
            max_retries=0,
            runtime_env={"env_vars": own | ENVIRONMENT},
        )

    def close(self) -> None:
        """End what there is."""
        for reference in self.works:
            self.ray.cancel(reference, force=True)

    @property
    def busy(self) -> bool:
        return bool(self.works)

    @property
    def room(self) -> bool:
        return len(self.works) < self.jobs and not self.stopping

    def give(self, work: Work) -> None:
        # in a list it is fetched by who asks for it, and not for each task
        reference = self.task.remote([self.setup], self.key, self.place, work.make, work.seed)
        self.works[reference] = work

    def stop(self) -> None:
        if not self.stopping:
            for reference in self.works:
                self.ray.cancel(reference)  # as Ctrl-C would, in that process
        self.stopping = True

    def heard(self) -> Iterator[tuple[Work, str | Run | None]]:
        ready, _ = self.ray.wait([*self.works], timeout=ASKED)
        for reference in ready:
            work = self.works.pop(reference)
            texts, failure = self._ended(reference, work.seed)
            for text in texts:
                yield work, text
            yield work, failure

    def _ended(self, reference: Any, seed: int) -> tuple[Sequence[str], Run | None]:
        errors = self.ray.exceptions
        try:
            texts, failure, missed = self.ray.get(reference)
        except errors.RayError as error:
            if self.stopping:
                return (), None
            if isinstance(error, errors.RayTaskError):  # it did not come to train at all
                raise FacError(
                    f"a process of the Ray cluster cannot train: {plain(str(error.cause))}: have the same packages on "
                    "all machines"
                ) from error
            return (), Run(seed, None, (), f"its process died (`{type(error).__name__}`): {GOES_ON}")
        if missed:
            raise FacError(missed)
        return texts, failure


def _made(
    setup: Sequence[Any], key: str, place: _Place, make: Make, seed: int
) -> tuple[Sequence[str], Run | None, str]:
    """What a process of the cluster does: what it has to say, what it failed with, and why it cannot train at all."""
    if missed := place.missed():
        return (), None, missed
    said: list[str] = []

    def trainer() -> Trainer:
        if key not in _TRAINERS:
            import ray

            _TRAINERS.clear()
            _TRAINERS[key] = pickle.loads(ray.get(setup[0])).trainer()
        return _TRAINERS[key]

    try:
        return said, made(trainer, make, seed, said.append), ""
    except StoppedError:
        return said, None, ""
