"""A Kafka broker of one node, its own controller."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.servers import cache, containers
from tests.servers.cache import Unavailable
from tests.servers.process import Port, ServerProcess
from tests.servers.session import ServerSession

VERSION = "4.3.1"
FILES = Path(__file__).with_name("kafka-broker")
MAVEN_STEP = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
# A killed broker may come back when its old session has ended.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=16777216
"""


def libraries() -> Path:
    """The folder of the broker's jars, brought by Maven if needed. Raises Unavailable."""

    def build(place: Path) -> None:
        maven = cache.program("mvn", "brings the jars of Kafka")
        goal: list[str | Path] = [maven, "-q", "-B", "-f", FILES / "pom.xml", MAVEN_STEP]
        cache.run([*goal, "-DincludeScope=runtime", f"-DoutputDirectory={place / 'libs'}"])

    return cache.build_once(f"kafka-{VERSION}", build) / "libs"


def java() -> str:
    """The path of a Java runtime of at least 17. Raises Unavailable."""
    found = cache.program("java", "runs Kafka")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < 17:
        raise Unavailable(f"Kafka needs Java 17 or newer; {found} says: {said.strip()[:100]}")
    return found


@dataclass(slots=True)
class KafkaServer:
    """A broker that a test can stop, crash and start again; its topics and messages stay."""

    bootstrap: str
    """Its address, host:port; the same over restarts."""
    process: ServerProcess

    def start(self) -> None:
        """Starts it again; returns when it takes requests."""
        self.process.start()

    def stop(self) -> None:
        """The orderly end."""
        self.process.stop()

    def kill(self) -> None:
        """A crash."""
        self.process.kill()


def shared_bootstrap(session: ServerSession) -> str:
    """The address of the session's broker. Raises Unavailable."""
    given = os.environ.get("OPENTRAIL_TEST_KAFKA")
    if given:
        return given

    def start() -> dict[str, str]:
        server = prepare(session.place("kafka"))
        session.run(server)
        return {"bootstrap": server.address}

    return str(session.share("kafka", start)["bootstrap"])


def own(session: ServerSession) -> KafkaServer:
    """A broker for one test, started. Raises Unavailable."""
    server = prepare(session.place("own-kafka"))
    server.start()
    return KafkaServer(server.address, server)


def prepare(place: Path) -> ServerProcess:
    """A broker that keeps its data in `place`, not yet started. Raises Unavailable."""
    port = Port.new()
    try:
        runtime, jars = java(), libraries()
    except Unavailable as reason:
        return containers.instead(reason, "kafka", place, port, _is_ready, _container_settings(port))
    log4j = f"-Dlog4j2.configurationFile={FILES / 'log4j2.properties'}"
    jvm: list[str | Path] = [runtime, "-Xmx384m", "-XX:+UseSerialGC", log4j, "-cp", f"{jars}/*"]
    controller = Port.new()
    properties = place / "server.properties"
    properties.write_text(
        PROPERTIES.format(port=port.number, controller_port=controller.number, data=place / "data"),
    )
    # The first byte is 0, so that the id never begins with a dash, which the tool would take for an option.
    cluster = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
    cache.run([*jvm, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties, "--standalone"])
    command = [*jvm, "kafka.Kafka", properties]
    env = {"PATH": os.environ["PATH"]}
    return ServerProcess("kafka", command, place, _is_ready, ports=(port, controller), env=env)


def _is_ready(printed: str) -> bool:
    return "Kafka Server started" in printed


def _container_settings(port: Port) -> dict[str, str]:
    """What PROPERTIES says, in the form of the image: listeners inside, the host's port as the address outside."""
    settings = dict(line.split("=", 1) for line in PROPERTIES.splitlines() if "=" in line)
    del settings["log.dirs"], settings["controller.quorum.bootstrap.servers"]
    settings |= {
        "controller.quorum.voters": "1@localhost:9093",
        "listeners": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://localhost:9093",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port.number}",
    }
    return {"KAFKA_" + name.replace(".", "_").upper(): value for name, value in settings.items()}
