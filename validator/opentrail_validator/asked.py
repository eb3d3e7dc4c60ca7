"""Which chains are asked for: trails by the API or the flags, their accounts and regions by the flags or the bucket."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import product
from typing import Protocol

from opentrail_validator.discovery import discover
from opentrail_validator.options import Options, UsageMistakes
from opentrail_validator.question import Checks, Question
from opentrail_validator.readers.port import ObjectReader, TrailApi
from opentrail_validator.trail_place import TrailPlace, parse_trail_arn


class NoSuchTrail(Exception):
    """The API knows no trail with this ARN; the message is the AWS CLI's."""


class Outside(Protocol):
    """Who is asked where trails and chains lie."""

    @property
    def objects(self) -> ObjectReader:
        """The buckets."""
        ...

    def api_of(self, region: str) -> TrailApi:
        """The CloudTrail API of a region."""
        ...

    def chains_with_heads(self, trail: TrailPlace, end: int) -> Iterable[TrailPlace]:
        """The trail's chains that signed heads up to `end` tell of: each was there."""
        ...


def questions_of(options: Options, now: int, outside: Outside, known: Collection[TrailPlace] = ()) -> list[Question]:
    """A question for each chain, in the order of the flags. `known`: chains that a run before knew.

    Raises UsageMistakes, NoSuchTrail; ApiRefused and ApiNotReached from the API, CouldNotRead from the bucket.
    """
    trails = [(arn, _trail(arn, options, outside)) for arn in options.trail_arns]
    start, end = options.start or 0, now if options.end is None else options.end
    return [
        Question(
            trail_arn=arn,
            place=place,
            start=start,
            end=end,
            now=now,
            checks=options.checks,
        )
        for arn, trail in trails
        for place in _places(trail, options, outside, [*known, *_told_of(trail, options, outside, end)])
    ]


def narrowed(questions: Sequence[Question], options: Options) -> list[Question]:
    """The questions of a bundle, but for what the flags leave out. Raises UsageMistakes."""
    mistakes = []
    for flag, wanted, there in (
        ("--trail-arn", options.trail_arns, {question.trail_arn for question in questions}),
        ("--account-id", options.accounts or (), {question.place.account_id for question in questions}),
        ("--region", options.regions or (), {question.place.region for question in questions}),
    ):
        mistakes += [f"{flag} {value} is not in this bundle" for value in wanted if value not in there]
    kept = [question for question in questions if _is_wanted(question, options)]
    for question in kept[:1]:
        if options.start is not None and options.start < question.start:
            mistakes.append("--start-time is before the time that the bundle was collected for")
        if options.end is not None and options.end > question.end:
            mistakes.append("--end-time is after the time that the bundle was collected for")
        if options.start is not None and options.start > question.end:
            mistakes.append("--start-time is after the time that the bundle was collected for")
        if options.end is not None and options.end < question.start:
            mistakes.append("--end-time is before the time that the bundle was collected for")
    if not kept and not mistakes:
        mistakes.append("the bundle has no chain of this trail, account and region")
    if mistakes:
        raise UsageMistakes(mistakes)
    return [_narrowed(question, options) for question in kept]


def _trail(trail_arn: str, options: Options, outside: Outside) -> TrailPlace:
    """The place of its own account in its home region."""
    arn = parse_trail_arn(trail_arn)
    bucket, prefix, organization_id = options.bucket, options.prefix, options.organization_id
    if bucket is None:
        api = outside.api_of(options.regions[0] if options.regions else arn.home_region)
        trail = api.trail(trail_arn)
        if trail is None:
            raise NoSuchTrail(f"A trail could not be found for {trail_arn}")
        bucket, prefix = trail.bucket, trail.prefix
        if trail.is_organization_trail:
            if options.accounts == ():
                raise UsageMistakes(["Missing required parameter for organization trail: '--account-id'"])
            organization_id = api.organization_id()
    return TrailPlace(
        bucket=bucket,
        prefix=prefix,
        organization_id=organization_id,
        account_id=arn.account_id,
        region=arn.home_region,
        trail_name=arn.name,
        home_region=arn.home_region,
    )


def _told_of(trail: TrailPlace, options: Options, outside: Outside, end: int) -> Iterable[TrailPlace]:
    """Where all chains are asked for, a chain that was removed as a whole must not go unnoticed."""
    is_discovery = options.accounts is None or options.regions is None
    return outside.chains_with_heads(trail, end) if is_discovery else ()


def _places(
    trail: TrailPlace, options: Options, outside: Outside, expected: Collection[TrailPlace]
) -> Iterator[TrailPlace]:
    accounts = (trail.account_id,) if options.accounts == () else options.accounts
    regions = (trail.region,) if options.regions == () else options.regions
    if accounts is not None and regions is not None:
        yield from (trail.of(*chain) for chain in product(accounts, regions))
        return
    found = discover([trail], outside.objects, accounts, regions, expected)
    # Where nothing is found all may have been removed: the trail's own chain is still asked for.
    own = trail.of(accounts[0] if accounts else trail.account_id, regions[0] if regions else trail.region)
    yield from found or [own]


def _is_wanted(question: Question, options: Options) -> bool:
    place = question.place
    return all(
        not wanted or value in wanted
        for wanted, value in (
            (options.trail_arns, question.trail_arn),
            (options.accounts, place.account_id),
            (options.regions, place.region),
        )
    )


def _narrowed(question: Question, options: Options) -> Question:
    then = question.checks
    coverage = then.coverage if options.require_coverage is None else options.require_coverage
    checks = Checks(
        records=then.records and options.records, unlisted=then.unlisted and options.unlisted, coverage=coverage
    )
    start = question.start if options.start is None else options.start
    end = question.end if options.end is None else options.end
    return Question(
        trail_arn=question.trail_arn, place=question.place, start=start, end=end, now=question.now, checks=checks
    )
