"""The connection to the cluster: from inside a Pod, or by a kubeconfig as kubectl reads it."""

from __future__ import annotations

import os
from pathlib import Path

import urllib3
import urllib3.connection
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import (
    ConfigException,
    incluster_config,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)

from mfa_operator import __version__
from mfa_operator.api.text import error_text
from mfa_operator.http_deadline import BoundedResponse
from mfa_operator.kube.proxies import UnusableProxy, decide_proxy

DEFAULT_KUBECONFIG = "~/.kube/config"
CONNECTIONS = 128
"""Connections kept open at most: one for each thread that may write at the same time; idle ones are not made."""


class _Connection(urllib3.connection.HTTPConnection):
    response_class = BoundedResponse


class _TlsConnection(urllib3.connection.HTTPSConnection):
    response_class = BoundedResponse


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class ConnectionSettingsError(Exception):
    """The settings do not lead to a cluster; the message says which, for the person who gave them."""


def connect(kubeconfig: str | None, context: str | None) -> tuple[ApiClient, str]:
    """A client for the cluster that the settings name, and its description for people. Nothing is sent yet.

    With neither of them given: the cluster of the Pod this runs in, else $KUBECONFIG, else ~/.kube/config. The client
    never tries again by itself, and never writes to a kubeconfig. Its configuration names a proxy only where the API
    server is to be reached through it. Raises ConnectionSettingsError.
    """
    configuration = Configuration()
    if kubeconfig is None and context is None and Path(incluster_config.SERVICE_TOKEN_FILENAME).exists():
        try:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # ships no types
        except (ConfigException, OSError) as error:
            raise ConnectionSettingsError(f"the service account of this Pod cannot be used: {error}") from error
        description = f"the cluster this Pod runs in ({configuration.host})"
    else:
        # Read here: the client reads the variable when it is imported.
        files = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG
        _load(files, context, configuration)
        description = f"{f'context {context}' if context else 'the current context'} of {files} ({configuration.host})"
    try:
        proxy = decide_proxy(configuration)
    except UnusableProxy as error:
        raise ConnectionSettingsError(str(error)) from error
    if proxy:
        description += f" through the proxy {proxy}"
    # Who calls knows better what may be tried again.
    configuration.retries = False
    configuration.connection_pool_maxsize = CONNECTIONS
    return _client(configuration), description


def own_connections(api: ApiClient) -> ApiClient:
    """A client for the same cluster that shares no connection with `api`: its requests wait for nobody else's."""
    return _client(api.configuration)


def _client(configuration: Configuration) -> ApiClient:
    api = ApiClient(configuration)
    api.rest_client.pool_manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    api.user_agent = f"mfa-operator/{__version__}"
    return api


def _load(files: str, context: str | None, configuration: Configuration) -> None:
    if not any(Path(file).expanduser().exists() for file in files.split(os.pathsep) if file):
        raise ConnectionSettingsError(f"there is no kubeconfig at {files}; give --kubeconfig, or set KUBECONFIG")
    try:
        load_kube_config(  # type: ignore[no-untyped-call]  # ships no types
            files, context=context, client_configuration=configuration, persist_config=False
        )
    except (ConfigException, OSError, yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError) as error:
        if context is not None and (names := _contexts(files)) and context not in names:
            raise ConnectionSettingsError(f"{files} has no context {context!r}; it has {', '.join(names)}") from error
        chosen = f"context {context!r}" if context else "its current-context"
        raise ConnectionSettingsError(f"{files} cannot be used with {chosen}: {_one_line(error)}") from error


def _contexts(files: str) -> list[str]:
    try:
        contexts, _current = list_kube_config_contexts(files)  # type: ignore[no-untyped-call]  # ships no types
        return [str(context["name"]) for context in contexts]
    except (ConfigException, OSError, yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError):
        return []


def _one_line(error: Exception) -> str:
    return error_text(str(error)) or type(error).__name__
