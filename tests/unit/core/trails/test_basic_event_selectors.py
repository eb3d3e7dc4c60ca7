from __future__ import annotations

import pytest

from opentrail.events.batch import EventAttributes, SelectorClass
from opentrail.trails.event_selectors import EventSelectors, InvalidEventSelectors, decide, wants
from tests.unit.core.trails.selector_samples import (
    LAMBDA_DATA,
    MANAGEMENT,
    NO,
    PER_EVENT,
    S3_DATA,
    YES,
    basic,
    event,
    objects,
)


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
