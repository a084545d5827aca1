"""Read ahead: the next item is made on a thread of its own while the last one is used."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

#: Items that exist at once at the most: one in use, one that waits, one in the making.
IN_FLIGHT = 3


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """Yield `items` in their order, each made while the one before is used; exceptions come through where they arose.

    Closing the generator ends the thread, after the item that it is at.
    """
    waiting: queue.Queue[T | _Failure | None] = queue.Queue(maxsize=IN_FLIGHT - 2)
    ended = threading.Event()

    def put(item: T | _Failure | None) -> bool:
        while not ended.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.05)
                return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:
            put(_Failure(error))
        else:
            put(None)

    thread = threading.Thread(target=make, name="fastgmm-reader", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        ended.set()
        thread.join(timeout=1.0)  # a user's iterator may hang: the thread dies with the process then
