from __future__ import annotations

from itertools import count

import pytest

from opentrail.trails.configuration import Change, Configuration
from opentrail_backends.state.port import NewChange
from opentrail_cli.declared import parse_declaration
from opentrail_cli.declared_changes import changes_of
from opentrail_cli.errors import Mistakes

WHOLE = """
[[accounts]]
id = "111122223333"
name = "management"
events_per_second = 50

[[accounts]]
id = "444455556666"

[[organizations]]
id = "o-exampleorgid"
management_account_id = "111122223333"
member_account_ids = ["444455556666"]

[[tokens]]
account_id = "444455556666"
name = "web servers"

[[access_keys]]
account_id = "111122223333"
name = "auditor"

[[trails]]
name = "everything"
account_id = "111122223333"
s3_bucket_name = "example-logs"
s3_key_prefix = "audit/cloud"
organization_id = "o-exampleorgid"
is_multi_region_trail = true

[[trails.advanced_event_selectors]]
Name = "all S3 objects"
[[trails.advanced_event_selectors.FieldSelectors]]
Field = "eventCategory"
Equals = ["Data"]
[[trails.advanced_event_selectors.FieldSelectors]]
Field = "resources.type"
Equals = ["AWS::S3::Object"]
"""
TRAIL = """
[[accounts]]
id = "111122223333"
[[trails]]
name = "everything"
account_id = "111122223333"
s3_bucket_name = "example-logs"
"""


def changes(text: str, before: Configuration, now: int = 1000, prune: bool = False) -> list[NewChange]:
    declaration, places = parse_declaration(text, "trails.toml")
    numbers = count(before.revision + 1)
    return changes_of(
        declaration, before, now=now, new_incarnation=lambda: f"new-{next(numbers)}", prune=prune, places=places
    )


def after(text: str, before: Configuration | None = None, now: int = 1000, prune: bool = False) -> Configuration:
    before = before or Configuration()
    made = changes(text, before, now, prune)
    return before.after(*(Change(before.revision + 1 + i, now + i, c.kind, c.id, c.body) for i, c in enumerate(made)))


def mistakes(text: str, before: Configuration | None = None) -> tuple[str, ...]:
    with pytest.raises(Mistakes) as refused:
        changes(text, before or Configuration())
    return refused.value.mistakes
