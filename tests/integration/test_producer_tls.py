"""Callers by client certificate, on loopback."""

import dataclasses
import datetime as dt
import ipaddress

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from opentrail_producer.client import Accepted, ClientSettings, ClientTls, NotConfirmed, ProducerClient, is_reachable
from opentrail_producer.settings import Listener, ProducerSettings, TlsFiles
from tests.integration.producer_service import OTHERS_TOKEN, TOKEN, Service, new_store, results
from tests.unit.producer.fakes import ACCOUNT, OTHER, REGION, record


class Authority:
    """Signs certificates for a test."""

    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key, (), authority=True)

    def issue(self, *names, usage=ExtendedKeyUsageOID.CLIENT_AUTH):
        """(private key, certificate) in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private, self._sign(subject, key, names, usage=usage)

    def _sign(self, subject, key, names, *, authority=False, usage=None):
        start = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def account_name(account):
    return x509.UniformResourceIdentifier(f"urn:opentrail:account:{account}")


@pytest.fixture(scope="module")
def authority():
    return Authority("the operator's authority")


@pytest.fixture(scope="module")
def server_tls(authority):
    names = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    key, certificate = authority.issue(*names, usage=ExtendedKeyUsageOID.SERVER_AUTH)
    return TlsFiles(certificate_chain=certificate, private_key=key)


@pytest.fixture
def service(tmp_path, authority, server_tls):
    mutual = dataclasses.replace(server_tls, client_authorities=authority.certificate)
    service = Service(new_store(tmp_path))
    service.settings = ProducerSettings(listeners=(Listener(tls=mutual), Listener(tls=server_tls)))
    yield service.start(grpc.ssl_channel_credentials(authority.certificate))
    service.stop()


@pytest.fixture
def call(service, authority):
    """Sends events with a client certificate, and perhaps a token, to the mutual listener."""
    channels = []

    def called(pair, events, token=None):
        key, certificate = pair or (None, None)
        credentials = grpc.ssl_channel_credentials(authority.certificate, key, certificate)
        service.channel.close()
        service.channel = service.connect(service.server.ports[0], credentials)
        channels.append(service.channel)
        return service.send(events, token=token, timeout=20)

    return called


def test_a_certificate_gives_the_account(call, authority, service):
    assert results(call(authority.issue(account_name(ACCOUNT)), [record(1, recipientAccountId=None)])) == [
        "00000000-0000-4000-8000-000000000001"
    ]
    assert service.bus.memory.batches()[0].account_id == ACCOUNT


def test_a_certificate_writes_for_its_own_account_only(call, authority):
    assert results(call(authority.issue(account_name(OTHER)), [record(1)])) == ["ACCOUNT_MISMATCH"]


@pytest.mark.parametrize(
    "names", [(), (x509.DNSName("client.example.com"),), (account_name(ACCOUNT), account_name(OTHER))]
)
def test_a_certificate_without_one_account_is_refused(call, authority, names):
    with pytest.raises(grpc.RpcError) as caught:
        call(authority.issue(*names), [record(1)])
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("shown", ["of another authority", "none"])
def test_a_certificate_of_another_authority_or_none_makes_no_connection(call, service, shown):
    pair = Authority("another").issue(account_name(ACCOUNT)) if shown != "none" else None
    with pytest.raises(grpc.RpcError) as caught:
        call(pair, [record(1)], token=TOKEN)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert service.bus.memory.messages == []


def test_token_and_certificate_must_be_of_the_same_account(call, authority):
    pair = authority.issue(account_name(ACCOUNT))
    assert results(call(pair, [record(1)], token=TOKEN)) == ["00000000-0000-4000-8000-000000000001"]
    for token in (OTHERS_TOKEN, "wrong"):
        with pytest.raises(grpc.RpcError) as caught:
            call(pair, [record(1)], token=token)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_tokens_have_a_listener_of_their_own(service, authority):
    target = f"localhost:{service.server.ports[1]}"
    tls = ClientTls(authorities=authority.certificate)
    with ProducerClient(target, region=REGION, token=TOKEN, tls=tls) as client:
        assert client.send(record(1)).result(20) == Accepted("00000000-0000-4000-8000-000000000001")


def test_the_clients_certificate_gives_the_account(service, authority):
    target = f"localhost:{service.server.ports[0]}"
    key, certificate = authority.issue(account_name(ACCOUNT))
    tls = ClientTls(authorities=authority.certificate, certificate_chain=certificate, private_key=key)
    with ProducerClient(target, region=REGION, tls=tls) as client:
        assert client.send(record(1)).result(20) == Accepted("00000000-0000-4000-8000-000000000001")
    assert service.bus.memory.batches()[0].account_id == ACCOUNT


def test_the_client_trusts_no_other_server(service):
    tls = ClientTls(authorities=Authority("another").certificate)
    target = f"localhost:{service.server.ports[1]}"
    settings = ClientSettings(give_up=0.0)
    with (
        ProducerClient(target, region=REGION, token=TOKEN, tls=tls, settings=settings) as client,
        pytest.raises(NotConfirmed),
    ):
        client.send(record(1)).result(20)


def test_only_a_producer_that_is_trusted_is_reachable(service, authority):
    target = f"localhost:{service.server.ports[1]}"
    assert is_reachable(target, ClientTls(authorities=authority.certificate), 20.0)
    assert not is_reachable(target, ClientTls(authorities=Authority("another").certificate), 0.5)
    assert not is_reachable(target, ClientTls(), 0.5)


def test_a_certificate_and_its_key_are_given_together_and_the_key_is_not_shown(authority):
    key, certificate = authority.issue(account_name(ACCOUNT))
    for half in ({"private_key": key}, {"certificate_chain": certificate}):
        with pytest.raises(ValueError, match="together"):
            ClientTls(authorities=authority.certificate, **half)
    assert "PRIVATE KEY" not in repr(ClientTls(certificate_chain=certificate, private_key=key))
