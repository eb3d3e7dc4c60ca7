"""The import rules hold here, and each is seen to fail on a made-up tree that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture import imports

ROOT = Path(__file__).parents[2]
RULES: list[Callable[[Path], list[str]]] = [
    imports.wrong_directions,
    imports.foreign_libraries_in_core,
    imports.sockets_in_core,
    imports.vendor_sdks_out_of_place,
]

BREAKS = [
    (imports.wrong_directions, "producer/opentrail_producer/a.py", "import opentrail_delivery.window"),
    (imports.wrong_directions, "delivery/opentrail_delivery/a.py", "from opentrail_control_plane import model"),
    (imports.wrong_directions, "control_plane/opentrail_control_plane/a.py", "def f():\n    import opentrail_producer"),
    (imports.wrong_directions, "backends/opentrail_backends/a.py", "from opentrail_delivery.window import Window"),
    (imports.wrong_directions, "core/opentrail/a.py", "from opentrail_backends import state"),
    (imports.wrong_directions, "delivery/opentrail_delivery/a.py", "import opentrail_cli"),
    (imports.wrong_directions, "core/opentrail/evidence/a.py", "from opentrail.events import batch"),
    (imports.wrong_directions, "core/opentrail/evidence/a.py", "from ..trails import trail"),
    (imports.wrong_directions, "core/opentrail/evidence/__init__.py", "from .. import events"),
    (imports.wrong_directions, "validator/opentrail_validator/a.py", "from opentrail.trails import trail"),
    (imports.wrong_directions, "validator/opentrail_validator/a.py", "from opentrail import events"),
    (imports.wrong_directions, "validator/opentrail_validator/readers/a.py", "import opentrail_backends.object_store"),
    (
        imports.wrong_directions,
        "producer/opentrail_producer/a.py",
        "import importlib\nimportlib.import_module('opentrail_delivery')",
    ),
    (imports.foreign_libraries_in_core, "core/opentrail/events/a.py", "import zstandard"),
    (imports.foreign_libraries_in_core, "core/opentrail/events/a.py", "from cryptography.hazmat import primitives"),
    (imports.foreign_libraries_in_core, "core/opentrail/evidence/a.py", "import msgspec"),
    (imports.sockets_in_core, "core/opentrail/events/a.py", "import socket"),
    (imports.sockets_in_core, "core/opentrail/events/a.py", "from urllib import request"),
    (imports.sockets_in_core, "core/opentrail/trails/a.py", "import logging.handlers"),
    (imports.vendor_sdks_out_of_place, "delivery/opentrail_delivery/a.py", "from sqlalchemy import select"),
    (imports.vendor_sdks_out_of_place, "backends/opentrail_backends/event_bus/embedded.py", "import kafka.errors"),
    (imports.vendor_sdks_out_of_place, "backends/opentrail_backends/object_store/local.py", "import obstore"),
    (imports.vendor_sdks_out_of_place, "cli/opentrail_cli/ingest.py", "import grpc"),
    (imports.vendor_sdks_out_of_place, "control_plane/opentrail_control_plane/a.py", "import boto3"),
]

ALLOWED = [
    ("producer/opentrail_producer/a.py", "from opentrail_backends.event_bus.port import Message\nimport grpc"),
    ("cli/opentrail_cli/a.py", "import opentrail_producer, opentrail_delivery, opentrail_validator"),
    ("core/opentrail/evidence/signature.py", "from cryptography.hazmat import primitives\nfrom . import chain"),
    ("core/opentrail/events/batch.py", "import msgspec\nfrom opentrail.evidence import log_file"),
    (
        "validator/opentrail_validator/readers/cloudtrail.py",
        "import boto3\nfrom opentrail.evidence.chain import verify",
    ),
    ("backends/opentrail_backends/object_store/s3_buckets.py", "from botocore.exceptions import ClientError"),
    ("backends/opentrail_backends/state/ledger.py", "from sqlalchemy import select"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule: Callable[[Path], list[str]]) -> None:
    assert rule(ROOT) == []


def test_the_project_has_imports_in_every_package() -> None:
    seen = {item.module.split(".")[0] for item in imports.all_imports(ROOT)}
    assert seen == set(imports.SOURCE_ROOTS)


@pytest.mark.parametrize(("rule", "path", "source"), BREAKS, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_rule_is_found(rule: Callable[[Path], list[str]], path: str, source: str, tmp_path: Path) -> None:
    _write(tmp_path, path, source)
    assert len(rule(tmp_path)) == 1
    assert path in rule(tmp_path)[0]


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_what_is_allowed_is_not_found(path: str, source: str, tmp_path: Path) -> None:
    _write(tmp_path, path, source)
    assert [finding for rule in RULES for finding in rule(tmp_path)] == []


def _write(tree: Path, path: str, source: str) -> None:
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(source)
