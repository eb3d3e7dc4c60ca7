"""The policies of the documentation, to be copied by users, are those that the tests stand on, and let a trail in."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from opentrail.policies.resource_policy import parse_policy
from opentrail.trails.target_policies import bucket_lets_in, topic_lets_in
from opentrail.trails.trail import Trail
from tests.trail_policies import bucket_statements, policy, topic_statement

DOCS = Path(__file__).parents[4] / "docs"
TRAIL = Trail(
    incarnation="i", name="audit", account_id="111122223333", home_region="eu-central-1", s3_bucket_name="trail-logs"
)
TOPIC = "arn:aws:sns:us-east-1:111122223333:told"
FILLED_IN = {
    "HOME-REGION": TRAIL.home_region,
    "REGION": "us-east-1",
    "ACCOUNT": TRAIL.account_id,
    "TRAIL": TRAIL.name,
    "BUCKET": TRAIL.s3_bucket_name,
    "TOPIC": "told",
    "ORGANIZATION": "o-exampleorgid",
}


def documented(page: str) -> list[Any]:
    """The JSON blocks of a page, with a user's own names in them."""
    text = (DOCS / page).read_text()
    blocks = re.findall(r"^```json\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    names = re.compile(r"\b(?:" + "|".join(FILLED_IN) + r")\b")
    return [json.loads(names.sub(lambda name: FILLED_IN[name[0]], block)) for block in blocks]


def test_the_buckets_policy() -> None:
    of_account, of_organization = documented("object-store.md")
    statements = [*of_account["Statement"], of_organization]
    assert statements == bucket_statements("trail-logs", TRAIL.arn, organization_id="o-exampleorgid")
    assert bucket_lets_in(parse_policy(json.dumps(of_account)), TRAIL)
    organizations = replace(TRAIL, organization_id="o-exampleorgid")
    assert bucket_lets_in(parse_policy(policy(*statements)), organizations)


def test_the_topics_policy() -> None:
    (of_topic,) = documented("notifications.md")
    assert of_topic["Statement"] == [topic_statement(TOPIC, TRAIL.arn)]
    assert topic_lets_in(parse_policy(json.dumps(of_topic)), TOPIC, TRAIL.arn)
