"""Reading ahead: iterators run in threads of their own, some items before they are asked for.

Whoever asks and finds nothing ready makes an item itself: the one that is asked for, if nobody is making it, else one
of another iterator that there is room for. So all threads have work, whichever iterator is slow.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

_DEPTH: Final = 8
_PATIENCE_S: Final = 1.0
"""How long an item that nobody asks for any more may take: a pipe that nobody writes into is left to itself."""


class Crew:
    """So many threads that work at once, besides the one that asks."""

    def __init__(self, threads: int) -> None:
        self.gate = threading.Semaphore(threads)
        self.made: list[_Made[Any]] = []

    def help(self) -> bool:
        """Make an item that somebody will ask for; False where there is nothing to do."""
        return any(made.make_ahead() for made in self.made)


def ahead(items: Iterator[T], crew: Crew) -> Generator[T]:
    """The same items. What is raised there is raised here."""
    made = _Made(items, crew)
    thread = threading.Thread(target=made.work, daemon=True)
    try:
        crew.made.append(made)
        thread.start()
        while not isinstance(item := made.take(), _Over):
            yield item
            del item  # its memory is used again
        if item.error is not None:
            raise item.error
    finally:
        crew.made.remove(made)
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

    def __init__(self, items: Iterator[T], crew: Crew) -> None:
        self._items = items
        self._crew = crew
        self._ready: SimpleQueue[T | _Over] = SimpleQueue()
        self._room = threading.Semaphore(_DEPTH)
        self._making = threading.Lock()  # an item is ready before the next one is begun
        self._over = False

    def work(self) -> None:
        """Make items, until there are no more or nobody asks."""
        while not self._over:
            self._room.acquire()
            while not self._over:
                with self._crew.gate:
                    if self._try_to_make():
                        break
                with self._making:  # somebody else makes one; others may work meanwhile
                    pass

    def make_ahead(self) -> bool:
        """Make an item that is not asked for yet, if there is room and nobody is making one."""
        if self._over or not self._room.acquire(blocking=False):
            return False
        if self._try_to_make():
            return True
        self._room.release()
        return False

    def stop(self) -> None:
        """Nobody asks any more."""
        self._over = True
        self._room.release()

    def take(self) -> T | _Over:
        """The next item, or the end."""
        while True:
            try:
                item = self._ready.get_nowait()
                break
            except Empty:
                if not self.make_ahead() and not self._crew.help():
                    item = self._ready.get()
                    break
        self._room.release()
        return item

    def _try_to_make(self) -> bool:
        """Make an item ready, unless somebody is making one."""
        mine = False
        try:
            mine = self._making.acquire(blocking=False)
            if mine and not self._over:
                self._ready.put(self._make())
        finally:
            if mine:
                self._making.release()
        return mine

    def _make(self) -> T | _Over:
        try:
            for item in self._items:
                return item
            over = _Over(None)
        except KeyboardInterrupt:  # comes to whoever asks, and is for that one, whatever was being made
            self._over = True
            raise
        except BaseException as raised:
            over = _Over(raised)
        self._over = True
        return over
