"""Which chains are watched, since when, and when none of their digests can be there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opentrail.trails.configuration import Change, Kind, Organization, organization_body, trail_body
from opentrail.trails.trail import Trail
from opentrail_backends.state.port import StateError
from opentrail_cli.validator_chains import FOR_EVER, LoggingTimes, StateCatalogue
from opentrail_validator import Span
from opentrail_validator.service.port import CatalogueUnavailable, WatchedChain

ACCOUNT = "111122223333"
REGIONS = ("eu-west-1", "us-east-1")
ORGANIZATION = Organization(id="o-exampleorg1", management_account_id=ACCOUNT, member_account_ids=(ACCOUNT, "4" * 12))


def trail(incarnation: str = "one", **changes: Any) -> Trail:
    made = Trail(
        incarnation=incarnation,
        name="audit",
        account_id=ACCOUNT,
        home_region="eu-west-1",
        s3_bucket_name="logs",
        log_file_validation_enabled=True,
        is_logging=True,
        logging_session=1,
        started_logging_at=1_000_000,
    )
    return replace(made, **changes)


class History:
    """Changes of the configuration, at seconds."""

    def __init__(self) -> None:
        self.times = LoggingTimes(REGIONS)
        self.revision = 0

    def at(self, seconds: int, what: Trail | Organization | str) -> History:
        """A trail or organization as it is from then on; a trail's incarnation: it was deleted."""
        self.revision += 1
        if isinstance(what, str):
            change = Change(self.revision, seconds * 1000, Kind.TRAIL, what, None)
        elif isinstance(what, Trail):
            change = Change(self.revision, seconds * 1000, Kind.TRAIL, what.incarnation, trail_body(what))
        else:
            change = Change(self.revision, seconds * 1000, Kind.ORGANIZATION, what.id, organization_body(what))
        self.times.extend([change])
        return self

    def only(self) -> WatchedChain:
        (chain,) = self.times.chains()
        return chain


def stopped(made: Trail) -> Trail:
    return replace(made, is_logging=False)


def started(made: Trail, seconds: int) -> Trail:
    session = made.logging_session + 1
    return replace(made, is_logging=True, logging_session=session, started_logging_at=seconds * 1000)


def test_a_trail_has_a_chain_since_it_logs() -> None:
    chain = History().at(1010, trail(s3_key_prefix="audit")).only()
    assert (chain.trail_arn, chain.since, chain.pauses) == (trail().arn, 1000, ())
    assert chain.place.folder == f"audit/AWSLogs/{ACCOUNT}/CloudTrail-Digest/eu-west-1/"
    assert (chain.place.bucket, chain.place.trail_name, chain.place.home_region) == ("logs", "audit", "eu-west-1")


def test_a_trail_of_all_regions_has_a_chain_in_each() -> None:
    chains = History().at(1010, trail(is_multi_region_trail=True)).times.chains()
    assert [chain.place.region for chain in chains] == list(REGIONS)


@pytest.mark.parametrize("changes", [{"is_logging": False}, {"log_file_validation_enabled": False}])
def test_a_trail_that_never_made_digests_has_none(changes: dict[str, Any]) -> None:
    assert History().at(1010, trail(**changes)).times.chains() == []


def test_while_logging_or_validation_is_off_the_chain_pauses() -> None:
    one = trail()
    again = started(one, 3000)
    history = History().at(1000, one).at(2000, stopped(one)).at(3000, again)
    assert history.only().pauses == (Span(2000, 3000),)
    history.at(4000, replace(again, log_file_validation_enabled=False))
    assert history.only().pauses == (Span(2000, 3000), Span(4000, FOR_EVER))
    assert history.only().since == 1000


def test_a_new_session_at_once_is_a_pause_without_length() -> None:
    one = trail()
    assert History().at(1000, one).at(2000, started(one, 2000)).only().pauses == (Span(2000, 2000),)


def test_other_changes_are_no_pause() -> None:
    one = trail()
    history = (
        History().at(1000, one).at(2000, replace(one, s3_bucket_name="other")).at(3000, replace(one, tags={"a": "b"}))
    )
    assert (history.only().since, history.only().pauses) == (1000, ())
    assert history.only().place.bucket == "logs"


def test_a_deleted_trail_is_watched_while_it_is_known() -> None:
    chain = History().at(1000, trail()).at(2000, "one").only()
    assert (chain.since, chain.pauses) == (1000, (Span(2000, FOR_EVER),))


def test_a_trail_made_again_at_the_same_place_goes_on_with_its_chain() -> None:
    again = trail("two", started_logging_at=3_000_000)
    chain = History().at(1000, trail()).at(2000, "one").at(3000, again).only()
    assert (chain.since, chain.pauses) == (1000, (Span(2000, 3000),))


def test_a_trail_made_again_with_another_bucket_has_another_chain() -> None:
    again = trail("two", started_logging_at=3_000_000, s3_bucket_name="other")
    logs, other = History().at(1000, trail()).at(2000, "one").at(3000, again).times.chains()
    assert (logs.place.bucket, logs.pauses) == ("logs", (Span(2000, FOR_EVER),))
    assert (other.place.bucket, other.since, other.pauses) == ("other", 3000, ())


def test_a_member_that_comes_later_has_a_chain_from_then_on() -> None:
    of_all = trail(organization_id=ORGANIZATION.id)
    more = replace(ORGANIZATION, member_account_ids=(*ORGANIZATION.member_account_ids, "5" * 12))
    history = History().at(900, ORGANIZATION).at(1000, of_all).at(2000, more).at(3000, ORGANIZATION).at(4000, more)
    chains = {chain.place.account_id: chain for chain in history.times.chains()}
    assert {account: chain.since for account, chain in chains.items()} == {
        ACCOUNT: 1000,
        "4" * 12: 1000,
        "5" * 12: 2000,
    }
    assert chains["5" * 12].pauses == (Span(3000, 4000),)
    assert chains[ACCOUNT].place.folder == f"AWSLogs/{ORGANIZATION.id}/{ACCOUNT}/CloudTrail-Digest/eu-west-1/"


def test_a_store_that_does_not_answer_is_told_and_asked_again() -> None:
    changes: list[Any] = [
        StateError("the database is away"),
        [Change(1, 1_000_000, Kind.TRAIL, "one", trail_body(trail()))],
        [],
    ]
    asked: list[int] = []

    class Store:
        def changes_after(self, revision: int) -> Any:
            asked.append(revision)
            answer = changes.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    class State:
        configuration = Store()

    catalogue = StateCatalogue(State(), REGIONS)  # type: ignore[arg-type]
    with pytest.raises(CatalogueUnavailable, match="the database is away"):
        catalogue.chains()
    assert len(catalogue.chains()) == len(catalogue.chains()) == 1
    assert asked == [0, 0, 1]
