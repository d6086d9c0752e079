"""Tries again what may be tried again, until the deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from serving.client.errors import RequestError

RETRIED = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED"})  # of which no other attempt can do harm
_FIRST_WAIT = 0.05  # seconds; doubled with each attempt
_LONGEST_WAIT = 2.0

T = TypeVar("T")


def with_retries(call: Callable[[float], T], timeout: float, retries: int) -> T:
    """Returns what a call returns, tried again where the server is busy or away.

    Args:
        call: Takes the seconds that are left.
        timeout: Seconds for all attempts together.
        retries: Most attempts after the first.

    Raises:
        RequestError: The last attempt's error.
    """
    deadline = time.monotonic() + timeout
    for attempt in range(retries + 1):
        try:
            return call(max(deadline - time.monotonic(), 0.001))
        except RequestError as error:
            # At random, so that clients that failed together do not come back together.
            wait = min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT) * random.uniform(0.5, 1.0)
            is_last = attempt == retries or time.monotonic() + wait >= deadline
            if error.code not in RETRIED or is_last:
                raise
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")
