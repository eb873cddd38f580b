"""Whether the API server lists MfaPolicy among what it serves.

It serves the objects of a definition a moment before it lists the definition. kopf reads the list once, at its start,
and watches nothing that is not in it, without a word.
"""

from __future__ import annotations

import logging
import threading

import tenacity
import urllib3
from kubernetes.client import ApiClient, ApiException, ApisApi, CustomObjectsApi

from mfa_operator.api.enums import GROUP, VERSION
from mfa_operator.kube.requests import POLICIES, TIMEOUT

logger = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds; the list follows within one or two."""


class NotListed(Exception):
    """The API server does not list MfaPolicy, or does not say what it serves."""


def wait_until_listed(api: ApiClient, stopping: threading.Event, *, patience: float = PATIENCE) -> None:
    """Wait until MfaPolicy is listed.

    Raises NotListed when patience runs out, and where it is not once `stopping` is set.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(NotListed),
        stop=tenacity.stop_after_delay(patience) | tenacity.stop_when_event_set(stopping),
        sleep=tenacity.sleep_using_event(stopping),
        wait=tenacity.wait_exponential(multiplier=0.2, max=5.0) + tenacity.wait_random(0, 0.2),
        reraise=True,
    )
    retrying(_check, api)


def _check(api: ApiClient) -> None:
    try:
        groups = ApisApi(api).get_api_versions(_request_timeout=TIMEOUT).groups
        versions = {version.version for group in groups if group.name == GROUP for version in group.versions}
        if VERSION not in versions:
            raise NotListed(f"the API server does not list {GROUP}/{VERSION} among what it serves")
        resources = CustomObjectsApi(api).get_api_resources(GROUP, VERSION, _request_timeout=TIMEOUT).resources
    except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
        raise NotListed(f"the API server does not say what it serves: {error}") from error
    if POLICIES.plural not in {resource.name for resource in resources}:
        raise NotListed(f"the API server does not list {POLICIES.plural} among what it serves")
