"""How `make test` spreads the tests over processes (pytest-xdist): file by file, the longest waits first.

Every worker that gets a test on a control plane starts one of its own, and keeps it: what is named once per cluster
(the operator's Lease, service accounts, CRDs) then has one user at a time. Most of these tests wait, so that there are
more workers than cores.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

LONGEST_FIRST = ("tests/chart/", "tests/faults/", "tests/cluster/", "tests/kube/", "tests/aws/", "tests/unit/")
"""What waits for real processes begins first, and what only computes fills the gaps that are left at the end."""
BARE_CLUSTER = ("tests/chart/test_chart_install.py", "tests/chart/test_chart_operator.py")
"""They share the control plane without CRDs, so that one worker runs them all."""
WORKERS_PER_CORE, MOST_WORKERS = 2, 8
"""A worker and its control plane take 0.8 GB; with more than eight the longest file is what a run waits for."""


def unit_of(nodeid: str) -> str:
    """What goes to one worker in one piece, by the node id of one of its tests."""
    file = nodeid.partition("::")[0]
    return "the bare cluster" if file in BARE_CLUSTER else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` is."""
    return min(WORKERS_PER_CORE * (os.cpu_count() or 1), MOST_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give the units out in the order in which they are collected."""
    # Tests run without it too, one after the other.
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = unit_of
    return scheduler


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a worker: the longest first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    ranks = (rank for rank, folder in enumerate(LONGEST_FIRST) if nodeid.startswith(folder))
    return next(ranks, len(LONGEST_FIRST))
