"""Listening sockets: every family that the machine has, or the one that an address names."""

from __future__ import annotations

import os
import socket

from mfa_operator.config.settings import EVERY_ADDRESS, Address, SettingsError

BACKLOG = 128


def listen(address: Address) -> socket.socket:
    """Listen on the address; port 0 takes any that is free. Raises OSError where that is not possible.

    `::` serves IPv4 as well, whatever net.ipv6.bindv6only says; asyncio would serve IPv6 alone. EVERY_ADDRESS is `::`,
    or `0.0.0.0` where the machine has no IPv6.
    """
    host, port = address
    if host in (EVERY_ADDRESS, "::") and socket.has_dualstack_ipv6():
        return socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    name = host or "0.0.0.0"  # noqa: S104 - asked for by whoever left the host out
    family, _, _, _, found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    # A scope id, such as of fe80::1%eth0, stands in the third and fourth part.
    return socket.create_server(found, family=family, backlog=BACKLOG)


def listen_for(what: str, address: Address) -> socket.socket:
    """The same for `what`, such as "metrics". Raises SettingsError where that is not possible."""
    try:
        return listen(address)
    except OSError as error:
        # The system's own words: Python puts the address into its message once more.
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SettingsError(f"cannot listen on {display(address)} for {what}: {why.lower()}") from error


def local_address(listening: socket.socket) -> Address:
    """Where it listens, with the port that the system chose."""
    host, port = listening.getsockname()[:2]
    return host, port


def display(address: Address) -> str:
    """As a URL would have it: 0.0.0.0:9090, [::]:9090, :9090."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
