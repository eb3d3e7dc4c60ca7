"""The locks are whole, name no address, and hold nothing that asks more of a user than a notice."""

from __future__ import annotations

import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture import imports
from tests.architecture import requirements as rules

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PYPROJECT = (ROOT / "pyproject.toml").read_text()
RUNTIME = (ROOT / "requirements" / "runtime.txt").read_text()
DEV = (ROOT / "requirements" / "dev.txt").read_text()


def test_there_are_locks() -> None:
    assert {"runtime.txt", "dev.txt"} < {path.name for path in LOCKS}


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_address_and_has_every_hash(path: Path) -> None:
    lock = path.read_text()
    assert rules.pinned(lock)
    assert rules.addresses(lock) == []
    assert rules.without_hash(lock) == []


def test_every_declared_dependency_is_locked() -> None:
    assert rules.declared(PYPROJECT, dev=False) - rules.pinned(RUNTIME) == set()
    assert rules.declared(PYPROJECT, dev=True) - rules.pinned(DEV) == set()


def test_what_our_modules_import_is_declared_and_nothing_else() -> None:
    modules = {item.imported.partition(".")[0] for item in imports.all_imports(ROOT)}
    foreign = modules - sys.stdlib_module_names - set(imports.SOURCE_ROOTS)
    declared, providers = rules.declared(PYPROJECT, dev=False), packages_distributions()
    assert rules.imported_undeclared(foreign, providers, declared) == set()
    assert rules.declared_unused(foreign, providers, declared) == set(rules.LOADED_BY_OTHERS)


def test_what_runs_is_what_was_tested() -> None:
    """Each version in the runtime lock is the one in the development lock."""
    assert set(rules.PINNED.findall(RUNTIME)) - set(rules.PINNED.findall(DEV)) == set()


def test_dependencies_are_permissive_but_for_the_known_exceptions() -> None:
    assert set(rules.not_permissive(rules.pinned(RUNTIME))) <= set(rules.KNOWN_EXCEPTIONS)


def test_the_known_exceptions_are_no_dependency_of_the_auditors_install() -> None:
    import tomllib

    required = {
        rules.normal(rules.NAME.findall(text)[0]) for text in tomllib.loads(PYPROJECT)["project"]["dependencies"]
    }
    assert required == {"cryptography", "msgspec"}
    assert not required & set(rules.KNOWN_EXCEPTIONS)


@pytest.mark.parametrize(
    ("lock", "found"),
    [
        (
            "--index-url https://mirror.example/x\na==1 \\\n    --hash=sha256:00\n",
            ["--index-url https://mirror.example/x"],
        ),
        ("a @ git+https://example.org/a\n", ["a @ git+https://example.org/a"]),
        ("--find-links wheels\n", ["--find-links wheels"]),
    ],
)
def test_an_address_in_a_lock_is_found(lock: str, found: list[str]) -> None:
    assert rules.addresses(lock) == found


def test_a_missing_hash_is_found() -> None:
    has_hash = " \\\n    --hash=sha256:00\n"
    lock = f"a==1{has_hash}    # via b\nb==2\n    # via c\nc==3 ; sys_platform == 'win32'{has_hash}"
    assert rules.without_hash(lock) == ["b==2"]
    assert rules.pinned(lock) == {"a", "b", "c"}


def test_an_undeclared_lock_entry_is_found() -> None:
    project = (
        '[project]\nname = "p"\ndependencies = ["A_b>=1"]\n[project.optional-dependencies]\nx = ["c[z]>=2", "p[y]"]\n'
        '[dependency-groups]\ndev = ["d"]\n'
    )
    assert rules.declared(project, dev=False) == {"a-b", "c"}
    assert rules.declared(project, dev=True) == {"a-b", "c", "d"}


def test_a_library_that_is_not_declared_and_one_that_is_not_used_are_found() -> None:
    providers = {"a": ["A-Dist"], "b": ["b", "B_Other"], "c": ["c"]}
    assert rules.imported_undeclared({"a", "b", "c", "d"}, providers, {"a-dist", "b-other"}) == {"c", "d"}
    assert rules.declared_unused({"a"}, providers, {"a-dist", "b-other"}) == {"b-other"}


@pytest.mark.parametrize(
    ("said", "permissive"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("BSD License OR Apache Software License", True),
        ("LGPL-3.0-only", False),
        ("MIT AND AGPL-3.0", False),
        ("GNU Affero General Public License v3", False),
        ("nothing", False),
        ("Proprietary", False),
    ],
)
def test_licences_are_told_apart(said: str, permissive: bool) -> None:
    assert rules.is_permissive(said) is permissive
