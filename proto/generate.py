#!/usr/bin/env python
"""Makes the committed gRPC code from the contracts, or checks that it is what they make.

    python proto/generate.py            writes the code
    python proto/generate.py --check    writes nothing; exits 1 when the committed code differs

The code of `proto/opentrail/<service>/v1/*.proto` goes to `<service>/opentrail_<service>/generated/`, with its
imports of each other turned into imports inside that package. Needs grpcio-tools (a development dependency).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

PROTO = Path(__file__).resolve().parent
ROOT = PROTO.parent
PACKAGE_DOCSTRING = '"""Made from proto/ by proto/generate.py. Do not edit."""\n'


def services() -> dict[str, list[Path]]:
    """The contracts of each service, by the service's name."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PROTO.glob("opentrail/*/v*/*.proto")):
        found.setdefault(path.parent.parent.name, []).append(path)
    return found


def generated_folder(service: str, root: Path = ROOT) -> Path:
    """Where a service's code is committed."""
    return root / service / f"opentrail_{service}" / "generated"


def generate(service: str, contracts: list[Path]) -> dict[str, bytes]:
    """The files of a service's generated package, by name. Raises RuntimeError if a contract is wrong."""
    from grpc_tools import protoc  # type: ignore[import-untyped]  # noqa: PLC0415  a development dependency

    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "protoc",
            f"--proto_path={PROTO}",
            f"--proto_path={resources.files('grpc_tools') / '_proto'}",
            f"--python_out={folder}",
            f"--pyi_out={folder}",
            f"--grpc_python_out={folder}",
            *map(str, contracts),
        ]
        if protoc.main(arguments) != 0:
            raise RuntimeError(f"protoc refused the contracts of {service}")
        files = {"__init__.py": PACKAGE_DOCSTRING.encode()}
        for path in sorted(Path(folder).rglob("*.py*")):
            text = _with_package_imports(path.read_text(), service)
            if path.name.endswith("_pb2_grpc.py") and "class " not in text:
                continue  # a contract without a service
            files[path.name] = text.encode()
        return files


def _with_package_imports(text: str, service: str) -> str:
    """`from opentrail.<service>.v1 import x_pb2` → `from opentrail_<service>.generated import x_pb2`."""
    return re.sub(
        rf"^from opentrail\.{service}\.v\d+ import",
        f"from opentrail_{service}.generated import",
        text,
        flags=re.MULTILINE,
    )


def differences(folder: Path, wanted: Mapping[str, bytes]) -> list[str]:
    """What has to change in `folder` for it to hold exactly the wanted files, one line each."""
    there = {path.name: path.read_bytes() for path in folder.glob("*.py*") if path.is_file()}
    lines = [f"{folder / name}: missing" for name in sorted(wanted.keys() - there.keys())]
    lines += [f"{folder / name}: made by no contract" for name in sorted(there.keys() - wanted.keys())]
    lines += [f"{folder / name}: differs" for name in sorted(wanted) if name in there and there[name] != wanted[name]]
    return lines


def write(folder: Path, wanted: Mapping[str, bytes]) -> None:
    """Makes `folder` hold exactly the wanted files."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.py*"):
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (folder / name).write_bytes(content)


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Makes the committed gRPC code from proto/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the committed code differs")
    check = parser.parse_args(arguments).check
    found: list[str] = []
    for service, contracts in services().items():
        wanted = generate(service, contracts)
        folder = generated_folder(service, root)
        if check:
            found += differences(folder, wanted)
        else:
            write(folder, wanted)
    for line in found:
        print(line, file=sys.stderr)  # noqa: T201  a command prints
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
