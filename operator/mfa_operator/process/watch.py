"""What kopf does for us: it watches. No timers, no finalizers, nothing of ours on anybody's object."""

from __future__ import annotations

from typing import Any

import kopf
from kubernetes.client import ApiClient

from mfa_operator.api.enums import GROUP, VERSION
from mfa_operator.config.settings import ClusterSettings
from mfa_operator.scheduling.scheduler import Scheduler

PLURAL = "mfapolicies"


def register(registry: kopf.OperatorRegistry, scheduler: Scheduler, api: ApiClient) -> None:
    """Tell kopf what to watch, whom to tell, and how to sign in to the cluster: as the rest of the process does."""

    # Coroutines, or kopf would call them in its small pool of threads.
    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def policy_event(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - kopf passes whatever it has
        scheduler.notice(event["type"], event["object"])

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - as above
        return connection(api)


def connection(api: ApiClient) -> kopf.ConnectionInfo:
    """The official client's address and credentials, in kopf's terms.

    Without an expiration, though a pod's token has one: kopf asks again on a 401, but on an expiration it closes the
    watches in use.
    """
    client = api.configuration
    # Reading the key lets the client renew it first: a pod's token, or what a plugin such as `aws eks get-token` gives.
    header = client.get_api_key_with_prefix("BearerToken") or client.get_api_key_with_prefix("authorization") or ""
    scheme, _, token = header.rpartition(" ")
    return kopf.ConnectionInfo(
        server=client.host,
        ca_path=client.ssl_ca_cert,
        insecure=not client.verify_ssl,
        username=client.username or None,
        password=client.password or None,
        scheme=scheme or None,
        token=token or None,
        certificate_path=client.cert_file,
        private_key_path=client.key_file,
        proxy_url=client.proxy,
    )


def watcher_settings(cluster: ClusterSettings) -> kopf.OperatorSettings:
    """kopf's settings for a process that only watches."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    # What there is to watch is known, and watching CRDs and namespaces would take rights on them.
    settings.scanning.disabled = True
    settings.networking.request_timeout = cluster.request_timeout.total_seconds()
    return settings
