"""Reading ahead: an iterator runs in a thread of its own, some items before they are asked for.

Whoever asks and finds nothing ready makes the next item itself, if nobody is making it: so with several iterators all
threads have work, whichever of them is slow.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_DEPTH: Final = 8
_PATIENCE_S: Final = 1.0
"""How long an item that nobody asks for any more may take: a pipe that nobody writes into is left to itself."""


def ahead(items: Iterator[T], gate: threading.Semaphore) -> Generator[T]:
    """The same items; besides the caller at most so many threads work at once as `gate` lets in.

    What is raised there is raised here.
    """
    made = _Made(items)
    thread = threading.Thread(target=made.work, args=(gate,), daemon=True)
    try:
        thread.start()
        while not isinstance(item := made.take(), _Over):
            yield item
            del item  # its memory is used again
        if item.error is not None:
            raise item.error
    finally:
        made.stop()
        if thread.ident is not None:
            thread.join(_PATIENCE_S)
        if isinstance(items, Generator) and not thread.is_alive():
            items.close()


class _Over:
    """The end, or what ended it."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Made(Generic[T]):
    """Items that are ready, in order, and the making of more."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._ready: SimpleQueue[T | _Over] = SimpleQueue()
        self._room = threading.Semaphore(_DEPTH)
        self._making = threading.Lock()  # an item is ready before the next one is begun
        self._over = False

    def work(self, gate: threading.Semaphore) -> None:
        """Make items, until there are no more or nobody asks."""
        while True:
            self._room.acquire()
            with gate, self._making:  # where the caller makes one, the gate is held in vain: for one item at most
                if self._over:
                    return
                self._ready.put(self._make())

    def stop(self) -> None:
        """Nobody asks any more."""
        self._over = True
        self._room.release()

    def take(self) -> T | _Over:
        """The next item, or the end."""
        try:
            item = self._ready.get_nowait()
        except Empty:
            mine = False
            try:
                mine = self._making.acquire(blocking=False)
                if mine and self._ready.empty():
                    return self._make()
            finally:
                if mine:
                    self._making.release()
            item = self._ready.get()
        self._room.release()
        return item

    def _make(self) -> T | _Over:
        try:
            for item in self._items:
                return item
            over = _Over(None)
        except BaseException as raised:
            over = _Over(raised)
        self._over = True
        return over
