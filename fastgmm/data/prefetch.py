"""Read-ahead: a separate thread makes the next item while the last one is used."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

#: Maximum number of items at once: one in use, one that waits, one in the making.
IN_FLIGHT = 3


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """Yield `items` in their order, each made while the one before is used; exceptions are raised in their place.

    Closing the generator ends the thread after its current item.
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
        thread.join(timeout=1.0)  # a user's iterator may hang: then the thread dies with the process
