"""1,000 ordinary policies alone, and beside the ten most expensive ones that the API lets another namespace make."""

from __future__ import annotations

import os
import random
import signal
import statistics
import string
import time

from bench import manifests
from bench.operator_process import Bed, account_id, bed, wait

POLICIES, WORST = 1000, 10
USERS = 300
EXEMPTIONS, GLOBS = 100, 50
"""As many as the CRD allows; with some 200 characters a glob the object has 1 MB."""


def measure() -> list[dict[str, object]]:
    """Seconds until all ordinary policies were audited, how late a new one is, and how long SIGTERM takes."""
    alone, beside = _situation(0), _situation(WORST)
    ratios = {key: round(_number(beside[key]) / max(_number(alone[key]), 0.01), 1) for key in alone if key != "beside"}
    return [alone, beside, {"beside": "ratio", **ratios}]


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _situation(worst: int) -> dict[str, object]:
    with bed(1 + worst, USERS) as there:
        for number in range(worst):
            there.kube.apply(_expensive(number))
        for number in range(POLICIES):
            there.kube.apply(manifests.policy(f"policy-{number}", [account_id(0)], interval="24h"))
        with there.operator() as pid:
            begun = time.monotonic()
            waiting = [f"policy-{number}" for number in range(POLICIES)]

            def audited() -> bool:
                # One question at a time: the embedded Kubernetes answers in this process.
                while waiting and "lastPassTime" in there.passes(waiting[-1]):
                    waiting.pop()
                time.sleep(0.2)
                return not waiting

            wait(audited, 300)
            all_audited = time.monotonic() - begun
            late = statistics.median(_new_policy(there, number, worst) for number in range(5))
            if worst:
                _ask_for_passes(there, worst)
            stopping = time.monotonic()
            os.kill(pid, signal.SIGTERM)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            return {
                "beside": worst,
                "all_audited_seconds": round(all_audited, 1),
                "new_policy_seconds": round(late, 2),
                "sigterm_seconds": round(time.monotonic() - stopping, 2),
            }


def _new_policy(there: Bed, number: int, worst: int) -> float:
    """From the apply of an ordinary policy to its status, while every expensive one is asked to run."""
    _ask_for_passes(there, worst)
    begun = time.monotonic()
    there.kube.apply(manifests.policy(f"new-{number}", [account_id(0)], interval="24h"))
    wait(lambda: "lastPassTime" in there.passes(f"new-{number}"))
    return time.monotonic() - begun


def _ask_for_passes(there: Bed, worst: int) -> None:
    annotation = {"mfa-operator.io/requestedAt": str(time.monotonic())}
    for number in range(worst):
        there.kube.patch("mfapolicies", "default", f"expensive-{number}", {"metadata": {"annotations": annotation}})
    # So that their passes are under way.
    time.sleep(0.5 if worst else 0)


def _expensive(number: int) -> dict[str, object]:
    chance = random.Random(number)
    exemptions = [
        {"users": [_glob(chance) for _ in range(GLOBS)], "reason": "as many as the API allows"}
        for _ in range(EXEMPTIONS)
    ]
    made = manifests.policy(f"expensive-{number}", [account_id(1 + number)], interval="24h", exemptions=exemptions)
    return made | {"metadata": {"namespace": "default", "name": f"expensive-{number}"}}


def _glob(chance: random.Random) -> str:
    """Near to every user's name, with stars, and made up to the length by what costs a matcher most: more stars."""
    near = "*u*s*e*r*-*0*" + "*".join(chance.choices(string.digits, k=3)) + "*"
    return near + "*" * 170 + "".join(chance.choices(string.ascii_letters, k=10))
