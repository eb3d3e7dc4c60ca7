from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from opentrail.events.batch import EventAttributes, SelectorClass
from opentrail.events.record import (
    MAX_EVENT_BYTES,
    CheckedRecord,
    Rejection,
    RejectionCode,
    check_record,
    check_records,
)

NOW = 1_700_000_000  # 2023-11-14T22:13:20Z
ACCOUNT = "111122223333"
NEW_ID = "00000000-0000-4000-8000-000000000000"
FULL = {
    "eventVersion": "1.08",
    "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/alice", "sessionContext": {}},
    "eventTime": "2023-11-14T22:13:20Z",
    "eventSource": "ec2.amazonaws.com",
    "eventName": "RunInstances",
    "awsRegion": "eu-west-1",
    "sourceIPAddress": "2001:db8::1",
    "requestParameters": {"name": "Größe"},
    "responseElements": None,
    "eventID": "12345678-1234-1234-1234-123456789ABC",
    "readOnly": False,
    "eventType": "AwsApiCall",
    "managementEvent": True,
    "recipientAccountId": ACCOUNT,
    "eventCategory": "Management",
}
OWNED = ["eventVersion", "eventTime", "awsRegion", "eventID", "managementEvent", "recipientAccountId", "eventCategory"]


def text(record: object, **dumps) -> bytes:
    return json.dumps(record, ensure_ascii=False, **{"separators": (",", ":"), **dumps}).encode()


def checked(raw: bytes) -> CheckedRecord | Rejection:
    return check_record(
        raw,
        account_id=ACCOUNT,
        regions=frozenset({"eu-west-1", "us-east-1"}),
        default_region="us-east-1",
        now=NOW,
        new_event_id=lambda: NEW_ID,
    )


def accepted(**changes) -> CheckedRecord:
    result = checked(text({**FULL, **changes}))
    assert isinstance(result, CheckedRecord), result
    return result


def code(raw: bytes) -> RejectionCode:
    result = checked(raw)
    assert isinstance(result, Rejection), result
    assert re.fullmatch(r"[A-Za-z].*\.", result.message, re.DOTALL), result.message
    return result.code


def without(*names: str) -> dict:
    return {name: value for name, value in FULL.items() if name not in names}


def test_codes_are_those_of_the_proto():
    proto = Path(__file__).parents[4] / "proto/opentrail/producer/v1/producer.proto"
    body = re.search(r"enum RejectionCode \{(.*?)\n\}", proto.read_text(), re.DOTALL)[1]
    names = re.findall(r"^\s*([A-Z_]+) = \d+;", body, re.MULTILINE)
    assert names == ["REJECTION_CODE_UNSPECIFIED", *RejectionCode]


class TestAccepted:
    def test_a_whole_record_is_not_touched(self):
        result = accepted()
        assert result.raw == text(FULL)
        assert (result.event_id, result.region, result.event_time) == (FULL["eventID"], "eu-west-1", NOW)
        expected = SelectorClass("Management", "ec2.amazonaws.com", "RunInstances", "AwsApiCall", False, ())
        assert result.selector_class == expected
        assert result.attributes is None

    @pytest.mark.parametrize("style", [{"separators": (", ", ": ")}, {"indent": 2}, {"separators": (",", " :\t")}])
    def test_spaces_are_kept(self, style):
        raw = b" \n" + text(FULL, **style) + b"\r\n\t "
        assert checked(raw).raw == raw

    def test_unknown_members_are_kept(self):
        raw = text({**FULL, "größe": None})[:-1] + b',"p_any":{"deep":[1,2.50,1e400,-0,"\xe2\x80\xa8\\u2028\\/"]}}'
        assert checked(raw).raw == raw

    def test_missing_members_are_spliced_in_before_the_closing_brace(self):
        raw = text(without(*OWNED), indent=1) + b"\n"
        result = checked(raw)
        assert result.raw.startswith(raw.rstrip()[:-1])
        assert result.raw.endswith(b"}\n")
        expected = {
            "eventVersion": "1.11",
            "eventTime": "2023-11-14T22:13:20Z",
            "awsRegion": "us-east-1",
            "eventID": NEW_ID,
            "managementEvent": True,
            "recipientAccountId": ACCOUNT,
            "eventCategory": "Management",
        }
        assert json.loads(result.raw) == without(*OWNED) | expected
        assert (result.event_id, result.region, result.event_time) == (NEW_ID, "us-east-1", NOW)

    @pytest.mark.parametrize("name", OWNED)
    def test_each_owned_member_is_filled_by_itself(self, name):
        filled = json.loads(checked(text(without(name))).raw)
        assert filled.keys() == FULL.keys()
        assert list(filled)[-1] == name

    def test_262_144_bytes_are_accepted_and_one_more_is_not(self):
        room = MAX_EVENT_BYTES - len(text({**FULL, "x": ""}))
        largest = text({**FULL, "x": "a" * room})
        assert len(largest) == 262_144
        assert checked(largest).raw == largest
        assert code(text({**FULL, "x": "a" * (room + 1)})) is RejectionCode.EVENT_TOO_LARGE

    def test_the_limit_counts_what_was_sent(self):
        room = MAX_EVENT_BYTES - len(text({**without("eventID"), "x": ""}))
        assert len(checked(text({**without("eventID"), "x": "a" * room})).raw) > MAX_EVENT_BYTES

    def test_a_clock_may_be_15_minutes_ahead(self):
        assert accepted(eventTime="2023-11-14T22:28:20Z").event_time == NOW + 900
        assert code(text({**FULL, "eventTime": "2023-11-14T22:28:21Z"})) is RejectionCode.INVALID_EVENT_TIME

    @pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "2020-02-29T23:59:59Z", "1969-12-31T23:59:59Z"])
    def test_old_times(self, time):
        accepted(eventTime=time)

    @pytest.mark.parametrize("identity", [None, {}, {"type": "AWSService", "invokedBy": "x.amazonaws.com"}])
    def test_users_of_all_kinds(self, identity):
        accepted(userIdentity=identity)

    def test_nesting_to_the_limit(self):
        inside = "[" * 98 + "]" * 98
        assert isinstance(checked(text(FULL)[:-1] + b',"x":{"y":' + inside.encode() + b"}}"), CheckedRecord)

    def test_many_brackets_are_not_many_levels(self):
        accepted(requestParameters=[[{}] * 300], errorMessage='"{[' * 200, userAgent="\\" * 7)


class TestSelected:
    def test_a_data_event_brings_its_resources_and_user(self):
        result = accepted(
            eventSource="s3.amazonaws.com",
            eventName="ListObjects",
            readOnly=True,
            managementEvent=False,
            eventCategory="Data",
            resources=[
                {"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::b/pre"},
                {"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b"},
                {"ARN": "arn:x"},
                {"type": "AWS::S3::Object", "ARN": None},
            ],
        )
        assert result.selector_class == SelectorClass(
            "Data", "s3.amazonaws.com", "ListObjects", "AwsApiCall", True, ("AWS::S3::Bucket", "AWS::S3::Object")
        )
        resources = (
            ("AWS::S3::Object", "arn:aws:s3:::b/pre"),
            ("AWS::S3::Bucket", "arn:aws:s3:::b"),
            (None, "arn:x"),
            ("AWS::S3::Object", None),
        )
        assert result.attributes == EventAttributes(resources, "arn:aws:iam::111122223333:user/alice")

    def test_a_network_event_keeps_its_error_and_endpoint(self):
        network = {"errorCode": "VpceAccessDenied", "vpcEndpointId": "vpce-1"}
        result = accepted(eventType="AwsVpceEvent", eventCategory="NetworkActivity", **network)
        assert result.selector_class[-2:] == ("VpceAccessDenied", "vpce-1")
        assert result.attributes == EventAttributes((), "arn:aws:iam::111122223333:user/alice")
        assert accepted(**network).selector_class[-2:] == (None, None)

    @pytest.mark.parametrize("category", ["NetworkActivity", "Insight"])
    def test_management_event_is_filled_only_for_the_categories_that_have_it(self, category):
        record = {**without("managementEvent"), "eventCategory": category}
        assert checked(text(record)).raw == text(record)
        record["eventCategory"] = "Data"
        assert json.loads(checked(text(record)).raw)["managementEvent"] is False

    def test_an_insight_needs_no_user_source_and_name(self):
        record = {
            "eventVersion": "1.08",
            "eventTime": FULL["eventTime"],
            "awsRegion": "us-east-1",
            "eventID": FULL["eventID"],
            "eventType": "AwsCloudTrailInsight",
            "recipientAccountId": ACCOUNT,
            "sharedEventID": FULL["eventID"],
            "insightDetails": {"state": "Start"},
            "eventCategory": "Insight",
        }
        result = checked(text(record))
        assert result.raw == text(record)
        assert result.selector_class == SelectorClass("Insight", "", "", "AwsCloudTrailInsight", None, ())

    @pytest.mark.parametrize(
        ("source", "name", "invoked_by", "own"),
        [
            ("s3.amazonaws.com", "PutObject", "cloudtrail.amazonaws.com", True),
            ("logs.amazonaws.com", "PutLogEvents", "cloudtrail.amazonaws.com", True),
            ("s3.amazonaws.com", "GetBucketAcl", "cloudtrail.amazonaws.com", False),
            ("s3.amazonaws.com", "PutObject", "config.amazonaws.com", False),
            ("s3.amazonaws.com", "PutObject", None, False),
        ],
    )
    def test_cloudtrails_own_writes(self, source, name, invoked_by, own):
        identity = {"type": "AWSService", "invokedBy": invoked_by}
        result = accepted(eventSource=source, eventName=name, userIdentity=identity)
        assert result.selector_class.written_by_cloudtrail is own

    @pytest.mark.parametrize(("value", "console"), [("true", True), (True, True), ("false", False), (None, False)])
    def test_sessions_from_the_console(self, value, console):
        result = accepted(sessionCredentialFromConsole=value)
        assert result.selector_class.session_credential_from_console is console

    def test_read_only_may_be_null(self):
        assert accepted(readOnly=None).selector_class.read_only is None
        assert checked(text(without("readOnly"))).selector_class.read_only is None


MALFORMED = {
    "empty": b"",
    "broken": b"{",
    "half": text(FULL)[:-5],
    "two": text(FULL) * 2,
    "comma": text(FULL)[:-1] + b",}",
    "single quotes": b"{'eventID':1}",
    "nan": text(FULL)[:-1] + b',"x":NaN}',
    "infinity": text(FULL)[:-1] + b',"x":[-Infinity]}',
    "nan in the user": text({**FULL, "userIdentity": {"a": float("nan")}}),
    "number": text(FULL)[:-1] + b',"x":01}',
    "control character": text(FULL)[:-1] + b',"x":"\n"}',
    "latin-1": text({**FULL, "x": "é"}).replace("é".encode(), b"\xe9"),
    "overlong": text(FULL)[:-1] + b',"x":"\xc0\x80"}',
    "surrogate in UTF-8": text(FULL)[:-1] + b',"x":"\xed\xa0\x80"}',
    "invalid key": text(FULL)[:-1] + b',"\xff":1}',
    "utf-16": text(FULL).decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + text(FULL),
    "lone high surrogate": text(FULL)[:-1] + b',"x":"\\ud800"}',
    "lone low surrogate": text(FULL)[:-1] + b',"x":{"y":["\\uDC00"]}}',
    "lone surrogate in a key": text(FULL)[:-1] + b',"\\ud800x":1}',
    "unclosed": b"[" * 50,
    "nul": text(FULL) + b"\0",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_malformed_json(raw):
    assert code(raw) is RejectionCode.MALFORMED_JSON


def test_a_pair_of_surrogate_escapes_is_one_character():
    raw = text(FULL)[:-1] + b',"x":"\\ud83d\\ude00 \\\\ud800"}'
    assert checked(raw).raw == raw


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"{}"', b"1", b"true", b"[{}]", text([FULL])])
def test_what_is_no_object(raw):
    assert code(raw) is RejectionCode.NOT_AN_OBJECT


@pytest.mark.parametrize(
    "inside",
    ["[" * 100 + "]" * 100, '{"a":' * 100 + "1" + "}" * 100, "[" * 1000 + "]" * 1000, "[" * 100_000 + "]" * 100_000],
)
def test_too_deep(inside):
    assert code(text(FULL)[:-1] + b',"x":' + inside.encode() + b"}") is RejectionCode.NESTED_TOO_DEEP


@pytest.mark.parametrize(("levels", "too_deep"), [(99, False), (100, True)])
@pytest.mark.parametrize("beside", ["", '"]]}\\"[[{{",', '{"}":[]},' * 200, "[[[[]]],[]]," * 50])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"[":', "}]")])
def test_levels_are_counted_exactly_among_other_brackets(opening, closing, beside, levels, too_deep):
    # The record is a level, the array around is one, and so is each bracket of the opening.
    times, rest = divmod(levels - 1, len(closing))
    innermost = f"{opening * times}{'[' * rest}1{']' * rest}{closing * times}"
    result = checked(text(FULL)[:-1] + f',"x":[{beside}{innermost}]}}'.encode())
    assert isinstance(result, Rejection) is too_deep
    assert not too_deep or result.code is RejectionCode.NESTED_TOO_DEEP


@pytest.mark.parametrize("name", [*FULL, "unknown", "größe"])
def test_a_key_that_comes_twice(name):
    member = text({name: FULL.get(name, 1)})[1:-1]
    assert code(text({name: 1, **FULL})[:-1] + b"," + member + b"}") is RejectionCode.DUPLICATE_KEY
    assert code(b"{" + member + b"," + text({**FULL, name: FULL.get(name)})[1:]) is RejectionCode.DUPLICATE_KEY


@pytest.mark.parametrize(
    "raw",
    [
        text(FULL)[:-1] + b',"event\\u0049D":"12345678-1234-1234-1234-123456789abc"}',
        text(FULL, separators=(", ", ": "))[:-1] + b', "readOnly": false}',
        text(FULL)[:-1] + b',"x":1,"\\u0078":1}',
        text({**FULL, "userIdentity": 0}).replace(b":0", b':{"arn":"a","arn":"b"}'),
        text({**FULL, "userIdentity": 0}).replace(b":0", b':{"arn":"a","\\u0061rn":"b"}'),
        text({**FULL, "userIdentity": 0}).replace(b":0", b':{"x":1,"x":1}'),
        text({**FULL, "resources": 0}).replace(b":0", b':[{},{"type":"a","type":"b"}]'),
        text({**FULL, "resources": 0}).replace(b":0", b':[{"ARN":"a","ARN":"b"}]'),
        text({**FULL, "resources": 0}).replace(b":0", b':[{"other":"a","other":"b"}]'),
    ],
)
def test_a_key_that_comes_twice_however_it_is_written(raw):
    assert code(raw) is RejectionCode.DUPLICATE_KEY


def test_a_key_may_come_twice_where_nobody_looks():
    raw = text({**FULL, "requestParameters": 0}).replace(b":0", b':{"a":1,"a":2}')
    assert checked(raw).raw == raw


@pytest.mark.parametrize("name", ["userIdentity", "eventSource", "eventName", "eventType"])
def test_required_members(name):
    result = checked(text(without(name)))
    assert result == Rejection(RejectionCode.MISSING_FIELD, f"The record has no {name}.")


@pytest.mark.parametrize(
    "changes",
    [
        {"eventSource": None},
        {"eventName": 1},
        {"eventType": ["AwsApiCall"]},
        {"readOnly": "true"},
        {"readOnly": 0},
        {"managementEvent": "true"},
        {"managementEvent": None},
        {"eventID": None},
        {"eventID": "1"},
        {"eventID": "EXAMPLE-1234-5678-9012-EXAMPLE"},
        {"eventID": FULL["eventID"] + "\n"},
        {"eventID": "١٢٣٤٥٦٧٨-1234-1234-1234-123456789012"},
        {"eventVersion": None},
        {"eventVersion": "1"},
        {"eventVersion": 1.08},
        {"eventCategory": None},
        {"eventCategory": "Aggregated"},
        {"eventCategory": "data"},
        {"awsRegion": None},
        {"recipientAccountId": None},
        {"recipientAccountId": int(ACCOUNT)},
        {"resources": {}},
        {"resources": "[]"},
        {"resources": ["arn"]},
        {"resources": [None]},
        {"resources": [{"type": 1}]},
        {"resources": [{"ARN": ["a"]}]},
        {"userIdentity": "alice"},
        {"userIdentity": []},
        {"userIdentity": {"arn": 1}},
        {"userIdentity": {"invokedBy": {}}},
        {"userIdentity": {"sessionContext": None}},
        {"userIdentity": {"sessionContext": {"attributes": None}}},
        {"userIdentity": {"sessionContext": {"sessionIssuer": None}}},
        {"userIdentity": {"sessionContext": {"webIdFederationData": None}}},
        {"userIdentity": {"onBehalfOf": None}},
        {"userIdentity": {"invokedByDelegate": None}},
        {"userIdentity": {"inScopeOf": []}},
        {"tlsDetails": "TLSv1.2"},
        {"addendum": []},
        {"edgeDeviceDetails": True},
        {"insightDetails": 1},
        {"errorCode": 404},
        {"vpcEndpointId": {}},
        {"sessionCredentialFromConsole": 1},
    ],
    ids=str,
)
def test_members_of_the_wrong_type_or_form(changes):
    assert code(text({**FULL, **changes})) is RejectionCode.INVALID_FIELD


@pytest.mark.parametrize(
    "time",
    [
        "2023-11-14T22:13:20.000Z",
        "2023-11-14T22:13:20+00:00",
        "2023-11-14T22:13:20",
        "2023-11-14 22:13:20Z",
        "2023-11-14T22:13:20z",
        "2023-11-14T22:13:20Z ",
        "2023-11-14T22:13:20Z\n",
        "2023-02-29T00:00:00Z",
        "2023-13-01T00:00:00Z",
        "2023-11-14T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "२०२३-11-14T22:13:20Z",
        "9999-12-31T23:59:59Z",
        "",
        1_700_000_000,
        None,
    ],
)
def test_times_that_cloudtrail_does_not_write(time):
    assert code(text({**FULL, "eventTime": time})) is RejectionCode.INVALID_EVENT_TIME


def test_another_account_and_an_unknown_region():
    assert code(text({**FULL, "recipientAccountId": "444455556666"})) is RejectionCode.ACCOUNT_MISMATCH
    assert code(text({**FULL, "awsRegion": "eu-west-9"})) is RejectionCode.UNKNOWN_REGION
    result = check_record(
        text(without("awsRegion")),
        account_id=ACCOUNT,
        regions={"us-east-1"},
        default_region='x","y":"',
        now=NOW,
        new_event_id=str,
    )
    assert result.code is RejectionCode.UNKNOWN_REGION


def test_a_region_is_needed_from_the_record_or_the_request():
    result = check_record(
        text(without("awsRegion")), account_id=ACCOUNT, regions={""}, default_region="", now=NOW, new_event_id=str
    )
    expected = "The record has no awsRegion, and the request names no region."
    assert result == Rejection(RejectionCode.MISSING_FIELD, expected)


def test_a_batch_answers_for_each_record_in_its_place():
    records = [text(without("eventID")), b"{", text(FULL), b"[]", text(without("eventID"))]
    results = check_records(
        records,
        account_id=ACCOUNT,
        regions={"eu-west-1"},
        default_region="eu-west-1",
        now=NOW,
        new_event_id=lambda index: f"00000000-0000-4000-8000-{index:012}",
    )
    assert [type(r).__name__ for r in results] == [
        "CheckedRecord",
        "Rejection",
        "CheckedRecord",
        "Rejection",
        "CheckedRecord",
    ]
    ids = [results[i].event_id for i in (0, 2, 4)]
    assert ids == ["00000000-0000-4000-8000-000000000000", FULL["eventID"], "00000000-0000-4000-8000-000000000004"]


def test_the_reader_of_json_spells_every_character_as_short_as_can_be():
    # The fast check for repeated keys stands on this: encoded again, a record is never longer than it came in.
    import msgspec

    for point in [*range(0x20, 0xD800), *range(0xE000, 0x11000), 0x10FFFF]:
        shortest = 2 if chr(point) in '"\\' else len(chr(point).encode())
        assert len(msgspec.json.encode(chr(point))) == shortest + 2, hex(point)
    for point in range(0x20):
        shortest = 2 if chr(point) in "\b\f\n\r\t" else 6
        assert len(msgspec.json.encode(chr(point))) == shortest + 2, hex(point)
