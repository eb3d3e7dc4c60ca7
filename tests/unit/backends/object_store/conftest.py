"""A local directory's store, encrypted, with one bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from opentrail_backends.key_management.local_keys import LocalKeys
from opentrail_backends.object_store.local_directory import LocalDirectoryObjectStore
from tests.unit.backends.object_store.local_directory_samples import BUCKET


@pytest.fixture
def keys(tmp_path: Path) -> LocalKeys:
    return LocalKeys(tmp_path / "keys")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def store(root: Path, keys: LocalKeys) -> LocalDirectoryObjectStore:
    store = LocalDirectoryObjectStore(root, keys)
    store.create_bucket(BUCKET)
    return store
