from __future__ import annotations

from uuid import UUID

import pytest

from opentrail.trails.caller import Caller
from opentrail.trails.channel import Channel, Destination
from opentrail.trails.channel_requests import (
    CHANNELS_PER_REGION,
    InvalidChannelArn,
    channels_of,
    created_channel,
    find_channel,
    named_channel,
    updated_channel,
)
from opentrail.trails.configuration import Configuration
from opentrail.trails.refused import Refused

OWNER, STRANGER = Caller("111122223333", "us-east-1"), Caller("444455556666", "us-east-1")
ELSEWHERE = Caller(OWNER.account_id, "eu-west-1")
TO_THE_BUS = [{"Type": "EVENT_DATA_STORE", "Location": "event-bus"}]
STORE = "arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/b5a7b0a0-f852-4e8f-8bd1-bcf6c0000001"


def channel_id(number: int) -> str:
    return str(UUID(int=number))


def channel(number: int = 1, of: Caller = OWNER, **fields) -> Channel:
    defaults = {"name": f"channel-{number}", "source": f"source-{number}"}
    return Channel(id=channel_id(number), account_id=of.account_id, region=of.region, **(defaults | fields))


def configuration(*channels: Channel) -> Configuration:
    return Configuration(channels={one.id: one for one in channels})


def created(*others: Channel, caller: Caller = OWNER, **members) -> Channel:
    request = {"Name": "mine", "Source": "Custom", "Destinations": TO_THE_BUS, **members}
    return created_channel(configuration(*others), caller, request, channel_id=channel_id(99))


def refusal(function, *args, **kwargs) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        function(*args, **kwargs)
    return refused.value.code, refused.value.message


def test_a_new_channel():
    made = created(Tags=[{"Key": "team", "Value": "audit"}, {"Key": "old"}])
    assert made == Channel(
        id=channel_id(99),
        account_id=OWNER.account_id,
        region=OWNER.region,
        name="mine",
        source="Custom",
        destinations=(Destination("EVENT_DATA_STORE", "event-bus"),),
        tags={"team": "audit", "old": None},
    )
    assert made.arn == f"arn:aws:cloudtrail:us-east-1:111122223333:channel/{channel_id(99)}"


@pytest.mark.parametrize("source", ["Custom", "Okta", "com.example.app/audit", "app of ours", "amazonaws.com.example"])
def test_any_source_outside_aws_has_a_channel(source):
    assert created(Source=source).source == source


@pytest.mark.parametrize("source", [" Custom", "Custom\n", "a\0b", "s3.amazonaws.com", "S3.AmazonAWS.com.cn", " "])
def test_sources_that_are_refused(source):
    assert refusal(created, Source=source)[0] == "InvalidSourceException"


@pytest.mark.parametrize(
    ("destinations", "code"),
    [
        ([{"Type": "EVENT_DATA_STORE", "Location": STORE}], "EventDataStoreNotFoundException"),
        ([{"Type": "EVENT_DATA_STORE", "Location": STORE.rpartition("/")[2]}], "EventDataStoreNotFoundException"),
        ([{"Type": "EVENT_DATA_STORE", "Location": "Event-Bus"}], "EventDataStoreNotFoundException"),
        (
            [{"Type": "EVENT_DATA_STORE", "Location": STORE.replace("datastore", "bus")}],
            "EventDataStoreARNInvalidException",
        ),
        ([{"Type": "AWS_SERVICE", "Location": "event-bus"}], "InvalidParameterException"),
        (TO_THE_BUS * 2, "InvalidParameterException"),
    ],
)
def test_other_destinations_are_refused_with_the_one_there_is(destinations, code):
    there = channel()
    refused = refusal(created, Destinations=destinations)
    assert refused[0] == code
    assert refused == refusal(updated_channel, configuration(there), OWNER, there, {"Destinations": destinations})
    assert "event-bus" in refused[1] or "EVENT_DATA_STORE" in refused[1]


def test_a_source_has_one_channel_and_a_name_is_given_once_in_a_region_of_an_account():
    assert refusal(created, channel(source="Custom"))[0] == "ChannelAlreadyExistsException"
    assert refusal(created, channel(name="mine"))[0] == "ChannelAlreadyExistsException"
    same = {"name": "mine", "source": "Custom"}
    assert created(channel(1, STRANGER, **same), channel(2, ELSEWHERE, **same)).name == "mine"


def test_at_most_25_channels_in_a_region_of_an_account():
    elsewhere = [channel(1000 + number, ELSEWHERE) for number in range(CHANNELS_PER_REGION)]
    others = [channel(2000 + number, STRANGER) for number in range(CHANNELS_PER_REGION)]
    here = [channel(number) for number in range(25)]
    assert created(*here[:23], *elsewhere, *others).name == "mine"
    assert created(*here[:24], *elsewhere, *others).name == "mine"
    assert refusal(created, *here) == (
        "ChannelMaxLimitExceededException",
        "User: 111122223333 already has 25 channels in us-east-1.",
    )


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([{"Key": "aws:x", "Value": "y"}], "InvalidTagParameterException"),
        ([{"Key": str(number)} for number in range(51)], "TagsLimitExceededException"),
    ],
)
def test_tags_that_are_refused(tags, code):
    assert refusal(created, Tags=tags)[0] == code


def test_an_update_changes_what_it_names():
    there, other = channel(1, tags={"a": "b"}), channel(2)
    known = configuration(there, other)
    renamed = updated_channel(known, OWNER, there, {"Name": "renamed"})
    assert (renamed.name, renamed.id, renamed.source, renamed.tags) == ("renamed", there.id, there.source, there.tags)
    assert updated_channel(known, OWNER, there, {"Name": there.name}) == there
    assert updated_channel(known, OWNER, there, {"Destinations": TO_THE_BUS}).destinations == (
        Destination("EVENT_DATA_STORE", "event-bus"),
    )
    assert refusal(updated_channel, known, OWNER, there, {"Name": other.name})[0] == "ChannelAlreadyExistsException"


def test_channels_are_listed_for_their_account_and_region():
    known = configuration(channel(3), channel(1), channel(2, STRANGER), channel(4, ELSEWHERE))
    assert [one.id for one in channels_of(known, OWNER)] == [channel_id(1), channel_id(3)]


def test_a_channel_is_found_by_arn_or_id():
    there = channel()
    known = configuration(there)
    assert find_channel(known, OWNER, there.arn) == find_channel(known, OWNER, there.id) == there
    assert named_channel(known, OWNER.region, there.arn) == named_channel(known, OWNER.region, there.id) == there


@pytest.mark.parametrize("caller", [STRANGER, ELSEWHERE])
def test_the_channels_of_others_are_not_there(caller):
    there = channel()
    for name in (there.arn, there.id):
        assert refusal(find_channel, configuration(there), caller, name) == (
            "ChannelNotFoundException",
            f"Unknown channel: {name} for the user: {caller.account_id}",
        )


@pytest.mark.parametrize(
    "arn",
    [
        channel().arn.replace("us-east-1", "eu-west-1"),
        channel().arn.replace("111122223333", "444455556666"),
        channel().arn.replace("arn:aws:", "arn:aws-cn:"),
        channel(2).arn,
    ],
)
def test_an_arn_means_the_channel_that_has_it(arn):
    assert named_channel(configuration(channel()), "us-east-1", arn) is None


@pytest.mark.parametrize(
    "name", ["channel", "channel-1", channel_id(1)[:-1], f"{channel_id(1)}0", channel().arn + "/x", STORE, "arn:"]
)
def test_what_is_neither_arn_nor_id(name):
    with pytest.raises(InvalidChannelArn):
        named_channel(configuration(channel()), "us-east-1", name)
    assert refusal(find_channel, configuration(channel()), OWNER, name) == (
        "ChannelARNInvalidException",
        f"{name} is neither the ARN nor the id of a channel.",
    )
