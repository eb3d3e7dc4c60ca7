"""The command as a user meets it: real processes, real sockets on loopback, everything embedded."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from tests.integration.cli_process import (
    ACCOUNT,
    Running,
    address,
    by_id,
    delivered,
    opentrail,
    validation,
    wait_for,
    write_events,
)


def test_the_demo_goes_the_whole_way(tmp_path: Path) -> None:
    said = opentrail(tmp_path, "demo", "--events", "600", OPENTRAIL_REGIONS="")
    assert re.search(r"Events +7\d\d made-up records", said)
    assert re.search(r"Validation +(\d+)/\1 digest files valid, (\d+)/\2 log files valid\n +exit code 0", said)
    assert len(re.findall(r"INVALID +444455556666_CloudTrail_us-east-1_\S+\.json\.gz", said)) == 1
    assert "exactly this file is reported" in said
    assert said.count("exit code 0") == 2
    assert said.count("exit code 1") == 1
    assert "\x1b" not in said

    command = re.search(r"opentrail (validate-logs .*?public-keys\.json)", said, re.DOTALL)
    assert command is not None
    validated = opentrail(tmp_path, *command[1].replace("\\\n", " ").split())
    assert "log files valid" in validated
    assert "INVALID" not in validated
    command = re.search(r"opentrail (cat .*)", said)
    assert command is not None
    assert '"StopLogging"' in opentrail(tmp_path, *command[1].split())


def test_up_takes_events_delivers_them_and_goes_on_after_a_stop(tmp_path: Path, start: Callable[..., Running]) -> None:
    sent = write_events(tmp_path / "events.jsonl", 300)
    up = start("up", "--account", ACCOUNT)
    said = up.read_until("Ctrl-C")
    assert re.search(r"token of 444455556666 \"first\"\n +ot_", said)

    producer = address(said, r"producer \(gRPC\)")
    assert f"{len(sent)} events accepted" in opentrail(tmp_path, "ingest", "events.jsonl", "--producer", producer)
    wait_for(lambda: len(delivered(tmp_path)) >= len(sent))
    assert by_id(delivered(tmp_path)) == by_id(sent)

    cloudtrail = boto3.client(
        "cloudtrail",
        region_name="us-east-1",
        endpoint_url=address(said, "CloudTrail API"),
        aws_access_key_id=address(said, "AWS_ACCESS_KEY_ID=", ""),
        aws_secret_access_key=address(said, "AWS_SECRET_ACCESS_KEY=", ""),
    )
    (trail,) = cloudtrail.describe_trails()["trailList"]
    assert trail["TrailARN"] == f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/everything"
    wait_for(lambda: "LatestDigestDeliveryTime" in cloudtrail.get_trail_status(Name="everything"))
    assert cloudtrail.get_trail_status(Name="everything")["IsLogging"] is True
    assert cloudtrail.list_public_keys()["PublicKeyList"]

    def status() -> Any:
        return json.loads(opentrail(tmp_path, "status", "--json"))

    # The calls above are events, too.
    wait_for(lambda: sum(partition["lag"] for partition in status()["partitions"]) == 0)
    assert {chain["region"] for chain in status()["chains"]} == {"us-east-1", "eu-central-1"}
    assert "everything" in opentrail(tmp_path, "status")
    assert "Stopped." in up.stop(signal.SIGINT)

    up = start("up")
    said = up.read_until("Ctrl-C")
    assert "Shown only now" not in said
    again = write_events(tmp_path / "more.jsonl", 400)
    opentrail(tmp_path, "ingest", "more.jsonl", "--producer", address(said, r"producer \(gRPC\)"))
    wait_for(lambda: set(by_id([*sent, *again])) <= set(by_id(delivered(tmp_path))))
    up.stop()
    validated = opentrail(tmp_path, *validation(tmp_path))
    assert "log files valid" in validated
    assert "INVALID" not in validated


def test_each_service_runs_by_itself(tmp_path: Path, start: Callable[..., Running]) -> None:
    sent = write_events(tmp_path / "events.jsonl", 200)
    (tmp_path / "declared.toml").write_text(
        f'[[accounts]]\nid = "{ACCOUNT}"\n[[tokens]]\naccount_id = "{ACCOUNT}"\nname = "t"\n'
        f'[[trails]]\nname = "everything"\naccount_id = "{ACCOUNT}"\ns3_bucket_name = "example-logs"\n'
        "is_multi_region_trail = true\n"
    )
    token = re.search(r"ot_\S+", opentrail(tmp_path, "apply", "declared.toml"))
    assert token is not None
    services = [start("serve", name) for name in ("delivery", "producer", "control-plane")]
    ready = [service.read_until("ready") for service in services]
    (tmp_path / "token").write_text(token[0] + "\n")
    producer = address(ready[1], "ready on")
    said = opentrail(tmp_path, "ingest", "events.jsonl", "--producer", producer, "--token-file", "token")
    assert f"{len(sent)} events accepted" in said
    management = [record for record in sent if record["managementEvent"]]
    wait_for(lambda: len(delivered(tmp_path)) >= len(management))
    assert by_id(delivered(tmp_path)) == by_id(management)
    for service in services:
        service.stop()
