"""Reading ahead: an iterator runs in a thread of its own, some items before they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from queue import Empty, Full, Queue
from typing import Final, TypeVar

T = TypeVar("T")

_DEPTH: Final = 4
_MOMENT_S: Final = 0.05
"""How soon a thread notices that nobody asks any more."""


def ahead(items: Iterator[T], gate: threading.Semaphore) -> Generator[T]:
    """The same items; at most so many threads work at once as `gate` lets in. What is raised there is raised here."""
    made: Queue[T | _Over] = Queue(_DEPTH)
    stop = threading.Event()
    thread = threading.Thread(target=_work, args=(items, gate, made, stop), daemon=True)
    thread.start()
    try:
        while True:
            item = made.get()
            if isinstance(item, _Over):
                if item.error is not None:
                    raise item.error
                return
            yield item
            del item  # its memory is used again
    finally:
        stop.set()
        while thread.is_alive():
            try:
                made.get(timeout=_MOMENT_S)
            except Empty:
                continue
        thread.join()


class _Over:
    """The end, or what ended it."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def _work(items: Iterator[T], gate: threading.Semaphore, made: Queue[T | _Over], stop: threading.Event) -> None:
    error: BaseException | None = None
    try:
        while not stop.is_set():
            with gate:
                item = next(items, None)
            if item is None:
                break
            _put(made, item, stop)
            del item
        if isinstance(items, Generator):
            items.close()
    except BaseException as raised:
        error = raised
    _put(made, _Over(error), stop)


def _put(made: Queue[T | _Over], item: T | _Over, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            made.put(item, timeout=_MOMENT_S)
            return
        except Full:
            continue
