"""A token bucket, as AWS throttles calls."""

import threading
import time
from collections.abc import Callable


class RateLimit:
    """Lets `per_second` calls through, and `burst` at once after a rest. Measured by the machine's clock, which
    clients wait by."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled = clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether one more call may go through now."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._per_second)
            self._filled = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
