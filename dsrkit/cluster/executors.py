"""Where tasks are done: in this process, in others, or on a dask cluster. All do the same with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar

from dsrkit.classes import dataclass
from dsrkit.errors import DsrkitError, MissingDependency, UsageError

WAIT: Final = "10s"
"""For a scheduler to answer."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Lost:
    """A task that failed: why, and at which worker, if that is known."""

    why: str
    where: str = ""


class Executor(Protocol):
    """Does tasks in any order; results are in the order of the items. `avoid`: workers that failed with an item."""

    def run(self, task: Callable[[T], R], items: Sequence[T], avoid: Mapping[int, str]) -> list[R | Lost]: ...


def guarded(task: Callable[[T], R], item: T, where: str = "") -> R | Lost:
    """A task's result, or why there is none: one slice must not end all others."""
    try:
        return task(item)
    except DsrkitError as error:
        return Lost(str(error), where)
    except Exception as error:
        return Lost(f"{type(error).__name__}: {error}", where)


class Here:
    """One after the other in this process."""

    def run(self, task: Callable[[T], R], items: Sequence[T], avoid: Mapping[int, str]) -> list[R | Lost]:
        return [guarded(task, item) for item in items]


class Processes:
    """In processes of this machine."""

    def __init__(self, count: int) -> None:
        self._count = count

    def run(self, task: Callable[[T], R], items: Sequence[T], avoid: Mapping[int, str]) -> list[R | Lost]:
        with ProcessPoolExecutor(self._count, get_context("spawn")) as pool:
            return [_result(future) for future in [pool.submit(guarded, task, item) for item in items]]


class Cluster:
    """On the workers of a dask scheduler, which need dsrkit and the same paths.

    Raises: MissingDependency without dask.distributed; UsageError where the scheduler is not to be reached.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise MissingDependency("--cluster needs dask.distributed: pip install 'dsrkit[cluster]'") from None
        try:
            self._client = Client(address, timeout=WAIT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(f"--cluster {address!r}: no scheduler answers there ({error})") from None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def run(self, task: Callable[[T], R], items: Sequence[T], avoid: Mapping[int, str]) -> list[R | Lost]:
        workers = list(self._client.ncores())
        if not workers:
            raise UsageError("--cluster: the scheduler has no workers")
        futures = []
        for i, item in enumerate(items):
            others = [worker for worker in workers if worker != avoid.get(i)]
            only = {"workers": others, "allow_other_workers": True} if avoid.get(i) and others else {}
            futures.append(self._client.submit(_on_worker, task, item, pure=False, **only))
        return [_result(future) for future in futures]


def _on_worker(task: Callable[[T], R], item: T) -> R | Lost:
    from distributed import get_worker

    return guarded(task, item, get_worker().address)


def _result(future: Any) -> Any:
    """Of a future; its process may have died."""
    try:
        return future.result()
    except Exception as error:
        return Lost(f"{type(error).__name__}: {error}".split("\n")[0])
