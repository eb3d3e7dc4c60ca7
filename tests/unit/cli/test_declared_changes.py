from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail.trails.configuration import Change, Kind, trail_body
from opentrail.trails.trail import InsightSelector
from opentrail_cli.declared import parse_declaration
from opentrail_cli.errors import Mistakes
from tests.unit.cli.declarations import TRAIL, WHOLE, after, changes, mistakes


def test_a_whole_file_becomes_a_configuration_and_then_nothing_more() -> None:
    configuration = after(WHOLE)
    assert configuration.accounts["111122223333"].events_per_second == 50
    organization = configuration.organizations["o-exampleorgid"]
    assert organization.member_account_ids == {"111122223333", "444455556666"}
    (trail,) = configuration.trails.values()
    assert trail.arn == "arn:aws:cloudtrail:us-east-1:111122223333:trail/everything"
    assert (trail.is_logging, trail.logging_session, trail.started_logging_at) == (True, 1, 1000)
    assert trail.log_file_validation_enabled
    assert trail.event_selectors.to_api()["AdvancedEventSelectors"][0]["Name"] == "all S3 objects"
    assert changes(WHOLE, configuration, now=2000) == []
    assert [t.incarnation for t in configuration.trails_for("444455556666", "eu-west-1")] == [trail.incarnation]


def test_stopping_and_starting_begins_a_session_and_stopping_alone_does_not() -> None:
    first = after(TRAIL)
    stopped = after(TRAIL + "start_logging = false\n", first, now=5000)
    (trail,) = stopped.trails.values()
    assert (trail.is_logging, trail.logging_session, trail.started_logging_at) == (False, 1, 1000)
    assert trail.stopped_logging_at == 5000
    (again,) = after(TRAIL, stopped, now=9000).trails.values()
    assert (again.is_logging, again.logging_session, again.started_logging_at) == (True, 2, 9000)
    assert again.incarnation == trail.incarnation


def test_switching_validation_on_begins_a_session_and_off_does_not() -> None:
    without = after(TRAIL + "log_file_validation_enabled = false\n")
    (trail,) = after(TRAIL, without, now=5000).trails.values()
    assert (trail.logging_session, trail.started_logging_at) == (2, 5000)
    (off,) = after(TRAIL + "log_file_validation_enabled = false\n", after(TRAIL), now=5000).trails.values()
    assert (off.logging_session, off.started_logging_at) == (1, 1000)


def test_another_change_leaves_the_session_alone() -> None:
    (trail,) = after(TRAIL + 's3_key_prefix = "p"\n', after(TRAIL), now=5000).trails.values()
    assert (trail.s3_key_prefix, trail.logging_session, trail.started_logging_at) == ("p", 1, 1000)


def test_what_only_the_api_sets_stays() -> None:
    first = after(TRAIL)
    (trail,) = first.trails.values()
    set_by_api = replace(trail, tags={"team": "audit"}, insight_selectors=(InsightSelector("ApiErrorRateInsight"),))
    changed = first.after(Change(first.revision + 1, 2000, Kind.TRAIL, trail.incarnation, trail_body(set_by_api)))
    assert changes(TRAIL, changed) == []
    (moved,) = after(TRAIL + 's3_key_prefix = "p"\n', changed, now=5000).trails.values()
    assert moved == replace(set_by_api, s3_key_prefix="p")


def test_a_trail_that_does_not_log_has_no_session() -> None:
    (trail,) = after(TRAIL + "start_logging = false\n").trails.values()
    assert (trail.is_logging, trail.logging_session, trail.started_logging_at) == (False, 0, 0)


def test_unnamed_trails_go_only_when_asked_and_a_trail_made_anew_is_another_one() -> None:
    first = after(TRAIL)
    without = TRAIL[: TRAIL.index("[[trails]]")]
    assert changes(without, first) == []
    pruned = after(without, first, now=5000, prune=True)
    assert not pruned.trails
    anew = after(TRAIL, pruned, now=9000)
    assert anew.trails.keys().isdisjoint(first.trails)


def test_accounts_and_organizations_that_are_not_named_stay_even_when_pruning() -> None:
    pruned = after("", after(WHOLE), now=5000, prune=True)
    assert not pruned.trails
    assert set(pruned.accounts) == {"111122223333", "444455556666"}
    assert set(pruned.organizations) == {"o-exampleorgid"}


def test_a_trail_in_another_home_region_is_another_trail() -> None:
    both = after(TRAIL + 'home_region = "eu-west-1"\n', after(TRAIL), now=5000)
    assert {trail.home_region for trail in both.trails.values()} == {"us-east-1", "eu-west-1"}


def test_an_account_that_exists_already_need_not_be_declared_again() -> None:
    only_trail = TRAIL[TRAIL.index("[[trails]]") :]
    assert "there is no account" in mistakes(only_trail)[0]
    assert [change.kind for change in changes(only_trail, after('[[accounts]]\nid = "111122223333"\n'))] == [Kind.TRAIL]


def test_an_organizations_trail_belongs_to_its_management_account() -> None:
    told = mistakes(
        WHOLE.replace('"everything"\naccount_id = "111122223333"', '"everything"\naccount_id = "444455556666"')
    )
    assert "belongs to the management account 111122223333" in told[0]


def test_trails_of_an_account_that_is_no_management_account_any_more_are_its_own_from_then_on() -> None:
    without_trails = WHOLE[: WHOLE.index("[[trails]]")]
    handed_over = without_trails.replace(
        'management_account_id = "111122223333"\nmember_account_ids = ["444455556666"]',
        'management_account_id = "444455556666"',
    )
    before = after(WHOLE)
    changed = after(handed_over, before, now=9000)
    (was,), (trail,) = before.trails.values(), changed.trails.values()
    assert trail == replace(was, organization_id=None)
    assert changed.trails_for("111122223333", "us-east-1") == (trail,)
    assert changed.trails_for("444455556666", "us-east-1") == ()
    assert changes(handed_over, changed, now=9999) == []
    assert not after(handed_over, before, now=9000, prune=True).trails


def test_an_account_is_in_one_organization_only() -> None:
    second = '[[organizations]]\nid = "o-secondorgid"\nmanagement_account_id = "444455556666"\n'
    assert any("444455556666 is in o-" in mistake for mistake in mistakes(WHOLE + second))
    assert "444455556666 is in o-exampleorgid already" in mistakes(second, after(WHOLE))[0]


def test_delegated_administrators_are_members_and_at_most_three() -> None:
    line = 'delegated_administrators = ["999999999999"]\n\n[[tokens]]'
    assert "999999999999 is not a member" in mistakes(WHOLE.replace("[[tokens]]", line))[0]
    with pytest.raises(Mistakes, match="at most 3"):
        parse_declaration(WHOLE.replace("[[tokens]]", line.replace('"]', '", "1", "2", "3"]')), "t")


def test_administrators_that_the_api_registered_stay_while_they_are_members() -> None:
    registered = WHOLE.replace("[[tokens]]", 'delegated_administrators = ["444455556666"]\n\n[[tokens]]')
    assert changes(WHOLE, after(registered)) == []
    without_it = WHOLE.replace('member_account_ids = ["444455556666"]', "member_account_ids = []")
    (change,) = changes(without_it, after(registered))
    assert change.body is not None
    assert change.body["delegated_administrators"] == []


def test_a_management_account_is_no_delegated_administrator() -> None:
    registered = WHOLE.replace("[[tokens]]", 'delegated_administrators = ["444455556666"]\n\n[[tokens]]')
    declared = registered.replace('["444455556666"]\n\n', '["111122223333"]\n\n')
    assert "111122223333 is the management account" in mistakes(declared)[0]
    handed_over = WHOLE[: WHOLE.index("[[trails]]")].replace(
        'management_account_id = "111122223333"', 'management_account_id = "444455556666"'
    )
    (organization,) = after(handed_over, after(registered), now=9000).organizations.values()
    assert organization.management_account_id == "444455556666"
    assert organization.delegated_administrators == frozenset()


def trails(number: int, **fields: str) -> str:
    lines = "".join(f"{name} = {value}\n" for name, value in fields.items())
    table = '[[trails]]\nname = "trail-{}"\naccount_id = "444455556666"\ns3_bucket_name = "example-logs"\n' + lines
    return "".join(table.format(n) for n in range(number))


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        (trails(4), True),  # the organization's trail is the fifth
        (trails(5), False),
        (trails(4, is_multi_region_trail="true"), True),
        (trails(5, home_region='"eu-west-1"'), False),
        (trails(5, home_region='"eu-west-1"', start_logging="false"), False),
    ],
)
def test_five_trails_in_a_region_those_of_the_organization_included(more: str, fits: bool) -> None:
    if fits:
        assert len(after(WHOLE + more).trails) == 5
    else:
        (told,) = mistakes(WHOLE + more)
        assert "account 444455556666 would have 6 trails" in told


def test_trails_that_stay_count_and_trails_that_are_pruned_do_not() -> None:
    before = after(TRAIL.replace('"everything"', '"old"'))
    account = '[[accounts]]\nid = "111122223333"\n'
    five = account + trails(5).replace("444455556666", "111122223333")
    assert "would have 6 trails" in mistakes(five, before)[0]
    assert len(after(five, before, now=2000, prune=True).trails) == 5
