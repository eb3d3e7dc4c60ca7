"""Who is calling: a bearer token or a client certificate becomes an account.

A token is looked up by its SHA-256, so the state store never holds a token, and a lookup's timing tells nothing
about tokens that exist: it depends on a hash that the caller cannot steer. Tokens need at least 128 random bits.
A certificate names its account in a URI of its subject alternative names: `urn:opentrail:account:<12 digits>`.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from cryptography import x509

V = TypeVar("V")

ACCOUNT_URN = re.compile(r"urn:opentrail:account:(\d{12})", re.ASCII)
LONGEST_TOKEN = 4_096
KNOWN_TOKENS = 10_000
UNKNOWN_TOKENS = 10_000
KNOWN_CERTIFICATES = 1_000
UNKNOWN_SECONDS = 1.0
"""How long an unknown token is refused without asking again: short, so that a token works soon after it is made."""


class Unauthenticated(Exception):
    """The credentials are missing, unknown, expired, or contradict each other. The message may go to the caller."""


class TokenStore(Protocol):
    """What authentication needs of the ConfigurationStore."""

    def account_of_token(self, token_hash: bytes) -> str | None:
        """The account of a token that has not expired."""
        ...


class TokenAuthentication:
    """Looks tokens up, and remembers answers for some seconds. Safe for use by several threads.

    Args:
        store: where tokens' hashes are kept.
        clock: seconds that only rise (`time.monotonic`).
        remember_seconds: how long a known token is believed without asking again.
    """

    def __init__(self, store: TokenStore, clock: Callable[[], float], remember_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._remember_seconds = remember_seconds
        self._lock = threading.Lock()
        # Two caches: a flood of made-up tokens must not push the known ones out.
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()

    def account_of(self, token: str) -> str:
        """The token's account. Raises Unauthenticated, and the store's StateError when it cannot be asked."""
        if not token or len(token) > LONGEST_TOKEN:
            raise Unauthenticated("the bearer token is empty or too long")
        token_hash = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        now = self._clock()
        with self._lock:
            account, until = self._known.get(token_hash, ("", 0.0))
            if account and now < until:
                return account
            if now < self._unknown.get(token_hash, 0.0):
                raise Unauthenticated("the bearer token is unknown or has expired")
        found = self._store.account_of_token(token_hash)
        with self._lock:
            if found is None:
                self._known.pop(token_hash, None)
                _remember(self._unknown, token_hash, now + UNKNOWN_SECONDS, UNKNOWN_TOKENS)
                raise Unauthenticated("the bearer token is unknown or has expired")
            _remember(self._known, token_hash, (found, now + self._remember_seconds), KNOWN_TOKENS)
        return found


def _remember(cache: OrderedDict[bytes, V], key: bytes, value: V, most: int) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > most:
        cache.popitem(last=False)


class CertificateAuthentication:
    """Reads accounts from certificates that TLS has verified; remembers the last few."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, str | None] = OrderedDict()

    def account_of(self, pem: bytes) -> str | None:
        """The account that a verified client certificate names, if it names one. Raises Unauthenticated."""
        with self._lock:
            if pem in self._known:
                return self._known[pem]
        account = account_in_certificate(pem)
        with self._lock:
            _remember(self._known, pem, account, KNOWN_CERTIFICATES)
        return account


def account_in_certificate(pem: bytes) -> str | None:
    """The account in the URIs of a certificate's subject alternative names; None if there is none.

    Raises Unauthenticated for a certificate that cannot be read or that names several accounts.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension) as error:
        raise Unauthenticated("the client certificate cannot be read") from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    accounts = {match.group(1) for uri in uris if (match := ACCOUNT_URN.fullmatch(uri))}
    if len(accounts) > 1:
        raise Unauthenticated("the client certificate names more than one account")
    return accounts.pop() if accounts else None


class Authentication:
    """The caller's account from what came with the call."""

    def __init__(self, tokens: TokenAuthentication, certificates: CertificateAuthentication | None = None) -> None:
        self._tokens = tokens
        self._certificates = certificates or CertificateAuthentication()

    def account_of(
        self,
        metadata: Sequence[tuple[str, str | bytes]],
        transport: Mapping[str, Sequence[bytes]],
    ) -> str:
        """The account of a call.

        A token decides when there is one; a certificate that names an account must then name the same.

        Args:
            metadata: the call's metadata.
            transport: gRPC's auth context; `x509_pem_cert` is there only for a verified client certificate.

        Raises:
            Unauthenticated: no, wrong or contradicting credentials.
        """
        token = bearer_token(metadata)
        shown = transport.get("x509_pem_cert") or ()
        named = self._certificates.account_of(shown[0]) if shown else None
        if token is not None:
            account = self._tokens.account_of(token)
            if named not in {None, account}:
                raise Unauthenticated("the bearer token and the client certificate are of different accounts")
            return account
        if named is not None:
            return named
        if shown:
            raise Unauthenticated("the client certificate names no account: it needs urn:opentrail:account:<12 digits>")
        raise Unauthenticated("credentials are missing: send `authorization: Bearer <token>` or use mutual TLS")


def bearer_token(metadata: Sequence[tuple[str, str | bytes]]) -> str | None:
    """The token of the one `authorization` header (RFC 6750), None without the header. Raises Unauthenticated."""
    values = [value for key, value in metadata if key == "authorization"]
    if not values:
        return None
    if len(values) > 1:
        raise Unauthenticated("there is more than one authorization header")
    scheme, _, token = str(values[0]).partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("the authorization header must be `Bearer <token>`")
    return token.strip()
