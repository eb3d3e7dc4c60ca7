"""Addresses of servers that are given in a URL's query: https, or plain http where nobody can listen."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def check_endpoint(endpoint: str, *, allow_http: bool) -> None:
    """Raises ValueError unless it is `https://HOST[:PORT]`; http only on this machine, or where that is allowed."""
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"} or parts.query:
        raise ValueError(f"endpoint {endpoint!r} is not https://HOST[:PORT]")
    if parts.scheme == "http" and not allow_http and not is_loopback(endpoint):
        raise ValueError(f"endpoint {endpoint!r} would be spoken to unencrypted: use https, or say allow_http=true")


def is_loopback(endpoint: str) -> bool:
    """Whether the endpoint is on this machine."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
