from __future__ import annotations

import pytest

from opentrail.events.batch import EventAttributes
from opentrail.trails.event_selectors import EventSelectors, InvalidEventSelectors, decide, wants
from tests.unit.core.trails.selector_samples import (
    MANAGEMENT,
    NETWORK,
    NO,
    PER_EVENT,
    S3_DATA,
    YES,
    advanced,
    data,
    event,
    field,
)


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
