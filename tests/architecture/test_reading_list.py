"""The auditor's reading list, validator/README.md, names exactly what `validate-logs` loads: no more, no less."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evidence_maker.layouts import lay_plain
from tests.evidence_maker.maker import START, Chain, iso, listed_key, private_key

ROOT = Path(__file__).parents[2]
README = ROOT / "validator" / "README.md"
SOURCES = (ROOT / "validator", ROOT / "core")
LOADED, ON_DEMAND = "What is loaded", "What is loaded only when it is used"

BASE = {"cryptography", "msgspec"}
OF_CRYPTOGRAPHY = {"_cffi_backend", "_openssl"}
"""Modules with names of their own that cryptography and cffi bring."""
OPTIONAL = {"isal"}
PROGRAM = """
import sys
for name in {missing!r}: sys.modules[name] = None
before = set(sys.modules)
from opentrail_validator.command import main
code = main(sys.argv[1:])
print(*sorted(set(sys.modules) - before), sep="\\n", file=sys.stderr)
raise SystemExit(code)
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules of a run on a local directory with pinned keys, without what an auditor's installation has not."""
    return modules_of_a_run(tmp_path_factory.mktemp("evidence"), missing=("isal", "typing_extensions"))


def modules_of_a_run(folder: Path, missing: tuple[str, ...] = ()) -> set[str]:
    chain = Chain().hours(2)
    lay_plain(chain.objects, folder / "d")
    (folder / "keys.json").write_text(json.dumps([listed_key(private_key(0))]))
    begin = int(START.timestamp())
    when = ["--start-time", iso(begin), "--end-time", iso(begin + 2 * 3600)]
    where = ["--s3-bucket", chain.bucket, "--directory", str(folder / "d"), "--public-keys", str(folder / "keys.json")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(missing=missing), "--trail-arn", chain.arn, *when, *where],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2/2 digest files valid" in done.stdout
    return set(done.stderr.split())


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] in {"opentrail", "opentrail_validator"}}


def foreign(modules: set[str]) -> set[str]:
    top = {name.partition(".")[0] for name in modules - ours(modules)}
    return top - sys.stdlib_module_names - OF_CRYPTOGRAPHY


def listed(heading: str) -> list[str]:
    """The modules under a heading, in their order."""
    _, _, rest = README.read_text().partition(f"\n## {heading}\n")
    section, _, _ = rest.partition("\n## ")
    return [module_of(link) for link in re.findall(r"^- \[[^\]]+\]\(([^)]+\.py)\): \S", section, re.MULTILINE)]


def module_of(link: str) -> str:
    path = (README.parent / link).resolve()
    assert path.is_file(), link
    source = next(source for source in SOURCES if path.is_relative_to(source))
    return ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")


def test_what_is_loaded_is_what_is_listed(loaded: set[str]) -> None:
    names = listed(LOADED)
    assert len(set(names)) == len(names)
    assert set(names) == ours(loaded)


def test_it_stands_on_the_packages_that_the_list_names_and_no_others(loaded: set[str]) -> None:
    text = README.read_text()
    assert foreign(loaded) == BASE
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == BASE
    assert all(f"`{name}`" in text for name in OPTIONAL)


def test_a_full_installation_loads_no_more_than_faster_codecs(tmp_path: Path) -> None:
    modules = modules_of_a_run(tmp_path)
    assert BASE <= foreign(modules) <= BASE | OPTIONAL | {"typing_extensions"}


def test_every_module_of_the_validator_is_in_the_list(loaded: set[str]) -> None:
    package = ROOT / "validator" / "opentrail_validator"
    there = {module_of(str(path.relative_to(README.parent))) for path in package.rglob("*.py")}
    alone = {name for name in there if not re.match(r"opentrail_validator\.(service|generated)\b", name)}
    on_demand = set(listed(ON_DEMAND))
    assert not on_demand & loaded
    named = set(listed(LOADED)) | on_demand
    assert {name for name in named if name.startswith("opentrail_validator")} == alone
