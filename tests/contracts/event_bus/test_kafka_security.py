"""TLS and SASL towards a real broker."""

from __future__ import annotations

import datetime as dt
import ipaddress
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.port import Partition
from tests.contracts.event_bus.members import Member, until
from tests.servers.kafka import KafkaServer
from tests.servers.process import Port

pytestmark = pytest.mark.kafka

PASSWORD = "correct-horse"
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
SETTINGS = """
listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SECURE://127.0.0.1:{secure}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SECURE://127.0.0.1:{secure}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={pem}
listener.name.secure.sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config={login} user_trail="{password}";
"""


@dataclass
class SecureBroker:
    address: str
    ca_file: Path
    password_file: Path

    def url(self, **changes: str) -> str:
        options = {
            "security": "sasl_tls",
            "ca_file": str(self.ca_file),
            "sasl_mechanism": "PLAIN",
            "username": "trail",
            "password_file": str(self.password_file),
            "connect_timeout": "30",
            "replication": "1",
            "min_insync": "1",
        } | changes
        return f"kafka://{self.address}?" + "&".join(f"{name}={value}" for name, value in options.items() if value)


@pytest.fixture
def broker(own_kafka: KafkaServer, tmp_path: Path) -> Iterator[SecureBroker]:
    """The test's own broker, begun again with a second listener."""
    secure = Port.new()
    pem, ca_file = certificate(tmp_path)
    properties = own_kafka.process.folder / "server.properties"
    plain, controller = (port.number for port in own_kafka.process.ports)
    added = SETTINGS.format(
        plain=plain, controller=controller, secure=secure.number, pem=pem, login=LOGIN, password=PASSWORD
    )
    own_kafka.stop()
    replaced = {line.partition("=")[0] for line in added.splitlines()}
    kept = [line for line in properties.read_text().splitlines() if line.partition("=")[0] not in replaced]
    properties.write_text("\n".join(kept) + added)
    own_kafka.start()
    (tmp_path / "password").write_text(PASSWORD + "\n")
    yield SecureBroker(f"127.0.0.1:{secure.number}", ca_file, tmp_path / "password")
    secure.release()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key with its certificate for 127.0.0.1, and the certificate alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem, ca_file = folder / "broker.pem", folder / "ca.pem"
    pem.write_bytes(private + made)
    ca_file.write_bytes(made)
    return pem, ca_file


def test_a_bus_works_over_tls_with_a_password(broker: SecureBroker) -> None:
    bus = open_event_bus(broker.url())
    bus.ensure_topic("eu-west-1", 1)
    publisher = bus.publisher()
    publisher.publish(Partition("eu-west-1", 0), b"key", b"value").result(30)
    publisher.close(5)
    member = Member(bus.reader("delivery")).join()
    until(lambda: bool(member.messages), member)
    assert member.values() == [b"value"]
    member.reader.close()
    bus.close()


def test_a_wrong_password_or_certificate_is_refused(broker: SecureBroker, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("battery-staple")
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    _, other_ca = certificate(stranger)
    said = [
        refusal(broker.url(password_file=str(tmp_path / "other"), connect_timeout="2")),
        refusal(broker.url(ca_file=str(other_ca), connect_timeout="2")),
        refusal(broker.url(ca_file="", connect_timeout="2")),
    ]
    for sentence in said:
        assert sentence.startswith("Kafka: the topics cannot be listed: ")
        assert "battery-staple" not in sentence


def refusal(url: str) -> str:
    """In a process of its own: the library (3.0.12) does not close the sockets of failed handshakes."""
    program = """
import sys
from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.port import EventBusError
try:
    open_event_bus(sys.argv[1]).topics()
except EventBusError as error:
    print(error)
"""
    return subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=True).stdout
