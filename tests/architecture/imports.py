"""What each module of a source tree imports, and the rules about it. Pure: a folder in, findings out."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE_ROOTS = {
    "opentrail": "core",
    "opentrail_backends": "backends",
    "opentrail_producer": "producer",
    "opentrail_delivery": "delivery",
    "opentrail_validator": "validator",
    "opentrail_control_plane": "control_plane",
    "opentrail_cli": "cli",
}
"""Each import package and the folder that holds it."""

RULES_AND_BACKENDS = ("opentrail", "opentrail_backends")
MAY_IMPORT_OF_OURS = {
    "opentrail.evidence": ("opentrail.evidence",),
    "opentrail": ("opentrail",),
    "opentrail_backends": RULES_AND_BACKENDS,
    "opentrail_producer": (*RULES_AND_BACKENDS, "opentrail_producer"),
    "opentrail_delivery": (*RULES_AND_BACKENDS, "opentrail_delivery"),
    "opentrail_validator": ("opentrail.evidence", "opentrail_validator"),
    "opentrail_control_plane": (*RULES_AND_BACKENDS, "opentrail_control_plane"),
    "opentrail_cli": tuple(SOURCE_ROOTS),
}
"""For each part (the longest prefix counts), which of our packages its modules may import."""

CORE_LIBRARIES = {
    "cryptography": ("opentrail.evidence.signature",),
    "msgspec": ("opentrail.events", "opentrail.trails"),
}
"""What the rules need besides the standard library, and where."""

VENDOR_SDKS = {
    "kafka": ("opentrail_backends.event_bus.kafka",),
    "obstore": ("opentrail_backends.object_store.s3",),
    "pycurl": ("opentrail_validator.readers.s3",),
    "boto3": (
        "opentrail_backends.aws_clients",  # for the adapters of AWS's services
        "opentrail_backends.object_store.s3",
        "opentrail_backends.key_management.aws_kms",
        "opentrail_validator.readers.cloudtrail",
    ),
    "botocore": (
        "opentrail_backends.aws_clients",  # for the adapters of AWS's services
        "opentrail_backends.object_store.s3",
        "opentrail_backends.key_management.aws_kms",
        "opentrail_backends.notifications.sns",
        "opentrail_validator.readers.s3",
        "opentrail_validator.readers.cloudtrail",
        "opentrail_control_plane.model",  # the shapes of the AWS API are botocore's data
    ),
    "sqlalchemy": ("opentrail_backends.state",),
    "alembic": ("opentrail_backends.state",),
    "psycopg": ("opentrail_backends.state",),
    "grpc": ("opentrail_producer", "opentrail_validator.service", "opentrail_validator.generated"),
    "grpc_health": ("opentrail_producer", "opentrail_validator.service"),
    "grpc_reflection": ("opentrail_producer", "opentrail_validator.service"),
    "prometheus_client": (
        "opentrail_cli",
        "opentrail_control_plane",
        "opentrail_delivery",
        "opentrail_producer",
        "opentrail_validator.service",
    ),
}
"""Each vendor's SDK, and the modules (with all below them, and their like-named parts) that may import it."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement's target, as a dotted name."""

    module: str
    imported: str
    place: str
    """The file and line, for the reader of a finding."""


def all_imports(tree: Path) -> Iterator[Import]:
    """Every import of every module of ours, also those inside functions and `if TYPE_CHECKING`."""
    for package, folder in SOURCE_ROOTS.items():
        for path in sorted((tree / folder / package).rglob("*.py")):
            parts = path.relative_to(tree / folder).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            yield from _imports_of(path, module, is_package=is_package, tree=tree)


def _imports_of(path: Path, module: str, *, is_package: bool, tree: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package=is_package)
            names = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "__import__",
            "import_module",
            "importlib.import_module",
        }:
            argument = node.args[0] if node.args else None
            names = [argument.value] if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else []
        else:
            continue
        for name in names:
            yield Import(module, name, f"{path.relative_to(tree)}:{node.lineno}")


def _absolute(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    package = module.split(".") if is_package else module.split(".")[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, node.module] if node.module else package)


def is_within(name: str, part: str) -> bool:
    """Whether a dotted name is `part` or lies below it."""
    return name == part or name.startswith(f"{part}.")


def wrong_directions(tree: Path) -> list[str]:
    """Imports between our own packages that go another way than services → backends → core."""
    found = []
    for item in all_imports(tree):
        if item.imported.split(".")[0] not in SOURCE_ROOTS:
            continue
        part = max((part for part in MAY_IMPORT_OF_OURS if is_within(item.module, part)), key=len)
        if not any(is_within(item.imported, allowed) for allowed in MAY_IMPORT_OF_OURS[part]):
            found.append(f"{item.place}: {item.module} imports {item.imported}")
    return found


def foreign_libraries_in_core(tree: Path) -> list[str]:
    """What the rules import beyond the standard library and the few libraries that they are allowed."""
    found = []
    for item in all_imports(tree):
        top = item.imported.split(".")[0]
        if not is_within(item.module, "opentrail") or top in sys.stdlib_module_names or top in SOURCE_ROOTS:
            continue
        if not any(is_within(item.module, part) for part in CORE_LIBRARIES.get(top, ())):
            found.append(f"{item.place}: {item.module} imports {item.imported}")
    return found


FORBIDDEN_IN_CORE = ("socket", "sqlite3", "subprocess", "logging", "asyncio", "threading", "urllib.request", "http")


def sockets_in_core(tree: Path) -> list[str]:
    """Modules of the standard library that do what the rules must not: talk, log, wait."""
    return [
        f"{item.place}: {item.module} imports {item.imported}"
        for item in all_imports(tree)
        if is_within(item.module, "opentrail") and any(is_within(item.imported, name) for name in FORBIDDEN_IN_CORE)
    ]


def vendor_sdks_out_of_place(tree: Path) -> list[str]:
    """SDKs imported elsewhere than in the adapter that is named after them."""
    found = []
    for item in all_imports(tree):
        allowed = VENDOR_SDKS.get(item.imported.split(".")[0])
        if allowed is not None and not any(_is_part_of(item.module, part) for part in allowed):
            found.append(f"{item.place}: {item.module} imports {item.imported}")
    return found


def _is_part_of(module: str, adapter: str) -> bool:
    # An adapter of more than one file: s3.py, s3_buckets.py …
    return is_within(module, adapter) or module.startswith(f"{adapter}_")
