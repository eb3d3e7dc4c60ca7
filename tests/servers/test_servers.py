"""The fixtures themselves: each server answers, keeps its data over a restart, and never outlives its owner."""

from __future__ import annotations

import socket
from collections.abc import Callable

import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from tests.servers.aws_cli import AwsCli
from tests.servers.kafka import KafkaServer
from tests.servers.postgresql import OwnPostgresServer
from tests.servers.s3 import OwnS3Server, S3Server


@pytest.mark.kafka
def test_kafka_answers(kafka_bootstrap: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    assert isinstance(admin.list_topics(), list)
    admin.close()


@pytest.mark.kafka
def test_a_killed_broker_comes_back_at_its_address_with_what_it_acknowledged(own_kafka: KafkaServer) -> None:
    admin = KafkaAdminClient(bootstrap_servers=own_kafka.bootstrap)
    admin.create_topics([NewTopic("events", num_partitions=1, replication_factor=1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=own_kafka.bootstrap, acks="all")
    producer.send("events", b"kept").get(timeout=30)
    producer.close()

    own_kafka.kill()
    own_kafka.start()

    consumer = KafkaConsumer(bootstrap_servers=own_kafka.bootstrap, auto_offset_reset="earliest")
    consumer.assign([TopicPartition("events", 0)])
    assert next(consumer).value == b"kept"
    consumer.close()


@pytest.mark.s3
def test_minio_encrypts_with_its_key(minio: S3Server) -> None:
    bucket = minio.new_bucket()
    assert minio.kms_key_id is not None
    minio.client.put_object(
        Bucket=bucket, Key="k", Body=b"v", ServerSideEncryption="aws:kms", SSEKMSKeyId=minio.kms_key_id
    )
    assert minio.client.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "aws:kms"


@pytest.mark.s3
def test_versitygw_keeps_objects(versitygw: S3Server) -> None:
    bucket = versitygw.new_bucket()
    versitygw.client.put_object(Bucket=bucket, Key="k", Body=b"v")
    assert versitygw.client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"v"


@pytest.mark.s3
def test_a_stopped_minio_refuses_and_comes_back_with_its_objects(own_minio: OwnS3Server) -> None:
    bucket = own_minio.s3.new_bucket()
    own_minio.s3.client.put_object(Bucket=bucket, Key="k", Body=b"v")
    own_minio.stop()
    host, port = own_minio.process.address.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    own_minio.start()
    assert own_minio.s3.client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"v"


@pytest.mark.postgresql
def test_each_postgres_database_is_fresh(postgres_database: Callable[[], str]) -> None:
    first, second = postgres_database(), postgres_database()
    assert first != second
    with psycopg.connect(first.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE t (n int)")
    with psycopg.connect(second.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT to_regclass('t')").fetchone() == (None,)


@pytest.mark.postgresql
def test_a_killed_postgres_keeps_what_was_committed(own_postgres: OwnPostgresServer) -> None:
    url = own_postgres.new_database().replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS n")
    own_postgres.kill()
    own_postgres.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM t").fetchone() == (1,)


def test_moto_answers(moto_endpoint: str) -> None:
    host, port = moto_endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))):
        pass


def test_both_releases_of_the_aws_cli_run(aws_cli: list[AwsCli]) -> None:
    said = [cli.run("--version").stdout.split()[0] for cli in aws_cli]
    assert said == ["aws-cli/1.46.2", "aws-cli/1.45.11"]
