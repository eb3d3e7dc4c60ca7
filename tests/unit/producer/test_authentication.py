"""Tokens and certificates become accounts."""

import datetime as dt
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from opentrail_backends.state.port import StateError
from opentrail_producer import authentication
from opentrail_producer.authentication import (
    Authentication,
    TokenAuthentication,
    Unauthenticated,
    account_in_certificate,
    bearer_token,
)

ACCOUNT = "111122223333"
OTHER = "444455556666"


class Store:
    def __init__(self, **tokens):
        self.accounts = {hashlib.sha256(token.encode()).digest(): account for token, account in tokens.items()}
        self.asked = 0
        self.failure = None

    def account_of_token(self, token_hash):
        self.asked += 1
        if self.failure:
            raise self.failure
        return self.accounts.get(token_hash)


class Clock:
    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def header(value):
    return (("user-agent", "x"), ("authorization", value))


def certificate(*names):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"urn:opentrail:account:{OTHER}")])
    start = dt.datetime(2026, 1, 1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def uri(account):
    return x509.UniformResourceIdentifier(f"urn:opentrail:account:{account}")


def test_token_is_looked_up_by_its_sha256_only(clock):
    tokens = TokenAuthentication(Store(secret=ACCOUNT), clock, 10)
    assert tokens.account_of("secret") == ACCOUNT


@pytest.mark.parametrize("token", ["", "wrong", "secre", "secret ", "x" * 5000, "\udcff", "sécret"])
def test_other_tokens_are_refused(clock, token):
    with pytest.raises(Unauthenticated):
        TokenAuthentication(Store(secret=ACCOUNT), clock, 10).account_of(token)


def test_a_known_token_is_believed_for_some_seconds_then_asked_for_again(clock):
    store = Store(secret=ACCOUNT)
    tokens = TokenAuthentication(store, clock, 10)
    tokens.account_of("secret")
    store.accounts.clear()
    clock.seconds += 9.9
    assert tokens.account_of("secret") == ACCOUNT
    assert store.asked == 1
    clock.seconds += 0.2
    with pytest.raises(Unauthenticated):
        tokens.account_of("secret")
    with pytest.raises(Unauthenticated):
        tokens.account_of("secret")
    assert store.asked == 2, "the second refusal came from memory"


def test_a_token_works_soon_after_it_was_made_though_it_was_tried_before(clock):
    store = Store()
    tokens = TokenAuthentication(store, clock, 10)
    with pytest.raises(Unauthenticated):
        tokens.account_of("secret")
    store.accounts[hashlib.sha256(b"secret").digest()] = ACCOUNT
    clock.seconds += authentication.UNKNOWN_SECONDS
    assert tokens.account_of("secret") == ACCOUNT


def test_a_flood_of_unknown_tokens_neither_grows_without_bound_nor_pushes_known_ones_out(clock, monkeypatch):
    monkeypatch.setattr(authentication, "UNKNOWN_TOKENS", 5)
    monkeypatch.setattr(authentication, "KNOWN_TOKENS", 2)
    store = Store(a=ACCOUNT, b=OTHER)
    tokens = TokenAuthentication(store, clock, 10)
    tokens.account_of("a")
    tokens.account_of("b")
    for number in range(50):
        with pytest.raises(Unauthenticated):
            tokens.account_of(f"made up {number}")
    asked = store.asked
    assert (tokens.account_of("a"), tokens.account_of("b")) == (ACCOUNT, OTHER)
    assert store.asked == asked
    assert len(tokens._unknown) == 5


def test_a_store_that_cannot_be_asked_is_not_the_same_as_a_wrong_token(clock):
    store = Store(secret=ACCOUNT)
    store.failure = StateError("down")
    tokens = TokenAuthentication(store, clock, 10)
    with pytest.raises(StateError):
        tokens.account_of("secret")
    store.failure = None
    assert tokens.account_of("secret") == ACCOUNT, "the failure was not remembered as a refusal"


@pytest.mark.parametrize("value", ["Bearer secret", "bearer secret", "BEARER  secret"])
def test_the_scheme_is_not_case_sensitive(value):
    assert bearer_token(header(value)) == "secret"


@pytest.mark.parametrize("value", ["secret", "Basic secret", "Bearersecret", ""])
def test_other_schemes_are_refused(value):
    with pytest.raises(Unauthenticated):
        bearer_token(header(value))


def test_two_authorization_headers_are_refused():
    with pytest.raises(Unauthenticated):
        bearer_token(header("Bearer a") + header("Bearer a"))


def test_a_certificate_names_its_account_in_a_uri():
    assert account_in_certificate(certificate(uri(ACCOUNT), x509.DNSName("client.example.com"))) == ACCOUNT
    assert account_in_certificate(certificate(uri(ACCOUNT), uri(ACCOUNT))) == ACCOUNT


@pytest.mark.parametrize(
    "names",
    [
        (),
        (x509.DNSName("client.example.com"),),
        (x509.DNSName(f"urn:opentrail:account:{ACCOUNT}"),),
        (x509.RFC822Name(f"urn:opentrail:account:{ACCOUNT}"),),
        (uri("12345678901"),),
        (uri("1234567890123"),),
        (uri(ACCOUNT + "/x"),),
        (x509.UniformResourceIdentifier(f"x-urn:opentrail:account:{ACCOUNT}"),),
        (x509.UniformResourceIdentifier(f"URN:OPENTRAIL:ACCOUNT:{ACCOUNT}"),),
    ],
)
def test_nothing_else_in_a_certificate_names_an_account(names):
    assert account_in_certificate(certificate(*names)) is None


@pytest.mark.parametrize("pem", [certificate(uri(ACCOUNT), uri(OTHER)), b"", b"not a certificate"])
def test_a_certificate_of_two_accounts_or_none_that_can_be_read_is_refused(pem):
    with pytest.raises(Unauthenticated):
        account_in_certificate(pem)


def test_credentials_of_a_call(clock):
    calls = Authentication(TokenAuthentication(Store(secret=ACCOUNT), clock, 10))
    ours, theirs, nobodys = ({"x509_pem_cert": [certificate(*names)]} for names in ((uri(ACCOUNT),), (uri(OTHER),), ()))
    token = header("Bearer secret")
    assert calls.account_of(token, {}) == ACCOUNT
    assert calls.account_of((), ours) == ACCOUNT
    assert calls.account_of((), theirs) == OTHER
    assert calls.account_of(token, ours) == ACCOUNT
    assert calls.account_of(token, nobodys) == ACCOUNT
    for metadata, transport in [
        ((), {}),
        ((), nobodys),
        (token, theirs),
        (header("Bearer wrong"), ours),
    ]:
        with pytest.raises(Unauthenticated):
            calls.account_of(metadata, transport)
