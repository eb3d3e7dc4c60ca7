from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from opentrail.trails.configuration import Change, Configuration, Kind
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import NewChange, StateStore
from opentrail_cli.apply import apply_declaration, newest_configuration
from opentrail_cli.credentials import secret_key_at
from opentrail_cli.declared import parse_declaration, read_declaration
from opentrail_cli.declared_changes import changes_of
from opentrail_cli.errors import CommandFailed, Mistakes

KEY = bytes(range(32))
WHOLE = """
[[accounts]]
id = "111122223333"
name = "management"
events_per_second = 50

[[accounts]]
id = "444455556666"

[[organizations]]
id = "o-exampleorgid"
management_account_id = "111122223333"
member_account_ids = ["444455556666"]

[[tokens]]
account_id = "444455556666"
name = "web servers"

[[access_keys]]
account_id = "111122223333"
name = "auditor"

[[trails]]
name = "everything"
account_id = "111122223333"
s3_bucket_name = "example-logs"
s3_key_prefix = "audit/cloud"
organization_id = "o-exampleorgid"
is_multi_region_trail = true

[[trails.advanced_event_selectors]]
Name = "all S3 objects"
[[trails.advanced_event_selectors.FieldSelectors]]
Field = "eventCategory"
Equals = ["Data"]
[[trails.advanced_event_selectors.FieldSelectors]]
Field = "resources.type"
Equals = ["AWS::S3::Object"]
"""
TRAIL = """
[[accounts]]
id = "111122223333"
[[trails]]
name = "everything"
account_id = "111122223333"
s3_bucket_name = "example-logs"
"""


def changes(text: str, before: Configuration, now: int = 1000, prune: bool = False) -> list[NewChange]:
    declaration, places = parse_declaration(text, "trails.toml")
    numbers = count(before.revision + 1)
    return changes_of(
        declaration, before, now=now, new_incarnation=lambda: f"new-{next(numbers)}", prune=prune, places=places
    )


def after(text: str, before: Configuration | None = None, now: int = 1000, prune: bool = False) -> Configuration:
    before = before or Configuration()
    made = changes(text, before, now, prune)
    return before.after(*(Change(before.revision + 1 + i, now + i, c.kind, c.id, c.body) for i, c in enumerate(made)))


def mistakes(text: str, before: Configuration | None = None) -> tuple[str, ...]:
    with pytest.raises(Mistakes) as refused:
        changes(text, before or Configuration())
    return refused.value.mistakes


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


def test_the_form_is_checked_with_every_mistake_and_its_place() -> None:
    with pytest.raises(Mistakes) as refused:
        parse_declaration(
            '[[accounts]]\nid = 111122223333\n\n[[accounts]]\nid = "12"\n[[trails]]\nname = "x"\nhome = "y"\n'
            '[[tokens]]\naccount_id = "111122223333"\nname = "n"\nsha256 = "XY"\n',
            "trails.toml",
        )
    told = refused.value.mistakes
    assert "line 1, accounts[0].id: Input should be a valid string" in told
    assert "line 4, accounts[1].id: must be an account id: 12 digits in quotes" in told
    assert "line 6, trails[0].s3_bucket_name: is missing" in told
    assert "line 6, trails[0].account_id: is missing" in told
    assert "line 6, trails[0].home: there is no such key" in told
    assert "line 9, tokens[0].sha256: must be a SHA-256 in 64 hexadecimal digits" in told
    assert str(refused.value).startswith("trails.toml cannot be applied:")


def test_an_unknown_table_and_what_is_no_toml() -> None:
    with pytest.raises(Mistakes, match="trail: there is no such key"):
        parse_declaration("[[trail]]\n", "t")
    with pytest.raises(Mistakes, match="is not TOML"):
        parse_declaration("[[trails\n", "t")


def test_a_file_that_is_missing_or_no_utf8(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match="No such file"):
        read_declaration(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff")
    with pytest.raises(Mistakes, match="not UTF-8"):
        read_declaration(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('kms_key_id = "alias/mine"', "kms_key_id: must be a full ARN"),
        ('sns_topic_arn = "topic"', "sns_topic_arn: must be a full ARN"),
        ('s3_key_prefix = "ends/"', "s3_key_prefix: "),
        ('cloud_watch_logs_role_arn = "arn:aws:iam::111122223333:role/x"', "given together"),
        ("is_multi_region_trail = true\ninclude_global_service_events = false", "must include global service events"),
        ('organization_id = "o-unknownorgid"', "there is no organization o-unknownorgid"),
        ('event_selectors = [{ReadWriteType = "Sometimes"}]', "event_selectors: "),
        ("event_selectors = []", "event_selectors: "),
        ("advanced_event_selectors = [{Name = 'x', FieldSelectors = []}]", "advanced_event_selectors: "),
    ],
)
def test_what_cloudtrail_refuses_of_a_trail(line: str, said: str) -> None:
    (told,) = mistakes(f"{TRAIL}{line}\n")
    assert told.startswith("line 4, trails[0].")
    assert said in told


def test_names_are_checked_by_cloudtrails_rules() -> None:
    told = mistakes(TRAIL.replace('"everything"', '"-x-"').replace("example-logs", "Bad_Bucket"))
    assert len(told) == 2
    assert "trails[0].name: Trail name must starts with a letter or number." in told[0]
    assert "trails[0].s3_bucket_name: Bucket name Bad_Bucket is invalid" in told[1]


def test_unknown_accounts_are_named_wherever_they_stand() -> None:
    told = mistakes(WHOLE.replace('[[accounts]]\nid = "444455556666"', ""))
    assert len(told) == 2
    assert all("there is no account 444455556666" in mistake for mistake in told)


def test_an_account_that_exists_already_need_not_be_declared_again() -> None:
    only_trail = TRAIL[TRAIL.index("[[trails]]") :]
    assert "there is no account" in mistakes(only_trail)[0]
    assert [change.kind for change in changes(only_trail, after('[[accounts]]\nid = "111122223333"\n'))] == [Kind.TRAIL]


def test_what_is_declared_twice() -> None:
    told = mistakes(TRAIL + TRAIL)
    assert "line 9, accounts[1]: is declared twice (see accounts[0])" in told
    assert "line 11, trails[1]: is declared twice (see trails[0])" in told


def test_an_organizations_trail_belongs_to_its_management_account() -> None:
    told = mistakes(
        WHOLE.replace('"everything"\naccount_id = "111122223333"', '"everything"\naccount_id = "444455556666"')
    )
    assert "belongs to the management account 111122223333" in told[0]


def test_an_account_is_in_one_organization_only() -> None:
    second = '[[organizations]]\nid = "o-secondorgid"\nmanagement_account_id = "444455556666"\n'
    assert any("444455556666 is in o-" in mistake for mistake in mistakes(WHOLE + second))
    assert "444455556666 is in o-exampleorgid already" in mistakes(second, after(WHOLE))[0]


def test_delegated_administrators_are_members_and_at_most_three() -> None:
    line = 'delegated_administrators = ["999999999999"]\n\n[[tokens]]'
    assert "999999999999 is not a member" in mistakes(WHOLE.replace("[[tokens]]", line))[0]
    with pytest.raises(Mistakes, match="at most 3"):
        parse_declaration(WHOLE.replace("[[tokens]]", line.replace('"]', '", "1", "2", "3"]')), "t")


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


@pytest.fixture
def state() -> Iterator[StateStore]:
    store = open_state_store("sqlite://", secret_key=KEY)
    store.migrate()
    yield store
    store.close()


def test_applying_makes_credentials_once(state: StateStore) -> None:
    declaration, _ = parse_declaration(WHOLE, "t")
    first = apply_declaration(declaration, state.configuration, KEY)
    ((account, name, token),) = [(t.account_id, t.name, t.token) for t in first.new_tokens]
    assert (account, name) == ("444455556666", "web servers")
    assert state.configuration.account_of_token(sha256(token.encode()).digest()) == "444455556666"
    (key,) = first.new_access_keys
    assert state.configuration.access_key(key.access_key_id) == key
    assert (key.account_id, len(key.access_key_id), len(key.secret_access_key)) == ("111122223333", 20, 40)
    assert token not in repr(first)
    assert key.secret_access_key not in repr(first)
    again = apply_declaration(declaration, state.configuration, KEY)
    assert (again.changes, again.new_tokens, again.new_access_keys) == ((), [], [])
    assert again.configuration.revision == first.configuration.revision == 4


def test_a_token_by_its_hash_is_kept_and_one_that_has_ended_is_not(state: StateStore) -> None:
    digest = sha256(b"mine").hexdigest()
    account = '[[accounts]]\nid = "111122223333"\n[[tokens]]\naccount_id = "111122223333"\nname = "n"\n'
    declaration, _ = parse_declaration(f'{account}sha256 = "{digest}"\n', "t")
    assert apply_declaration(declaration, state.configuration, KEY).new_tokens == []
    assert state.configuration.account_of_token(bytes.fromhex(digest)) == "111122223333"
    ended, _ = parse_declaration(f"{account}expires_at = 2020-01-01T00:00:00Z\n", "t")
    assert apply_declaration(ended, state.configuration, KEY).new_tokens == []


def test_a_mistake_changes_nothing(state: StateStore) -> None:
    declaration, places = parse_declaration(WHOLE.replace("example-logs", "No"), "t")
    with pytest.raises(Mistakes):
        apply_declaration(declaration, state.configuration, KEY, places=places)
    assert newest_configuration(state.configuration) == Configuration()


def test_a_change_by_someone_else_in_between_is_seen(state: StateStore) -> None:
    declaration, _ = parse_declaration(TRAIL, "t")
    store = state.configuration
    real_apply, interruptions = store.apply, []

    def interrupted(new: list[NewChange], expected_revision: int | None = None) -> int:
        if not interruptions:
            interruptions.append(1)
            real_apply([NewChange(Kind.ACCOUNT, "999999999999", {"name": "theirs"})])
        return real_apply(new, expected_revision)

    store.apply = interrupted  # type: ignore[method-assign,assignment]
    applied = apply_declaration(declaration, store, KEY)
    assert set(applied.configuration.accounts) == {"111122223333", "999999999999"}
    assert len(applied.configuration.trails) == 1


def test_changes_by_others_without_end_are_an_error(state: StateStore) -> None:
    declaration, _ = parse_declaration(TRAIL, "t")
    store, real_apply = state.configuration, state.configuration.apply
    numbers = count()

    def interrupted(new: list[NewChange], expected_revision: int | None = None) -> int:
        real_apply([NewChange(Kind.ACCOUNT, "999999999999", {"name": str(next(numbers))})])
        return real_apply(new, expected_revision)

    store.apply = interrupted  # type: ignore[method-assign,assignment]
    with pytest.raises(CommandFailed, match="by others all the time"):
        apply_declaration(declaration, store, KEY)


def test_the_secret_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret.key"
    key = secret_key_at(path)
    assert secret_key_at(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret.key"]
    path.write_bytes(b"short")
    with pytest.raises(CommandFailed, match="must have 32 bytes, not 5"):
        secret_key_at(path)
