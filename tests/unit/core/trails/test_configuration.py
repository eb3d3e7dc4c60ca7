from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail.trails import configuration as module
from opentrail.trails.configuration import (
    Account,
    Change,
    Configuration,
    ConfigurationHistory,
    Kind,
    Organization,
    account_body,
    account_from_body,
    organization_body,
    organization_from_body,
    trail_body,
    trail_from_body,
)
from opentrail.trails.event_selectors import EventSelectors
from opentrail.trails.trail import Trail

ORGANIZATION = Organization("o-abc", "100000000000", frozenset({"100000000000", "200000000000"}))


def trail(incarnation: str, **changes) -> Trail:
    plain = {
        "name": "main",
        "account_id": "300000000000",
        "home_region": "us-east-1",
        "s3_bucket_name": "b",
        "is_logging": True,
    }
    return Trail(incarnation=incarnation, **{**plain, "is_logging": True, **changes})


def put(revision: int, entity: Trail | Organization | Account, at: int | None = None) -> Change:
    kind, id_, body = {
        Trail: lambda: (Kind.TRAIL, entity.incarnation, trail_body(entity)),
        Organization: lambda: (Kind.ORGANIZATION, entity.id, organization_body(entity)),
        Account: lambda: (Kind.ACCOUNT, entity.id, account_body(entity)),
    }[type(entity)]()
    return Change(revision, revision * 1000 if at is None else at, kind, id_, body)


def delete(revision: int, kind: Kind, id_: str) -> Change:
    return Change(revision, revision * 1000, kind, id_, None)


FULL = trail(
    "full",
    s3_key_prefix="p",
    kms_key_id="arn:k",
    organization_id="o-abc",
    is_multi_region_trail=True,
    recursive_logging=False,
    logging_session=3,
    started_logging_at=17,
    event_selectors=EventSelectors.from_api(
        None,
        [
            {
                "Name": "data",
                "FieldSelectors": [
                    {"Field": "eventCategory", "Equals": ["Data"]},
                    {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
                    {"Field": "resources.ARN", "NotStartsWith": ["arn:aws:s3:::b/"]},
                ],
            }
        ],
    ),
)
BASIC = trail("basic", event_selectors=EventSelectors.from_api([{"ReadWriteType": "WriteOnly"}]))


class TestBodies:
    @pytest.mark.parametrize("one", [FULL, BASIC, trail("plain")])
    def test_a_trail_comes_back(self, one):
        body = trail_body(one)
        assert "incarnation" not in body
        assert trail_from_body(one.incarnation, body) == one
        assert trail_body(trail_from_body(one.incarnation, body)) == body

    def test_organizations_and_accounts_come_back(self):
        assert organization_from_body("o-abc", organization_body(ORGANIZATION)) == ORGANIZATION
        account = Account("200000000000", "dev", events_per_second=10.0)
        assert account_from_body(account.id, account_body(account)) == account

    def test_sets_have_one_order(self):
        ids = [f"{i:012}" for i in range(50)]
        assert organization_body(Organization("o", ids[0], frozenset(ids)))["member_account_ids"] == ids

    def test_keys_of_a_later_release_are_passed_over(self):
        assert trail_from_body("full", {**trail_body(FULL), "later": {"a": 1}}) == FULL

    def test_a_decider_that_was_used_is_no_part_of_the_body(self):
        before = trail_body(BASIC)
        assert BASIC.event_selectors.decider
        assert trail_body(BASIC) == before

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": None},
            {"is_logging": "yes"},
            {"logging_session": 1.5},
            {"event_selectors": {"basic": [{"ReadWriteType": "some"}]}},
            {"event_selectors": {"advanced": [{"FieldSelectors": [{"Field": "readOnly", "Matches": ["x"]}]}]}},
            {"event_selectors": {**trail_body(FULL)["event_selectors"], "basic": [{}]}},
        ],
    )
    def test_what_cannot_be_read_is_refused(self, wrong):
        with pytest.raises(ValueError, match="not a trail"):
            trail_from_body("full", {**trail_body(FULL), **wrong})

    def test_a_body_without_a_required_key_is_refused(self):
        body = trail_body(FULL)
        del body["s3_bucket_name"]
        with pytest.raises(ValueError, match="s3_bucket_name"):
            trail_from_body("full", body)
        with pytest.raises(ValueError, match="organization"):
            organization_from_body("o", {})


class TestAfter:
    def test_each_kind_is_put_replaced_and_deleted(self):
        one, other = trail("1"), replace(trail("1"), s3_bucket_name="other")
        account = Account("200000000000")
        configuration = Configuration().after(put(1, one), put(2, ORGANIZATION), put(3, account))
        assert (configuration.revision, configuration.effective_at) == (3, 3000)
        assert (dict(configuration.trails), dict(configuration.organizations)) == ({"1": one}, {"o-abc": ORGANIZATION})
        assert configuration.accounts[account.id] == account
        later = configuration.after(put(4, other)).after(delete(5, Kind.ORGANIZATION, "o-abc"))
        assert (later.trails["1"], dict(later.organizations)) == (other, {})
        assert configuration.trails["1"] == one
        assert not later.after(delete(6, Kind.TRAIL, "1"), delete(7, Kind.TRAIL, "never")).trails

    @pytest.mark.parametrize(
        "change",
        [
            Change(2, 2000, "budget", "x", {}),  # type: ignore[arg-type]
            Change(2, 2000, Kind.TRAIL, "x", {"name": 1}),
            Change(1, 2000, Kind.TRAIL, "x", None),
            Change(2, 999, Kind.TRAIL, "x", None),
        ],
    )
    def test_a_change_that_cannot_be_is_refused(self, change):
        with pytest.raises(ValueError):
            Configuration().after(put(1, trail("1"))).after(change)


class TestTrailsFor:
    def test_regions(self):
        configuration = Configuration().after(
            put(1, trail("single")),
            put(2, trail("multi", is_multi_region_trail=True)),
            put(3, trail("elsewhere", home_region="eu-west-1")),
            put(4, trail("silent", is_logging=False)),
            put(5, trail("another", account_id="400000000000")),
        )
        assert incarnations(configuration, "300000000000", "us-east-1") == ["multi", "single"]
        assert incarnations(configuration, "300000000000", "eu-west-1") == ["elsewhere", "multi"]
        assert incarnations(configuration, "300000000000", "ap-south-9") == ["multi"]
        assert incarnations(configuration, "999999999999", "us-east-1") == []

    def test_an_organization_trail_takes_the_events_of_every_member_and_no_one_else(self):
        of_all = trail("org", account_id="100000000000", organization_id="o-abc", is_multi_region_trail=True)
        own = trail("own", account_id="200000000000")
        base = Configuration().after(put(1, of_all), put(2, own))
        assert incarnations(base, "100000000000", "us-east-1") == []
        with_members = base.after(put(3, ORGANIZATION))
        assert incarnations(with_members, "100000000000", "us-east-1") == ["org"]
        assert incarnations(with_members, "200000000000", "us-east-1") == ["org", "own"]
        assert incarnations(with_members, "200000000000", "eu-west-1") == ["org"]
        assert incarnations(with_members, "300000000000", "us-east-1") == []
        left = with_members.after(put(4, replace(ORGANIZATION, member_account_ids=frozenset({"100000000000"}))))
        assert incarnations(left, "200000000000", "us-east-1") == ["own"]
        assert left.organization_of("200000000000") is None
        assert with_members.organization_of("200000000000") == ORGANIZATION

    def test_the_management_account_belongs_to_its_organization_even_if_the_members_do_not_name_it(self):
        configuration = Configuration().after(put(1, Organization("o-1", "100000000000")))
        assert configuration.organization_of("100000000000") is not None

    def test_answers_are_remembered_and_their_number_is_bounded(self, monkeypatch):
        monkeypatch.setattr(module, "_ANSWERS_KEPT", 2)
        configuration = Configuration().after(put(1, trail("single")))
        first = configuration.trails_for("300000000000", "us-east-1")
        assert configuration.trails_for("300000000000", "us-east-1") is first
        for i in range(5):
            assert configuration.trails_for(f"{i:012}", "us-east-1") == ()
        assert len(configuration._index.answers) <= 2
        assert configuration.trails_for("300000000000", "us-east-1") == first


class TestHistory:
    @pytest.fixture
    def history(self) -> ConfigurationHistory:
        return ConfigurationHistory(put(i, trail("1", s3_bucket_name=f"bucket-{i}")) for i in range(1, 41))

    def test_a_time_is_governed_by_the_newest_revision_not_after_it(self, history):
        for time, revision in [(0, 0), (999, 0), (1000, 1), (1999, 1), (2000, 2), (39_999, 39), (10**9, 40)]:
            assert history.at_time(time).revision == revision

    def test_any_revision_is_found_in_any_order(self, history):
        for revision in [20, 3, 40, 1, *range(40, 0, -1), 7]:
            configuration = history.at_revision(revision)
            assert configuration.revision == revision
            assert configuration.trails["1"].s3_bucket_name == f"bucket-{revision}"
        assert len(history._made) <= module._CONFIGURATIONS_KEPT
        assert history.at_revision(0) == Configuration()
        assert [c.revision for c in history.known] == list(range(41))

    @pytest.mark.parametrize("revision", [-1, 41])
    def test_a_revision_that_is_not_known(self, history, revision):
        with pytest.raises(KeyError):
            history.at_revision(revision)

    def test_a_revision_within_a_gap_is_not_known(self):
        history = ConfigurationHistory([put(1, trail("1")), put(3, trail("1"))])
        with pytest.raises(KeyError):
            history.at_revision(2)
        assert history.at_time(2999).revision == 1

    def test_known_changes_are_passed_over(self, history):
        history.extend([put(39, trail("other")), put(40, trail("other")), put(41, trail("new"))])
        assert history.newest.revision == 41
        assert set(history.newest.trails) == {"1", "new"}

    def test_changes_with_one_that_cannot_be_read_are_not_taken(self, history):
        with pytest.raises(ValueError):
            history.extend([put(41, trail("new")), Change(42, 42_000, Kind.TRAIL, "x", {})])
        assert history.newest.revision == 40
        assert history.at_time(10**9).revision == 40


def incarnations(configuration: Configuration, account_id: str, region: str) -> list[str]:
    return [t.incarnation for t in configuration.trails_for(account_id, region)]
