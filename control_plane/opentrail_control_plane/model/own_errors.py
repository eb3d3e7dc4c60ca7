"""Where an operation has an error of its own for a value that the model forbids (reference §5.2, §5.3, §6.4).

A missing member is always ValidationException: the operations' own errors are about values.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from opentrail_control_plane.model.constraints import Violation

_VALIDATION = "ValidationException"

_OWN_ERRORS = {
    "advancedEventSelectors": "InvalidEventSelectorsException",
    "channel": "ChannelARNInvalidException",
    "channelArn": "InvalidChannelARN",
    "eventCategory": "InvalidEventCategoryException",
    "eventDataStore": "EventDataStoreARNInvalidException",
    "eventSelectors": "InvalidEventSelectorsException",
    "insightSelectors": "InvalidInsightSelectorsException",
    "lookupAttributes": "InvalidLookupAttributesException",
    "maxQueryResults": "InvalidMaxResultsException",
    "maxResults": "InvalidMaxResultsException",
    "nextToken": "InvalidNextTokenException",
    "queryStatement": "InvalidQueryStatementException",
    "queryStatus": "InvalidQueryStatusException",
    "resourceArn": "ResourceARNNotValidException",
    "resourcePolicy": "ResourcePolicyNotValidException",
    "source": "InvalidSourceException",
    "tags": "InvalidTagParameterException",
    "tagsList": "InvalidTagParameterException",
}
"""By the member of the input that holds the value. It counts where the operation's model lists that error."""

_TOO_MANY_TAGS = "TagsLimitExceededException"
_TAG_LISTS = frozenset({"tags", "tagsList"})


def code_of(found: Sequence[Violation], modelled: Collection[str]) -> str:
    """The code that answers all of an input's violations.

    Args:
        found: at least one.
        modelled: the errors that the operation's model lists.
    """
    codes = {_code_of(violation, modelled) for violation in found}
    return codes.pop() if len(codes) == 1 else _VALIDATION


def _code_of(violation: Violation, modelled: Collection[str]) -> str:
    if violation.value is None:
        return _VALIDATION
    if violation.path in _TAG_LISTS and _TOO_MANY_TAGS in modelled:
        return _TOO_MANY_TAGS
    code = _OWN_ERRORS.get(violation.path.partition(".")[0], _VALIDATION)
    return code if code in modelled else _VALIDATION
