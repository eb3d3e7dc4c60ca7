"""One CloudTrail record, its members in the order that CloudTrail writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

Json = Mapping[str, Any]

_VERSIONS = {"1.08": 6, "1.09": 3, "1.10": 2, "1.11": 5}
_TLS_12 = {"tlsVersion": "TLSv1.2", "cipherSuite": "ECDHE-RSA-AES128-GCM-SHA256"}
_TLS_13 = {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"}


class GeneratedEvent(NamedTuple):
    """A record and where it belongs: the account that receives it, the region that recorded it."""

    account_id: str
    region: str
    time: int
    """Epoch seconds."""
    record: bytes
    """The JSON text, UTF-8."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the `userIdentity` and what comes along with it."""

    identity: Json
    account_id: str
    source_ip: str
    user_agent: str
    from_console: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is called and what came of it."""

    source: str
    name: str
    region: str
    read_only: bool
    parameters: Json | None = None
    response: Json | None = None
    additional: Json | None = None
    resources: Sequence[Json] = ()
    error: tuple[str, str] | None = None
    """Code and message of a call that failed."""
    error_message: str | None = None
    """A message without a code: a console sign-in that failed."""
    event_type: str = "AwsApiCall"
    category: str = "Management"
    extra: Json = field(default_factory=dict)
    """Members that follow `recipientAccountId`: `sharedEventID`, `vpcEndpointId`, `serviceEventDetails`."""


def make_event(random: Random, caller: Caller, call: Call, time: int) -> GeneratedEvent:
    """Writes the record of a call."""
    record: dict[str, Any] = {
        "eventVersion": random.choices(list(_VERSIONS), list(_VERSIONS.values()))[0],
        "userIdentity": caller.identity,
        "eventTime": timestamp(time),
        "eventSource": f"{call.source}.amazonaws.com",
        "eventName": call.name,
        "awsRegion": call.region,
        "sourceIPAddress": caller.source_ip,
        "userAgent": caller.user_agent,
    }
    if call.error is not None:
        record["errorCode"], record["errorMessage"] = call.error
    if call.error_message is not None:
        record["errorMessage"] = call.error_message
    record["requestParameters"] = call.parameters
    record["responseElements"] = None if call.error else call.response
    if call.additional is not None:
        record["additionalEventData"] = call.additional
    if call.event_type == "AwsApiCall":
        record["requestID"] = make_uuid(random)
    record |= {"eventID": make_uuid(random), "readOnly": call.read_only}
    if call.resources:
        record["resources"] = call.resources
    record |= {
        "eventType": call.event_type,
        "managementEvent": call.category == "Management",
        "recipientAccountId": caller.account_id,
        **call.extra,
        "eventCategory": call.category,
    }
    if not caller.source_ip.endswith(".amazonaws.com") and call.event_type == "AwsApiCall":
        _add_connection(random, record, caller, call)
    return GeneratedEvent(caller.account_id, call.region, time, msgspec.json.encode(record))


def _add_connection(random: Random, record: dict[str, Any], caller: Caller, call: Call) -> None:
    """The console's proxies give no TLS details, but say that they are the console (CloudTrail, since 1.08)."""
    if caller.from_console:
        record["sessionCredentialFromConsole"] = "true"
        return
    host = f"{call.source}.{call.region}.amazonaws.com"
    details = {**(_TLS_12 if random.random() < 0.4 else _TLS_13), "clientProvidedHostHeader": host}
    if record["eventVersion"] == "1.11" and details["tlsVersion"] == "TLSv1.3":
        details["keyExchange"] = "X25519MLKEM768"
    record["tlsDetails"] = details


def timestamp(seconds: int) -> str:
    """Epoch seconds as CloudTrail writes times: `YYYY-MM-DDTHH:MM:SSZ`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_uuid(random: Random) -> str:
    """A version 4 UUID."""
    return str(UUID(int=random.getrandbits(128), version=4))


def make_id(random: Random, prefix: str, length: int, alphabet: str = "0123456789abcdef") -> str:
    """An id as AWS makes them: a prefix and random characters."""
    return prefix + "".join(random.choices(alphabet, k=length))


def make_unique_id(random: Random, prefix: str) -> str:
    """An IAM unique id such as `AIDA…` or an access key id such as `ASIA…`."""
    return make_id(random, prefix, 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
