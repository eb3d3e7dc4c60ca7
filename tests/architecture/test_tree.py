"""The rules about files hold here, and each is seen to fail on a made-up tree that breaks it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture import tree

ROOT = Path(__file__).parents[2]
RULES: list[Callable[[Path], list[str]]] = [
    tree.long_files,
    tree.undocumented_modules,
    tree.open_points,
    tree.machine_paths,
    tree.registry_hosts,
    tree.broken_links,
    tree.unlisted_documents,
]

BREAKS = [
    (tree.long_files, "delivery/opentrail_delivery/a.py", "pass\n" * 301),
    (tree.long_files, "tests/unit/test_a.py", "pass\n" * 301),
    (tree.undocumented_modules, "delivery/opentrail_delivery/b/__init__.py", ""),
    (tree.undocumented_modules, "core/opentrail/a.py", "# a comment\nx = 1\n"),
    (tree.open_points, "core/opentrail/a.py", "x = 1  # TO" + "DO later\n"),
    (tree.open_points, "docs/a.md", "FIX" + "ME: say how\n"),
    (tree.machine_paths, "docs/a.md", "see /ro" + "ot/.cache/x\n"),
    (tree.machine_paths, "Makefile", "run:\n\tcat /wo" + "rk/main/x\n"),
    (tree.machine_paths, "tests/a.py", 'PATH = "/ho' + 'me/someone/project"\n'),
    (tree.registry_hosts, "requirements/dev.txt", "--index-url https://py" + "pi.org/simple\n"),
    (tree.registry_hosts, "requirements/dev.txt", "--index-url https://mirror.example/sim" + "ple\n"),
    (tree.registry_hosts, "tests/servers/pom.xml", "<url>https://repo.mav" + "en.apache.org/maven2</url>\n"),
    (tree.broken_links, "README.md", "[how](docs/how.md)\n"),
    (tree.broken_links, "README.md", "# One\n[two](#two)\n"),
]

ALLOWED = [
    ("delivery/opentrail_delivery/a.py", '"""A module."""\n' + "x = 1\n" * 299),
    ("producer/opentrail_producer/generated/a_pb2.py", "pass\n" * 500),
    ("docs/a.md", "# A `key` of one's own!\n[up](../docs/a.md#a-key-of-ones-own) [out](https://example.org/x#y)\n"),
    ("docs/b.md", "an `s3://bucket/work/x` key, the folder /var/lib/opentrail\n"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule: Callable[[Path], list[str]]) -> None:
    assert rule(ROOT) == []


@pytest.mark.parametrize(("rule", "path", "content"), BREAKS)
def test_a_broken_rule_is_found(rule: Callable[[Path], list[str]], path: str, content: str, tmp_path: Path) -> None:
    _write(tmp_path, path, content)
    found = rule(tmp_path)
    assert len(found) == 1
    assert found[0].startswith(path)


@pytest.mark.parametrize(("path", "content"), ALLOWED)
def test_what_is_allowed_is_not_found(path: str, content: str, tmp_path: Path) -> None:
    _write(tmp_path, path, content)
    assert [finding for rule in RULES for finding in rule(tmp_path)] == []


def test_a_document_that_its_index_does_not_name_is_found(tmp_path: Path) -> None:
    for path, content in (
        ("docs/README.md", "[one](one.md#part) [records](adr/README.md)"),
        ("docs/one.md", ""),
        ("docs/two.md", ""),
        ("docs/adr/README.md", ""),
        ("docs/adr/three.md", ""),
    ):
        _write(tmp_path, path, content)
    assert tree.unlisted_documents(tmp_path) == [
        "docs/two.md: docs/README.md does not name it",
        "docs/adr/three.md: docs/adr/README.md does not name it",
    ]


def test_a_tree_of_git_has_its_new_files_but_not_the_ignored_ones(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for path, content in ((".gitignore", "made/\n"), ("made/a.md", ""), ("new.md", "")):
        _write(tmp_path, path, content)
    assert [path.name for path in tree.files(tmp_path)] == [".gitignore", "new.md"]


def test_the_project_has_files() -> None:
    assert {"Makefile", "pyproject.toml", "LICENSE"} <= {path.name for path in tree.files(ROOT)}


def _write(folder: Path, path: str, content: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(content)
