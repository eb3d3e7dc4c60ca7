"""Where the validator service reads: what a source that does not answer comes to, and which objects it opens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from opentrail_backends.key_management import open_key_management
from opentrail_backends.notifications.port import NotificationsUnavailable
from opentrail_backends.object_store import open_object_store
from opentrail_backends.object_store.port import PutOptions
from opentrail_backends.state.port import KeptHead, PublicKey, StateError
from opentrail_cli.composition import Parts
from opentrail_cli.credentials import operator_token_at
from opentrail_cli.errors import CommandFailed
from opentrail_cli.settings import Settings
from opentrail_cli.validator_sources import (
    AllHeads,
    ChainSources,
    LogNotifier,
    StateHeads,
    StatePublicKeys,
    TopicNotifier,
    notifier_of,
)
from opentrail_validator import Question, TrailPlace
from opentrail_validator.readers.port import ApiNotReached, CouldNotRead
from opentrail_validator.service.port import NotDelivered

ACCOUNT = "111122223333"
FOLDER = f"AWSLogs/{ACCOUNT}/CloudTrail-Digest/eu-west-1/"
STAMP = 1_772_359_651  # 2026-03-01T10:07:31Z


def head(number: int, bucket: str = "logs") -> KeptHead:
    name = f"{ACCOUNT}_CloudTrail-Digest_eu-west-1_audit_eu-west-1_20260301T1007{31 + number}Z.json.gz"
    return KeptHead(
        chain_id="c",
        sequence=number,
        document=f"head {number} in {bucket}".encode(),
        bucket=bucket,
        object_key=f"{FOLDER}2026/03/01/{name}",
        account_id=ACCOUNT,
        region="eu-west-1",
        trail_arn="arn",
    )


class State:
    """What the state store answers, or that it does not."""

    def __init__(self, heads: Sequence[KeptHead] = (), *, is_away: bool = False) -> None:
        self.kept = heads
        self.is_away = is_away
        self.asked = 0
        self.chains = SimpleNamespace(heads=self.heads)
        self.public_keys = SimpleNamespace(between=self.between)

    def heads(self) -> Sequence[KeptHead]:
        self.asked += 1
        if self.is_away:
            raise StateError("the database is away")
        return self.kept

    def between(self, region: str, start: int, end: int) -> Sequence[PublicKey]:
        if self.is_away:
            raise StateError("the database is away")
        return [
            PublicKey(
                region=region, fingerprint="f", der=b"der", valid_from=start, valid_until=end, reference="kept away"
            )
        ]


def test_heads_are_those_of_the_folder_and_the_time() -> None:
    state = State([head(0), head(1), head(2), head(3, "other")])
    source = StateHeads(state, lambda: 0.0)  # type: ignore[arg-type]
    found = list(source.heads("logs", FOLDER, STAMP + 1, STAMP + 2))
    assert found == [b"head 1 in logs", b"head 2 in logs"]
    assert list(source.heads("other", FOLDER, 0, STAMP + 9)) == [b"head 3 in other"]
    assert list(source.heads("logs", FOLDER.replace("eu-west-1", "eu-west-2"), 0, STAMP + 9)) == []


def test_heads_are_read_once_for_many_chains_and_again_later() -> None:
    now = [0.0]
    state = State([head(0)])
    source = StateHeads(state, lambda: now[0])  # type: ignore[arg-type]
    for _ in range(5):
        list(source.heads("logs", FOLDER, 0, STAMP))
    assert state.asked == 1
    now[0] = 5.0
    state.kept = [head(1)]
    assert list(source.heads("logs", FOLDER, 0, STAMP + 9)) == [b"head 1 in logs"]


def test_a_store_that_is_away_is_no_tampering() -> None:
    state: Any = State(is_away=True)
    with pytest.raises(CouldNotRead, match="the database is away"):
        list(StateHeads(state).heads("logs", FOLDER, 0, STAMP))
    with pytest.raises(ApiNotReached, match="the database is away"):
        StatePublicKeys(state, "eu-west-1").between(0, 1)


def test_keys_are_those_of_the_region_with_their_validity() -> None:
    state: Any = State()
    source = StatePublicKeys(state, "eu-west-1")
    (key,) = source.between(5, 9).values()
    assert (key.der, key.valid_from, key.valid_until) == (b"der", 5, 9)
    assert source.origin() == "kept in the state store for eu-west-1"


def test_heads_of_one_place_are_given_though_the_other_is_away() -> None:
    class Away:
        def heads(self, *_: Any) -> Iterator[bytes]:
            raise CouldNotRead("connection reset")

        def origin(self) -> str:
            return "s3://heads"

    here: Any = State([head(0)])
    both = AllHeads([Away(), StateHeads(here)])
    given = []
    with pytest.raises(CouldNotRead, match="connection reset"):
        given.extend(both.heads("logs", FOLDER, 0, STAMP))
    assert given == [b"head 0 in logs"]
    assert both.origin() == "s3://heads and the state store"


def test_encrypted_evidence_in_a_directory_is_opened_with_the_installations_key(tmp_path: Path) -> None:
    keys = open_key_management(f"file://{tmp_path}/keys")
    store = open_object_store(f"file://{tmp_path}/buckets", keys)
    store.create_bucket("logs")
    store.put("logs", "a/b.json.gz", b"content", PutOptions(metadata={"signature": "s"}))
    store.close()
    settings = Settings(data_directory=tmp_path)
    with Parts(settings) as parts:
        place = TrailPlace(
            bucket="logs",
            prefix=None,
            organization_id=None,
            account_id=ACCOUNT,
            region="eu-west-1",
            trail_name="audit",
            home_region="eu-west-1",
        )
        question = Question(trail_arn="arn", place=place, start=0, end=1, now=1)
        sources = ChainSources(parts).sources(question)
        stored = sources.objects.get("logs", "a/b.json.gz")
        assert (stored.body, stored.metadata) == (b"content", {"signature": "s"})
        assert sources.public_keys.origin() == "kept in the state store for eu-west-1"
        assert sources.heads is not None
        assert sources.heads.origin() == "the state store"


def test_pinned_keys_are_trusted_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"PublicKeyList": []}')
    settings = Settings(data_directory=tmp_path, validator_public_keys=tmp_path / "keys.json", heads_bucket="heads/of")
    with Parts(settings) as parts:
        made = ChainSources(parts)
        place: Any = SimpleNamespace(region="eu-west-1")
        sources = made.sources(SimpleNamespace(place=place))  # type: ignore[arg-type]
        assert "keys.json" in sources.public_keys.origin()
        assert sources.heads is not None
        assert "heads" in sources.heads.origin().removeprefix("the state store")


def test_pinned_keys_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    settings = Settings(data_directory=tmp_path, validator_public_keys=tmp_path / "none.json")
    with Parts(settings) as parts, pytest.raises(CommandFailed, match=r"none\.json"):
        ChainSources(parts)


def test_a_topic_that_does_not_answer_is_told_again_later() -> None:
    published: list[tuple[str, str]] = []

    class Topics:
        def publish(self, topic_arn: str, message: str) -> None:
            if published:
                raise NotificationsUnavailable("no answer", "RequestTimeout")
            published.append((topic_arn, message))

    notifier = TopicNotifier(Topics(), "arn:aws:sns:eu-west-1:111122223333:findings")  # type: ignore[arg-type]
    notifier.notify("{}")
    assert published == [("arn:aws:sns:eu-west-1:111122223333:findings", "{}")]
    with pytest.raises(NotDelivered, match="no answer"):
        notifier.notify("{}")


def test_without_a_topic_the_log_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Parts(Settings(data_directory=tmp_path)) as parts:
        notifier = notifier_of(parts)
    assert isinstance(notifier, LogNotifier)
    notifier.notify('{"noticeVersion": 1}')
    assert '{"noticeVersion": 1}' in caplog.text


def test_the_operators_token_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "data" / "validator.token"
    token = operator_token_at(path)
    assert len(token) > 40
    assert operator_token_at(path) == token
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("short\n")
    with pytest.raises(CommandFailed, match="at least 32"):
        operator_token_at(path)
