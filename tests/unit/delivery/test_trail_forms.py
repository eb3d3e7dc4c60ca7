from dataclasses import replace

import pytest

from opentrail.trails.configuration import Change, Kind, Organization, organization_body, trail_body
from opentrail.trails.trail import Trail
from opentrail_delivery.chain_roster import new_chain
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.trail_forms import TrailForms

HOME, OWNER, MEMBER = "eu-central-1", "111122223333", "444455556666"
TRAIL = Trail(
    incarnation="first",
    name="audit",
    account_id=OWNER,
    home_region=HOME,
    s3_bucket_name="old-bucket",
    kms_key_id="old-key",
    logging_session=1,
)
MOVED = replace(TRAIL, s3_bucket_name="new-bucket", kms_key_id="new-key")


class Store:
    """Revisions, as the configuration store gives them."""

    def __init__(self):
        self.changes = []

    def change(self, kind, id_, body):
        revision = len(self.changes) + 1
        self.changes.append(Change(revision, revision, kind, id_, body))

    def put(self, trail):
        self.change(Kind.TRAIL, trail.incarnation, trail_body(trail))

    def changes_after(self, revision):
        return [change for change in self.changes if change.revision > revision]


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def form_of(store):
    feed = ConfigurationFeed(store)
    forms = TrailForms(feed)

    def form_of(trail, account=OWNER):
        feed.refresh()
        return forms.of(new_chain((trail.incarnation, 1, account, HOME), trail, 0, 3600))

    return form_of


def test_a_trails_newest_form_gives_the_key(store, form_of):
    store.put(TRAIL)
    assert form_of(TRAIL) == (TRAIL.arn, "old-key")
    store.put(replace(TRAIL, kms_key_id="rotated"))
    assert form_of(TRAIL) == (TRAIL.arn, "rotated")


def test_digests_for_the_old_place_of_a_trail_that_moved_keep_its_old_key(store, form_of):
    store.put(TRAIL)
    store.put(MOVED)
    assert form_of(TRAIL) == (TRAIL.arn, "old-key")
    assert form_of(MOVED) == (TRAIL.arn, "new-key")


def test_a_deleted_trail_is_known_as_long_as_its_revisions_are(store, form_of):
    store.put(TRAIL)
    store.put(replace(TRAIL, kms_key_id="newer"))
    store.put(MOVED)
    store.change(Kind.TRAIL, TRAIL.incarnation, None)
    assert form_of(TRAIL) == (TRAIL.arn, "newer")


def test_a_form_that_comes_later_is_seen(store, form_of):
    assert form_of(TRAIL).kms_key_id is None
    store.put(TRAIL)
    store.put(MOVED)
    assert form_of(TRAIL).kms_key_id == "old-key"


def test_of_a_trail_whose_revisions_are_forgotten_the_arn_is_made_anew(form_of):
    assert form_of(TRAIL) == (TRAIL.arn, None)


def test_a_forgotten_organization_trail_belongs_to_the_management_account(store, form_of):
    trail = replace(TRAIL, organization_id="o-exampleorg1")
    organization = Organization("o-exampleorg1", OWNER, frozenset({OWNER, MEMBER}))
    store.change(Kind.ORGANIZATION, organization.id, organization_body(organization))
    assert form_of(trail, MEMBER) == (trail.arn, None)
