"""Settings of hypothesis for these tests."""

import os

from hypothesis import settings

# No test may fail because the machine is busy. `make chaos` tries ten times as many examples.
settings.register_profile("patient", deadline=None, max_examples=int(os.environ.get("MFA_CHAOS_EXAMPLES") or 50))
settings.load_profile("patient")
