"""A kind of tampering: what is done, who can do it, and what a validator must say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from tests.tampering.attacker.scene import Chain, Scene

Expected = set[tuple[str, str]]
"""(kind of finding, key of the object or folder that it is about)."""
REFUSED = ("refused", "")
"""Nothing can be validated at all, and the validator says so."""
STATE_FILE = "the state file"
"""Stands for the key of a finding about it."""


class Who(StrEnum):
    """Who can do it: what the attacker controls."""

    STORAGE = "storage"
    """Writes and deletes objects in the bucket."""
    API = "API"
    """Answers ListPublicKeys; alone, or with the bucket."""
    SIGNING_KEY = "signing key"
    """Has the private keys that sign digests, and writes into the bucket."""
    HEADS = "heads"
    """Writes where the chain heads are kept, and into the bucket."""
    STATE = "state file"
    """Writes the auditor's state file."""
    DISK = "disk"
    """Writes the files of a local directory, without its storage key."""


@dataclass(frozen=True)
class Ask:
    """How the evidence is then validated; anything else is as it is by default."""

    heads: bool = True
    """Whether the auditor has heads."""
    pinned: bool = False
    """Whether the auditor pinned the keys before; else the API is asked."""
    state: bool = False
    """Whether the auditor has the state file of a run before, of the same time, so that only what is newer is read."""
    days_before: int = 0
    """So many days more than there are digests for are asked for; that they are not covered is then not asked."""


Tamper = Callable[[Scene], Expected]


@dataclass(frozen=True)
class Kind:
    """One kind. `tamper` changes a scene and returns exactly the findings that must come of it."""

    name: str
    description: str
    who: Who
    ask: Ask
    chains: tuple[str, ...]
    """The chains that say something, or might; the others must not."""
    tamper: Tamper


KINDS: list[Kind] = []
HARMLESS: list[Kind] = []
"""Changes that leave the evidence what it was: nobody may call them tampering."""


def kind(
    who: Who, ask: Ask = Ask(), chains: Iterable[str] = ("main",), among: list[Kind] = KINDS
) -> Callable[[Tamper], Tamper]:
    """Adds a function to the kinds; its docstring is the description."""

    def add(tamper: Tamper) -> Tamper:
        assert tamper.__doc__, f"{tamper.__name__} has no description"
        among.append(Kind(tamper.__name__, " ".join(tamper.__doc__.split()), who, ask, tuple(chains), tamper))
        return tamper

    return add


def lost(finding: str, *digests: str, of: Chain) -> Expected:
    """What is said of digests that prove nothing any more: and so their time is not covered."""
    return {(finding, key) for key in digests} | {("not-covered", of.folder)}


def planted(*log_files: str) -> Expected:
    """Log files that no digest names any more, though another trail's digests went on in their folder."""
    return {("planted", key) for key in log_files}
