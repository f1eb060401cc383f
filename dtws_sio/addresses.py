"""
Which address a client is counted under.

A wrong guess would be worse than none: behind a proxy that is not known to be one, all visitors seem to have one
address, and a limit for each address would shut them all out. So where a proxy may be at work and Django does not trust
it, there is no address.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from dtws_sio import conf

Environ = dict[str, Any]

Finder = Callable[[Environ], str | None]
"""Names the address of a client, by the WSGI environ of its handshake; None if it cannot be told."""

FORWARDING_HEADERS: Final = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_SSL",
    "HTTP_X_REAL_IP",
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_CF_CONNECTING_IP",
    "HTTP_TRUE_CLIENT_IP",
)
"""What proxies add to a request."""


def client_address(environ: Environ) -> str | None:
    """
    Give what a client is counted under: its IPv4 address, or the /64 network of its IPv6 address, which is one home's.

    The setting CLIENT_ADDRESS may name a function that knows better. Without it: where Django trusts its proxy
    (SECURE_PROXY_SSL_HEADER or USE_X_FORWARDED_HOST), the address that the proxy saw; else the peer's, or None if
    there are signs of a proxy, or the peer is this host.

    Raises:
        ConfigurationError: If the function cannot be imported.
    """
    return finder(conf.settings().client_address)(environ)


def finder(path: str | None) -> Finder:
    """
    Make the function that does the same, for one value of the setting CLIENT_ADDRESS.

    Raises:
        ConfigurationError: If the function cannot be imported.
    """
    if path is None:
        return _guessed
    found = problem(path)
    if found is not None:
        raise conf.ConfigurationError(f"{found.message} {found.hint}")
    named: Finder = import_string(path)
    return lambda environ: _counted(named(environ))


def problem(path: str) -> conf.Problem | None:
    """Tell what is wrong with a dotted path in CLIENT_ADDRESS, beside its form; None if it leads to a function."""
    try:
        reason = None if callable(import_string(path)) else "that is no function"
    except ImportError as error:
        reason = str(error)
    if reason is None:
        return None
    hint = f"It should be {conf.RULES['CLIENT_ADDRESS'][1]}: {reason}."
    return conf.Problem(3, f'DTWS_SIO["CLIENT_ADDRESS"] is {path!r}.', hint)


def peer_address(environ: Environ) -> str | None:
    """Give the address at the other end of the connection; as CLIENT_ADDRESS, for a site without any proxy."""
    return environ.get("REMOTE_ADDR") or None


def forwarded_address(environ: Environ) -> str | None:
    """
    Give the last entry of X-Forwarded-For, which is what the proxy before us saw; as CLIENT_ADDRESS, for one proxy.

    The entries before it came from the client or from proxies further out, and may be made up.
    """
    return str(environ.get("HTTP_X_FORWARDED_FOR") or "").rpartition(",")[2].strip() or None


def _guessed(environ: Environ) -> str | None:
    if django_settings.SECURE_PROXY_SSL_HEADER or django_settings.USE_X_FORWARDED_HOST:
        address = _parsed(forwarded_address(environ))
    elif any(header in environ for header in FORWARDING_HEADERS):
        return None
    else:
        address = _parsed(peer_address(environ))
    if address is None or address.is_loopback or address.is_unspecified:
        return None
    return _network(address)


def _counted(given: object) -> str | None:
    """Count what a function of the project gave by network, if it is an address; any other text is good as it is."""
    if not given:
        return None
    address = _parsed(given)
    return str(given) if address is None else _network(address)


def _parsed(given: object) -> IPv4Address | IPv6Address | None:
    """Read an address as headers and servers write it, maybe with a port or in brackets; None if it is none."""
    text = str(given).strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
