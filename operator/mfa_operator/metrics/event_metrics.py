"""Metrics of the events queue, there only where one is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mfa_operator.metrics.families import without_created

DELAY_BUCKETS = (1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 900, 3600)
"""Seconds: from what the operator itself takes to a queue that was stuck for an hour."""

LONGEST_DELAY = 14 * 86_400.0
"""Seconds that a queue keeps a message at most."""


class EventMetrics(Collector):
    """What became of the messages. Safe to call from any thread; exports nothing before the first `set_up`."""

    def __init__(self) -> None:
        self._up: bool | None = None
        self._received = Counter(
            "mfa_events_received",
            "Messages of the events queue, by type of event and what became of them.",
            ("type", "result"),
            registry=None,
        )
        self._delay = Histogram(
            "mfa_event_delay_seconds",
            "From the time of an event at AWS until what it changed was published.",
            registry=None,
            buckets=DELAY_BUCKETS,
        )

    def set_up(self, up: bool | None) -> None:
        """Whether the last request to the queue succeeded; None: this replica reads no queue."""
        self._up = up

    def count_received(self, kind: str, result: str) -> None:
        """Count a message: hinted, ignored or invalid. `kind` is one of a fixed set, whatever messages say."""
        self._received.labels(kind, result).inc()

    def start_at_zero(self, kinds: Iterable[tuple[str, str]]) -> None:
        """Have these types and results counted from 0 on: a first sample of 1 makes no increase, and no alert."""
        for kind, result in kinds:
            self._received.labels(kind, result)

    def observe_delay(self, seconds: float) -> None:
        """Whatever time an event says that it happened at: a forged one must not spoil the sum for ever."""
        self._delay.observe(min(max(seconds, 0.0), LONGEST_DELAY))

    def collect(self) -> Iterator[Metric]:
        """Every metric as it is now."""
        if self._up is None:
            return
        yield from without_created((*self._received.collect(), *self._delay.collect()))
        yield GaugeMetricFamily(
            "mfa_event_queue_up", "1 where the last request to the events queue succeeded, else 0.", value=self._up
        )
