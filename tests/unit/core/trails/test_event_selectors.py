from __future__ import annotations

import pytest

from opentrail.events.batch import EventAttributes, SelectorClass
from opentrail.trails import decision
from opentrail.trails.event_selectors import (
    AdvancedEventSelector,
    BasicEventSelector,
    DataResource,
    Decision,
    EventSelectors,
    FieldSelector,
    InvalidEventSelectors,
    decide,
    wants,
)

NO, YES, PER_EVENT = Decision.NO, Decision.YES, Decision.PER_EVENT
MANAGEMENT = SelectorClass("Management", "ec2.amazonaws.com", "RunInstances", "AwsApiCall", False, ())
S3_DATA = SelectorClass(
    "Data", "s3.amazonaws.com", "GetObject", "AwsApiCall", True, ("AWS::S3::Bucket", "AWS::S3::Object")
)
LAMBDA_DATA = SelectorClass("Data", "lambda.amazonaws.com", "Invoke", "AwsApiCall", False, ("AWS::Lambda::Function",))
NETWORK = SelectorClass(
    "NetworkActivity",
    "kms.amazonaws.com",
    "CreateKey",
    "AwsVpceEvent",
    False,
    (),
    error_code="VpceAccessDenied",
    vpc_endpoint_id="vpce-1",
)
INSIGHT = SelectorClass("Insight", "", "", "AwsCloudTrailInsight", None, ())


def event(*arns: str | None, type_: str = "AWS::S3::Object", identity: str | None = None) -> EventAttributes:
    return EventAttributes(tuple((type_, arn) for arn in arns), identity)


def field(name: str, **operators: list[str]) -> dict:
    return {"Field": name, **operators}


def advanced(*fields: dict) -> EventSelectors:
    return EventSelectors.from_api(None, [{"FieldSelectors": list(fields)}])


def data(*fields: dict, resource_type: str = "AWS::S3::Object") -> EventSelectors:
    return advanced(field("eventCategory", Equals=["Data"]), field("resources.type", Equals=[resource_type]), *fields)


def basic(**members) -> EventSelectors:
    return EventSelectors.from_api([members], None)


def objects(*values: str, **members) -> EventSelectors:
    return basic(DataResources=[{"Type": "AWS::S3::Object", "Values": list(values)}], **members)


class TestDefault:
    def test_a_trail_without_selectors_takes_all_management_events_and_no_others(self):
        default = EventSelectors()
        assert default == EventSelectors.from_api(None, None) == basic()
        assert decide(default, MANAGEMENT) is YES
        assert decide(default, MANAGEMENT._replace(read_only=True)) is YES
        assert decide(default, MANAGEMENT._replace(read_only=None)) is YES
        assert [decide(default, c) for c in (S3_DATA, NETWORK, INSIGHT)] == [NO, NO, NO]

    def test_get_event_selectors_answers_every_member(self):
        assert EventSelectors().to_api() == {
            "EventSelectors": [
                {
                    "ReadWriteType": "All",
                    "IncludeManagementEvents": True,
                    "DataResources": [],
                    "ExcludeManagementEventSources": [],
                }
            ]
        }

    def test_both_kinds_at_once_are_refused(self):
        some = [{"FieldSelectors": [field("eventCategory", Equals=["Management"])]}]
        with pytest.raises(InvalidEventSelectors, match="not both"):
            EventSelectors.from_api([{}], some)
        with pytest.raises(InvalidEventSelectors, match="not both"):
            EventSelectors((BasicEventSelector(),), (AdvancedEventSelector(),))
        assert EventSelectors.from_api([], some).advanced

    @pytest.mark.parametrize("lists", [([], None), (None, []), ([], [])])
    def test_an_empty_list_is_no_way_to_silence_a_trail(self, lists):
        with pytest.raises(InvalidEventSelectors):
            EventSelectors.from_api(*lists)


class TestBasic:
    def test_read_write_type_holds_for_management_and_data(self):
        reads = objects("arn:aws:s3", ReadWriteType="ReadOnly")
        writes = objects("arn:aws:s3", ReadWriteType="WriteOnly")
        for selector_class in (MANAGEMENT, S3_DATA):
            read, write, unknown = (selector_class._replace(read_only=value) for value in (True, False, None))
            assert [decide(reads, c) for c in (read, write, unknown)] == [YES, NO, NO]
            assert [decide(writes, c) for c in (read, write, unknown)] == [NO, YES, NO]

    def test_excluded_sources_are_left_out_of_management_events(self):
        selectors = basic(ExcludeManagementEventSources=["kms.amazonaws.com", "rdsdata.amazonaws.com"])
        for source in ("kms.amazonaws.com", "rdsdata.amazonaws.com"):
            assert decide(selectors, MANAGEMENT._replace(event_source=source)) is NO
        assert decide(selectors, MANAGEMENT._replace(event_source="rds.amazonaws.com")) is YES

    @pytest.mark.parametrize("value", ["arn:aws:s3", "arn:aws:s3:::", "arn:aws-cn:s3"])
    def test_every_object(self, value):
        assert decide(objects(value), S3_DATA) is YES
        assert decide(objects(value, IncludeManagementEvents=False), MANAGEMENT) is NO

    @pytest.mark.parametrize(
        ("value", "arn", "wanted"),
        [
            ("arn:aws:s3:::b/", "arn:aws:s3:::b/k", True),
            ("arn:aws:s3:::b/", "arn:aws:s3:::bb/k", False),
            ("arn:aws:s3:::b/pre", "arn:aws:s3:::b/prefix/k", True),
            ("arn:aws:s3:::b/pre", "arn:aws:s3:::b/Pre", False),
            ("arn:aws:s3:::b/", None, False),
        ],
    )
    def test_an_object_value_is_a_prefix(self, value, arn, wanted):
        selectors = objects(value)
        assert decide(selectors, S3_DATA) is PER_EVENT
        assert wants(selectors, S3_DATA, event(arn)) is wanted

    def test_a_function_is_exact(self):
        arn = "arn:aws:lambda:us-east-1:111122223333:function:helloworld"
        selectors = basic(DataResources=[{"Type": "AWS::Lambda::Function", "Values": [arn]}])
        assert wants(selectors, LAMBDA_DATA, event(arn, type_="AWS::Lambda::Function"))
        assert not wants(selectors, LAMBDA_DATA, event(arn + "2", type_="AWS::Lambda::Function"))

    def test_a_table_takes_its_streams_events_since_they_name_the_table(self):
        arn = "arn:aws:dynamodb:us-east-1:111122223333:table/t"
        selectors = basic(DataResources=[{"Type": "AWS::DynamoDB::Table", "Values": [arn]}])
        types = ("AWS::DynamoDB::Stream", "AWS::DynamoDB::Table")
        stream = SelectorClass("Data", "dynamodb.amazonaws.com", "GetRecords", "AwsApiCall", True, types)
        resources = (("AWS::DynamoDB::Stream", arn + "/stream/1"), ("AWS::DynamoDB::Table", arn))
        assert wants(selectors, stream, EventAttributes(resources, None))

    def test_one_of_several_selectors_is_enough(self):
        selectors = EventSelectors.from_api(
            [
                {"ReadWriteType": "WriteOnly"},
                {
                    "ReadWriteType": "ReadOnly",
                    "IncludeManagementEvents": False,
                    "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::b/"]}],
                },
            ],
            None,
        )
        assert decide(selectors, MANAGEMENT) is YES
        assert decide(selectors, MANAGEMENT._replace(read_only=True)) is NO
        assert decide(selectors, S3_DATA) is PER_EVENT
        assert decide(selectors, S3_DATA._replace(read_only=False)) is NO

    @pytest.mark.parametrize(
        ("members", "message"),
        [
            ({"ReadWriteType": "read-only"}, "ReadWriteType"),
            ({"IncludeManagementEvents": "true"}, "IncludeManagementEvents"),
            ({"Unknown": 1}, "unknown field"),
            (
                {"IncludeManagementEvents": False},
                (
                    r"^Invalid combination of parameters in EventSelectors. "
                    r"When includeManagementEvents is false, DataResources must not be empty.$"
                ),
            ),
            ({"ExcludeManagementEventSources": ["ec2.amazonaws.com"]}, "ec2.amazonaws.com"),
            (
                {
                    "IncludeManagementEvents": False,
                    "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}],
                    "ExcludeManagementEventSources": ["kms.amazonaws.com"],
                },
                "ExcludeManagementEventSources must be empty",
            ),
            ({"DataResources": [{"Type": "AWS::SNS::Topic", "Values": []}]}, "DataResources.Type"),
            ({"DataResources": [{"Values": []}]}, "Type"),
        ],
    )
    def test_what_cloudtrail_refuses(self, members, message):
        with pytest.raises(InvalidEventSelectors, match=message):
            basic(**members)

    @pytest.mark.parametrize(
        ("resource_type", "value"),
        [
            ("AWS::S3::Object", "arn:aws:s3:::bucket"),
            ("AWS::S3::Object", "arn:aws:s3:::*"),
            ("AWS::S3::Object", "arn:aws:s3:::*/k"),
            ("AWS::S3::Object", "arn:aws:lambda"),
            ("AWS::S3::Object", "bucket/"),
            ("AWS::S3::Object", ""),
            ("AWS::Lambda::Function", "arn:aws:lambda:*"),
            ("AWS::Lambda::Function", "arn:aws:lambda:us-east-1:1:function:f"),
            ("AWS::DynamoDB::Table", "arn:aws:dynamodb:us-east-1:111122223333:table/"),
            ("AWS::DynamoDB::Table", "arn:aws:s3"),
        ],
    )
    def test_values_that_are_refused_with_cloudtrails_words(self, resource_type, value):
        with pytest.raises(InvalidEventSelectors) as refused:
            basic(DataResources=[{"Type": resource_type, "Values": [value]}])
        assert str(refused.value) == f"Value {value} for DataResources.Values is invalid."

    def test_five_selectors_and_no_more(self):
        assert len(EventSelectors.from_api([{}] * 5, None).basic) == 5
        with pytest.raises(InvalidEventSelectors):
            EventSelectors.from_api([{}] * 6, None)

    def test_250_resources_over_all_selectors_and_values_for_all_do_not_count(self):
        values = [f"arn:aws:s3:::b/{i}" for i in range(125)]
        half = {"DataResources": [{"Type": "AWS::S3::Object", "Values": [*values, "arn:aws:s3", "arn:aws:s3:::"]}]}
        one = {"DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::c/"]}]}
        assert EventSelectors.from_api([half, half], None)
        with pytest.raises(InvalidEventSelectors) as refused:
            EventSelectors.from_api([half, half, one], None)
        expected = "Specify a valid number of DataResources.Values (0 to 250) for all your selectors"
        assert str(refused.value) == expected


class TestAdvanced:
    def test_management_reads_without_kms(self):
        selectors = advanced(
            field("eventCategory", Equals=["Management"]),
            field("readOnly", Equals=["true"]),
            field("eventSource", NotEquals=["kms.amazonaws.com"]),
        )
        read = MANAGEMENT._replace(read_only=True)
        assert decide(selectors, read) is YES
        assert decide(selectors, read._replace(event_source="kms.amazonaws.com")) is NO
        assert decide(selectors, MANAGEMENT) is NO

    def test_positive_operators_are_alternatives_and_negative_ones_all_hold(self):
        selectors = data(
            field(
                "eventName", Equals=["GetObject"], StartsWith=["Put"], EndsWith=["Acl"], NotEquals=["PutObjectTagging"]
            )
        )
        decisions = {
            name: decide(selectors, S3_DATA._replace(event_name=name))
            for name in ("GetObject", "PutObject", "GetObjectAcl", "PutObjectTagging", "GetObjectTorrent")
        }
        assert decisions == {
            "GetObject": YES,
            "PutObject": YES,
            "GetObjectAcl": YES,
            "PutObjectTagging": NO,
            "GetObjectTorrent": NO,
        }

    def test_an_event_passes_negative_operators_only_if_it_matches_none_of_their_values(self):
        selectors = data(field("resources.ARN", NotStartsWith=["arn:aws:s3:::a/", "arn:aws:s3:::b/"]))
        arns = ("arn:aws:s3:::a/1", "arn:aws:s3:::b/1", "arn:aws:s3:::c/1", None)
        assert [wants(selectors, S3_DATA, event(arn)) for arn in arns] == [False, False, True, True]

    def test_one_resource_has_both_the_type_and_the_arn(self):
        selectors = data(field("resources.ARN", StartsWith=["arn:aws:s3:::b/"]))
        crossed = EventAttributes(
            (("AWS::S3::Object", "arn:aws:s3:::c/k"), ("AWS::KMS::Key", "arn:aws:s3:::b/k")), None
        )
        assert not wants(selectors, S3_DATA, crossed)
        joined = EventAttributes((("AWS::KMS::Key", "arn:aws:kms:::k"), ("AWS::S3::Object", "arn:aws:s3:::b/k")), None)
        assert wants(selectors, S3_DATA, joined)

    def test_the_user_is_asked_per_event(self):
        selectors = data(field("userIdentity.arn", EndsWith=[":user/alice"]))
        assert decide(selectors, S3_DATA) is PER_EVENT
        assert wants(selectors, S3_DATA, event("x", identity="arn:aws:iam::1:user/alice"))
        assert not wants(selectors, S3_DATA, event("x", identity="arn:aws:iam::1:user/bob"))
        assert not wants(selectors, S3_DATA, event("x"))

    def test_user_and_resource_both_fit(self):
        selectors = data(
            field("userIdentity.arn", Equals=["me"]), field("resources.ARN", StartsWith=["arn:aws:s3:::b/"])
        )
        events = [event(arn, identity=who) for who in ("me", "you") for arn in ("arn:aws:s3:::b/k", "arn:aws:s3:::c/k")]
        assert [wants(selectors, S3_DATA, e) for e in events] == [True, False, False, False]

    def test_a_selector_that_needs_no_event_decides_for_its_class(self):
        asks, takes = (
            {
                "FieldSelectors": [
                    field("eventCategory", Equals=["Data"]),
                    field("resources.type", Equals=["AWS::S3::Object"]),
                    *more,
                ]
            }
            for more in (
                [field("resources.ARN", StartsWith=["arn:aws:s3:::b/"])],
                [field("eventName", StartsWith=["Put"])],
            )
        )
        selectors = EventSelectors.from_api(None, [asks, takes])
        assert decide(selectors, S3_DATA) is PER_EVENT
        assert decide(selectors, S3_DATA._replace(event_name="PutObject")) is YES
        assert wants(selectors, S3_DATA._replace(event_name="PutObject"), event("arn:aws:s3:::c/k"))

    def test_network_activity(self):
        selectors = advanced(
            field("eventCategory", Equals=["NetworkActivity"]),
            field("eventSource", Equals=["kms.amazonaws.com"]),
            field("errorCode", Equals=["VpceAccessDenied"]),
            field("vpcEndpointId", NotEquals=["vpce-2"]),
        )
        assert decide(selectors, NETWORK) is YES
        assert decide(selectors, NETWORK._replace(error_code=None)) is NO
        assert decide(selectors, NETWORK._replace(vpc_endpoint_id="vpce-2")) is NO

    def test_sessions_from_the_console(self):
        console = S3_DATA._replace(session_credential_from_console=True)
        only = data(field("sessionCredentialFromConsole", Equals=["true"]))
        never = data(field("sessionCredentialFromConsole", NotEquals=["true"]))
        assert [decide(only, c) for c in (console, S3_DATA)] == [YES, NO]
        assert [decide(never, c) for c in (console, S3_DATA)] == [NO, YES]

    def test_api_shape_comes_back_as_it_was_put(self):
        put = [
            {"Name": "first", "FieldSelectors": [field("eventCategory", Equals=["Management"])]},
            {
                "FieldSelectors": [
                    field("eventCategory", Equals=["Data"]),
                    field("resources.type", Equals=["AWS::S3::Object"]),
                    field("resources.ARN", StartsWith=["arn:aws:s3:::b/"], NotEndsWith=[".tmp", ".bak"]),
                ]
            },
        ]
        assert EventSelectors.from_api(None, put).to_api() == {"AdvancedEventSelectors": put}

    @pytest.mark.parametrize(
        "fields",
        [
            [],
            [field("eventName", Equals=["x"])],
            [field("eventCategory", Equals=["Insight"])],
            [field("eventCategory", Equals=["Management", "Data"])],
            [field("eventCategory", NotEquals=["Management"])],
            [field("eventCategory")],
            [field("eventCategory", Equals=[])],
            [field("eventCategory", Equals=["Management"])] * 2,
            [field("eventCategory", Equals=["Management"]), field("eventName", Equals=["x"])],
            [field("eventCategory", Equals=["Management"]), field("eventSource", Equals=["kms.amazonaws.com"])],
            [field("eventCategory", Equals=["Management"]), field("eventSource", NotEquals=["s3.amazonaws.com"])],
            [field("eventCategory", Equals=["Management"]), field("readOnly", Equals=["yes"])],
            [field("eventCategory", Equals=["Management"]), field("readOnly", NotEquals=["true"])],
            [field("eventCategory", Equals=["Management"]), field("userIdentity.arn", Equals=["x"])],
            [field("eventCategory", Equals=["Data"])],
            [field("eventCategory", Equals=["Data"]), field("resources.type", Equals=["A", "B"])],
            [field("eventCategory", Equals=["Data"]), field("resources.type", StartsWith=["AWS::S3"])],
            [field("eventCategory", Equals=["NetworkActivity"])],
            [field("eventCategory", Equals=["NetworkActivity"]), field("eventSource", Equals=["a", "b"])],
            [
                field("eventCategory", Equals=["NetworkActivity"]),
                field("eventSource", Equals=["a"]),
                field("errorCode", Equals=["AccessDenied"]),
            ],
            [
                field("eventCategory", Equals=["NetworkActivity"]),
                field("eventSource", Equals=["a"]),
                field("readOnly", Equals=["true"]),
            ],
        ],
    )
    def test_what_cloudtrail_refuses(self, fields):
        with pytest.raises(InvalidEventSelectors):
            advanced(*fields)

    @pytest.mark.parametrize(
        "more",
        [
            field("sessionCredentialFromConsole", Equals=["false"]),
            field("sessionCredentialFromConsole", StartsWith=["true"]),
            field("resources.ARN", Equals=["arn:aws:s3:::bucket"]),
            field("resources.ARN", NotEquals=["b/k"]),
            field("errorCode", Equals=["VpceAccessDenied"]),
            field("requestID", Equals=["x"]),
            field("eventName", Equals=[""]),
            field("eventName", Equals=["x" * 2049]),
            field("eventName", Like=["x"]),
        ],
    )
    def test_what_is_refused_beside_a_data_selector(self, more):
        with pytest.raises(InvalidEventSelectors):
            data(more)

    def test_limits_of_names_and_values(self):
        selector = {"Name": "n" * 1000, "FieldSelectors": [field("eventCategory", Equals=["Management"])]}
        assert EventSelectors.from_api(None, [selector])
        with pytest.raises(InvalidEventSelectors):
            EventSelectors.from_api(None, [{**selector, "Name": "n" * 1001}])
        assert data(field("eventName", Equals=["x" * 2048]))
        # 2 values are those of eventCategory and resources.type.
        assert data(field("eventName", Equals=["x"] * 300, NotEquals=["y"] * 198))
        with pytest.raises(InvalidEventSelectors, match="500"):
            data(field("eventName", Equals=["x"] * 300, NotEquals=["y"] * 199))


def test_the_memo_is_bounded(monkeypatch):
    monkeypatch.setattr(decision, "_MEMO_LIMIT", 3)
    decider = EventSelectors().decider
    for i in range(10):
        assert decider.decide(MANAGEMENT._replace(event_name=str(i))) is YES
        assert len(decider._memo) <= 3


def test_selectors_are_values():
    one, other = (objects("arn:aws:s3:::b/") for _ in range(2))
    decide(one, S3_DATA)
    assert one == other
    assert hash(one) == hash(other)
    resource = DataResource("AWS::S3::Object", ("arn:aws:s3:::b/",))
    assert one.basic == (BasicEventSelector(data_resources=(resource,)),)
    assert one.compiled[1].field_selectors[2] == FieldSelector("resources.ARN", starts_with=("arn:aws:s3:::b/",))
