"""What the validator's tests share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.evidence_maker.maker import listed_key, private_key


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    """A file with the public key of made evidence."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps([listed_key(private_key(0))]))
    return file
