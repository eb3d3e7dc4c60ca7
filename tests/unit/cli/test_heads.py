"""`opentrail heads export`: what an auditor keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from opentrail.evidence.chain_head import parse_head
from opentrail_cli.heads import export_heads
from tests.crash.chain_evidence import HOUR
from tests.crash.chain_ports import Bus
from tests.crash.chain_world import ChainWorld


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ChainWorld]:
    with ChainWorld.opened(tmp_path) as opened:
        opened.bus = Bus("eu-central-1", "us-east-1")
        yield opened


def test_the_newest_head_of_every_chain_is_exported_as_it_was_signed(world: ChainWorld) -> None:
    trail = world.add_trail(is_multi_region_trail=True)
    gone = world.add_trail("gone")
    process = world.process()
    process.run(1.5 * HOUR)
    world.delete_trail(gone)
    process.run(1.5 * HOUR)
    exported = export_heads(world.state)
    heads = [parse_head(json.dumps(head, indent=1).encode()) for head in exported["Heads"]]
    assert [head.to_bytes() for head in heads] == [head.document for head in world.state.chains.heads()]
    assert {(head.trail_arn, head.region, head.ended) for head in heads} == {
        (trail.arn, "eu-central-1", False),
        (trail.arn, "us-east-1", False),
        (gone.arn, "eu-central-1", True),
    }
    (of_region,) = export_heads(world.state, "us-east-1")["Heads"]
    assert of_region["region"] == "us-east-1"
    assert export_heads(world.state, "eu-west-1") == {"Heads": []}
