"""Tags of trails and channels (reference: CloudTrail §5.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentrail.trails.limits import MAX_TAGS
from opentrail.trails.refused import Refused

MAX_KEY = 128
MAX_VALUE = 256
_RESERVED = "aws:"
"""Keys that begin so, in either case, are AWS's own."""

Tags = Mapping[str, str | None]


def with_tags(tags: Tags, tags_list: Sequence[Mapping[str, Any]]) -> Tags:
    """The tags after AddTags, or of a new resource: a key that was there has the new value.

    Args:
        tags: those that the resource has.
        tags_list: the API's `TagsList`; a tag without `Value` has the value None.

    Raises:
        Refused: InvalidTagParameterException, TagsLimitExceededException.
    """
    added: dict[str, str | None] = {}
    for tag in tags_list:
        key, value = tag["Key"], tag.get("Value")
        _check_tag(key, value)
        if key in added:
            raise _invalid(f"Tag key {key} is given twice.")
        added[key] = value
    together = {**tags, **added}
    if len(together) > MAX_TAGS:
        message = f"A resource has at most {MAX_TAGS} tags; it would have {len(together)}."
        raise Refused("TagsLimitExceededException", message)
    return together


def without_tags(tags: Tags, tags_list: Sequence[Mapping[str, Any]]) -> Tags:
    """The tags after RemoveTags. The keys decide, whatever their values; a key that is not there changes nothing."""
    removed = {tag["Key"] for tag in tags_list}
    return {key: value for key, value in tags.items() if key not in removed}


def tags_list_of(tags: Tags) -> list[dict[str, str | None]]:
    """The tags as the API's `TagsList`; a value of None is one to leave out."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _check_tag(key: str, value: str | None) -> None:
    if not 1 <= len(key) <= MAX_KEY:
        raise _invalid(f"A tag key has 1 to {MAX_KEY} characters; one has {len(key)}.")
    if key.lower().startswith(_RESERVED):
        raise _invalid(f"Tag keys that begin with {_RESERVED} are reserved: {key}.")
    if value is not None and len(value) > MAX_VALUE:
        raise _invalid(f"A tag value has at most {MAX_VALUE} characters; that of {key} has {len(value)}.")


def _invalid(message: str) -> Refused:
    return Refused("InvalidTagParameterException", message)
