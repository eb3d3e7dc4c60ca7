"""Rules about the files of the project. Pure: a folder in, findings out."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.imports import SOURCE_ROOTS

MOST_LINES = 300
GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$")
TEXT = {".py", ".md", ".toml", ".txt", ".proto", ".yaml", ".yml", ".json", ".sh", ".xml", ".properties", ".pyi", ""}
SKIPPED = {
    ".git",
    ".venv",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".demo",
    "dist",
}

# Written so that this file does not match its own patterns.
OPEN_POINT = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
MACHINE_PATH = re.compile(r"(?:^|[\s\"'`=(:])/(?:work|root|home/\w+|Users/\w+|opt/wheels)(?:/|\b)")
REGISTRY_HOSTS = re.compile(
    r"py"
    r"pi\.(?:org|python)|pythonhost"
    r"ed\.org|repo1?\.mav"
    r"en|central\.sona"
    r"type|proxy\.gol"
    r"ang"
    r"|registry\.npm" + r"js|crat" + r"es\.io|deb\.deb" + r"ian|https?://[\w.-]+/(?:simple|maven2)(?:/|\"|$)"
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *#*$", re.MULTILINE)


def files(tree: Path) -> Iterator[Path]:
    """The project's own files: what git has or would add; in a tree without git, all."""
    if (tree / ".git").exists():
        command = ["git", "-C", str(tree), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(command, capture_output=True, check=True).stdout
        names = [Path(os.fsdecode(name)) for name in listed.split(b"\0") if name]
    else:
        names = [path.relative_to(tree) for path in tree.rglob("*") if path.is_file()]
    for name in sorted(names):
        if not SKIPPED.intersection(name.parts) and (tree / name).is_file():
            yield tree / name


def _lines(tree: Path, suffixes: set[str] = TEXT) -> Iterator[tuple[Path, int, str]]:
    for path in files(tree):
        if path.suffix in suffixes and path.name != "LICENSE":
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
                yield path.relative_to(tree), number, line


def long_files(tree: Path) -> list[str]:
    """Python files that are too long to be read in one go; generated code does not count."""
    found = []
    for path in files(tree):
        if path.suffix == ".py" and not GENERATED.search(path.name):
            lines = len(path.read_text().splitlines())
            if lines > MOST_LINES:
                found.append(f"{path.relative_to(tree)}: {lines} lines")
    return found


def undocumented_modules(tree: Path) -> list[str]:
    """Packages and modules of ours whose docstring is missing."""
    modules = (path for package, folder in SOURCE_ROOTS.items() for path in (tree / folder / package).rglob("*.py"))
    return [
        f"{path.relative_to(tree)}: no docstring"
        for path in sorted(modules)
        if not GENERATED.search(path.name) and not ast.get_docstring(ast.parse(path.read_text()))
    ]


def open_points(tree: Path) -> list[str]:
    """Points left open in the text; they belong in an issue."""
    return [f"{path}:{number}: {line.strip()}" for path, number, line in _lines(tree) if OPEN_POINT.search(line)]


def machine_paths(tree: Path) -> list[str]:
    """Paths that exist on one developer's machine only."""
    return [f"{path}:{number}: {line.strip()}" for path, number, line in _lines(tree) if MACHINE_PATH.search(line)]


def registry_hosts(tree: Path) -> list[str]:
    """Addresses of package registries: which one is used is the user's own setting."""
    return [f"{path}:{number}: {line.strip()}" for path, number, line in _lines(tree) if REGISTRY_HOSTS.search(line)]


def broken_links(tree: Path) -> list[str]:
    """Links between the project's documents that lead nowhere: a missing file, or a missing heading in it."""
    found = []
    for path, number, line in _lines(tree, {".md"}):
        for target in LINK.findall(line):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            linked = (tree / path).parent / name if name else tree / path
            if not linked.exists():
                found.append(f"{path}:{number}: {target}: no such file")
            elif anchor and linked.suffix == ".md" and anchor not in _anchors(linked):
                found.append(f"{path}:{number}: {target}: no such heading")
    return found


def unlisted_documents(tree: Path) -> list[str]:
    """Documents beside an index of documentation (`docs/**/README.md`) that it does not name."""
    found = []
    for index in (path for path in files(tree / "docs") if path.name == "README.md"):
        named = {target.partition("#")[0] for target in LINK.findall(index.read_text())}
        beside = {path.name for path in files(index.parent) if path.suffix == ".md" and path.parent == index.parent}
        found += [
            f"{(index.parent / name).relative_to(tree)}: {index.relative_to(tree)} does not name it"
            for name in sorted(beside - named - {index.name})
        ]
    return found


def _anchors(document: Path) -> set[str]:
    """The headings of a document in the form of links (as GitHub makes it)."""
    headings = (re.sub(r"[`*_]", "", heading).lower() for heading in HEADING.findall(document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}
