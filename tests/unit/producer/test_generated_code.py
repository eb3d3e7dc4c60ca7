"""The committed gRPC code is what the contracts make."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from opentrail_producer.generated import producer_pb2

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def generate():
    pytest.importorskip("grpc_tools")
    spec = importlib.util.spec_from_file_location("generate", ROOT / "proto" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_code_is_what_the_contracts_make(generate):
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize("defect", ["changed", "missing", "left over"])
def test_check_fails_on_code_that_differs(generate, tmp_path, capsys, defect):
    source = generate.generated_folder("producer")
    folder = generate.generated_folder("producer", tmp_path)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
    match defect:
        case "changed":
            path = folder / "producer_pb2.pyi"
            path.write_text(path.read_text() + "# by hand\n")
        case "missing":
            path = folder / "producer_pb2_grpc.py"
            path.unlink()
        case "left over":
            path = folder / "old_pb2.py"
            path.write_text("")

    assert generate.main(["--check"], tmp_path) == 1
    assert path.name in capsys.readouterr().err

    generate.main([], tmp_path)
    assert generate.main(["--check"], tmp_path) == 0


def test_generated_code_is_registered_under_the_contracts_name():
    assert producer_pb2.DESCRIPTOR.package == "opentrail.producer.v1"
    assert producer_pb2.__name__ == "opentrail_producer.generated.producer_pb2"
