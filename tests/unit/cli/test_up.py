"""`opentrail up`: what it adds at its start, and what it leaves as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from opentrail.trails.configuration import Kind
from opentrail_backends.state.port import NewChange
from opentrail_cli.apply import newest_configuration
from opentrail_cli.composition import Parts
from opentrail_cli.first_account import DEFAULT_ACCOUNT
from opentrail_cli.settings import Settings
from opentrail_cli.up import apply_at_start


@pytest.mark.parametrize("account_id", ["123456789012", None])
def test_what_was_taken_from_the_first_account_does_not_come_back(tmp_path: Path, account_id: str | None) -> None:
    with Parts(Settings(data_directory=tmp_path)) as parts:
        store = parts.state.configuration
        applied = apply_at_start(parts, account_id)
        assert applied is not None
        (key,) = applied.new_access_keys
        assert key.account_id == (account_id or DEFAULT_ACCOUNT)
        store.remove_access_key(key.access_key_id)
        (incarnation,) = newest_configuration(store).trails
        store.apply([NewChange(Kind.TRAIL, incarnation, None)])
        assert apply_at_start(parts, account_id) is None
        assert store.access_key(key.access_key_id) is None
        assert not newest_configuration(store).trails


def test_another_account_is_added_to_those_that_there_are(tmp_path: Path) -> None:
    with Parts(Settings(data_directory=tmp_path)) as parts:
        assert apply_at_start(parts, "123456789012") is not None
        assert apply_at_start(parts, "210987654321") is not None
        assert set(newest_configuration(parts.state.configuration).accounts) == {"123456789012", "210987654321"}
