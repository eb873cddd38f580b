"""Whether a proxy leads to the API server: decided once, for the official client and for the watch alike."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import should_bypass_proxies

BRACKETED = re.compile(r"\[([0-9a-fA-F:.]+)\]")


class UnusableProxy(Exception):
    """The proxy's address cannot be used; the message names it without its password."""


def decide_proxy(configuration: Configuration) -> str | None:
    """Leave the proxy in `configuration` where it is to be used, and none where NO_PROXY names the API server.

    Returns its address without credentials, for people; None where there is none.

    The proxy comes from the kubeconfig's `proxy-url`, else from HTTPS_PROXY, HTTP_PROXY or ALL_PROXY. NO_PROXY is read
    as the official client reads it: host, suffix, IP address (each with or without a port), CIDR, `*`.
    IPv6 addresses may stand in brackets, as botocore wants them. Raises UnusableProxy.
    """
    if not configuration.proxy:
        return None
    if should_bypass_proxies(configuration.host, without_brackets(configuration.no_proxy or "")):
        configuration.proxy = None
        return None
    # As requests and botocore read an address without a scheme.
    proxy = configuration.proxy if "://" in configuration.proxy else f"http://{configuration.proxy.lstrip('/')}"
    try:
        parts = urlsplit(proxy)
        shown = f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError as error:
        raise UnusableProxy(f"the address of the proxy for the API server is invalid: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnusableProxy(
            f"the proxy {shown} for the API server cannot be used: only http:// and https:// proxies can"
        )
    configuration.proxy = proxy
    if parts.username is not None:
        # urllib3 does not read them from the address, other than aiohttp and botocore.
        user, password = unquote(parts.username), unquote(parts.password or "")
        try:
            configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth=f"{user}:{password}")
        except UnicodeEncodeError as error:
            raise UnusableProxy(f"the credentials of the proxy {shown} hold characters outside Latin-1") from error
    return shown


def without_brackets(no_proxy: str) -> str:
    """NO_PROXY with its IPv6 addresses as the official client wants them: `[::1]` becomes `::1`."""
    return ",".join(
        BRACKETED.sub(r"\1", entry) if BRACKETED.fullmatch(entry.strip()) else entry for entry in no_proxy.split(",")
    )
