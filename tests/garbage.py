"""Python's garbage collector, kept from reading what the whole run needs: it took a quarter of the tests' time."""

from __future__ import annotations

import gc

# Of new objects, before they are looked through; 700 by default, which a few calls through boto3 make.
gc.set_threshold(20_000, 20, 20)


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end, and is not looked through any more."""
    gc.collect()
    gc.freeze()
