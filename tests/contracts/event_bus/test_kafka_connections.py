"""What the Kafka adapter's clients leave open: nothing."""

from __future__ import annotations

import contextlib
import socket

from opentrail_backends.event_bus.kafka import library


def test_a_client_that_is_closed_with_something_to_send_leaves_no_connection_open() -> None:
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = library.connect(
            lambda kafka_client, proxy_url: kafka_client(
                bootstrap_servers=f"127.0.0.1:{listener.getsockname()[1]}", proxy_url=proxy_url
            )
        )
        connection = client._manager.get_connection("bootstrap-0")
        while connection.transport is None:
            client.poll(timeout_ms=10)
        broker = opened.enter_context(listener.accept()[0])
        connection.transport.write(bytes(100_000_000))  # more than a broker takes that reads nothing
        client.poll(timeout_ms=10)
        connection.transport.close()  # waits until all is sent
        client.close()
        broker.settimeout(10)
        while broker.recv(1_000_000):
            pass
