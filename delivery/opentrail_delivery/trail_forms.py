"""What a digest takes from its trail: the ARN and the key that goes with the bucket, also when the trail is gone."""

from __future__ import annotations

from typing import NamedTuple

from opentrail.trails.trail import Trail
from opentrail_backends.state.port import Chain
from opentrail_delivery.configuration_feed import ConfigurationFeed

_Target = tuple[str, str, str | None, str | None]
"""(incarnation, bucket, prefix, organization): a KMS key is in its bucket's region, so it goes with the place."""


class TrailForm(NamedTuple):
    """The trail of a chain, as far as a digest needs it."""

    arn: str
    kms_key_id: str | None


class TrailForms:
    """Finds the newest form that a chain's trail had while it wrote to the chain's place."""

    def __init__(self, feed: ConfigurationFeed) -> None:
        self._feed = feed
        self._revision = -1
        self._past: dict[_Target, TrailForm | None] = {}

    def of(self, chain: Chain) -> TrailForm:
        """The form; where nothing is known of it any more: its ARN, and the store's own key."""
        target = (chain.incarnation, chain.bucket, chain.key_prefix or None, chain.organization_id)
        trail = self._feed.history.newest.trails.get(chain.incarnation)
        if trail is not None and _target_of(trail) == target:
            return TrailForm(trail.arn, trail.kms_key_id)
        return self._past_form(target) or TrailForm(self._arn(chain), None)

    def _past_form(self, target: _Target) -> TrailForm | None:
        """Of a trail that moved or was deleted. Looked for once, until there is a newer revision."""
        newest = self._feed.history.newest.revision
        if self._revision != newest:
            self._past.clear()
            self._revision = newest
        if target not in self._past:
            forms = (form for form in self._feed.history.forms_of(target[0]) if _target_of(form) == target)
            form = next(forms, None)
            self._past[target] = TrailForm(form.arn, form.kms_key_id) if form else None
        return self._past[target]

    def _arn(self, chain: Chain) -> str:
        """An incarnation never changes its name, home or owner; the management account owns its organization's."""
        organization = self._feed.history.newest.organizations.get(chain.organization_id or "")
        owner = organization.management_account_id if organization else chain.account_id
        return f"arn:aws:cloudtrail:{chain.home_region}:{owner}:trail/{chain.trail_name}"


def _target_of(trail: Trail) -> _Target:
    return (trail.incarnation, trail.s3_bucket_name, trail.s3_key_prefix or None, trail.organization_id)
