"""Rules about the locks and the licences of what they name. Pure but for the metadata of what is installed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata

PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?==([^\s;]+)", re.MULTILINE)
NAME = re.compile(r"^[A-Za-z0-9][\w.-]*")

PERMISSIVE = ("MIT", "MIT-0", "BSD", "Apache", "PSF", "ISC", "Python Software Foundation", "MPL", "Mozilla", "CNRI")
"""What we may build on: nothing here asks anything of programs that only use the library (MPL: of its own files)."""

KNOWN_EXCEPTIONS = {
    "psycopg": "LGPL-3.0, unmodified, only with the extra `postgresql`",
    "psycopg-binary": "LGPL-3.0, unmodified, only with the extra `postgresql`",
    "crc32c": "LGPL-2.1, unmodified, only with the extra `kafka`",
}


def normal(name: str) -> str:
    """A distribution's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(lock: str) -> set[str]:
    """The distributions that a lock names."""
    return {normal(name) for name, _ in PINNED.findall(lock)}


def addresses(lock: str) -> list[str]:
    """Lines of a lock that tell where to get something: that is the user's own setting."""
    option = re.compile(r"^\s*(--(extra-)?index-url|--find-links|-f |-i )")
    return [line for line in lock.splitlines() if "://" in line or option.match(line)]


def without_hash(lock: str) -> list[str]:
    """Pinned distributions without a hash."""
    entries = re.split(r"\n(?=\S)", "\n".join(line for line in lock.splitlines() if not line.startswith("#")))
    return [entry.split()[0] for entry in entries if entry.strip() and "--hash=sha256:" not in entry]


def declared(pyproject: str, *, dev: bool) -> set[str]:
    """The direct dependencies that pyproject.toml declares, with all extras."""
    data = tomllib.loads(pyproject)
    lists = [data["project"]["dependencies"], *data["project"]["optional-dependencies"].values()]
    if dev:
        lists.append(data["dependency-groups"]["dev"])
    names = {normal(match[0]) for items in lists for requirement in items if (match := NAME.match(requirement))}
    return names - {data["project"]["name"]}


LOADED_BY_OTHERS = {
    "crc32c": "kafka-python takes it if it is there",
    "psycopg": "SQLAlchemy loads it for postgresql+psycopg://",
}
"""What is declared though no module of ours imports it, and why."""


def imported_undeclared(
    modules: Collection[str], providers: Mapping[str, Collection[str]], declared: Collection[str]
) -> set[str]:
    """Of the top-level modules that ours import, those that come with a distribution that only others require.

    `providers`: which distributions bring a module (`importlib.metadata.packages_distributions`).
    """
    return {module for module in modules if not set(map(normal, providers.get(module, ()))) & set(declared)}


def declared_unused(
    modules: Collection[str], providers: Mapping[str, Collection[str]], declared: Collection[str]
) -> set[str]:
    """The declared distributions of which no module is imported."""
    used = {normal(name) for module in modules for name in providers.get(module, ())}
    return set(declared) - used


def licence(data: PackageMetadata) -> str:
    """What a distribution says of its licence: the expression, the classifiers, or the free text's first line."""
    for said in data.get_all("License-Expression") or []:
        return str(said)
    classifiers = [line for line in data.get_all("Classifier") or [] if line.startswith("License :: OSI")]
    texts = data.get_all("License") or ["nothing"]
    return " OR ".join(line.rpartition(" :: ")[2] for line in classifiers) or str(texts[0]).splitlines()[0]


def is_permissive(said: str) -> bool:
    """Whether one of the offered licences ("OR") has only permissive parts ("AND")."""
    for offer in re.split(r"\s+OR\s+", said.strip("() ")):
        parts = re.split(r"\s+AND\s+", offer.strip("() "))
        if (
            all(any(name in part for name in PERMISSIVE) or part == "Dual License" for part in parts)
            and "GPL" not in offer
        ):
            return True
    return False


def not_permissive(names: set[str]) -> dict[str, str]:
    """Of these distributions, those installed under another than a permissive licence, and what they say."""
    found = {}
    for name in sorted(names):
        try:
            said = licence(metadata(name))
        except PackageNotFoundError:
            continue  # for another platform or Python
        if not is_permissive(said):
            found[name] = said
    return found
