"""Names the objects of a scene in words that are the same for each scene: the names themselves have times in them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.tampering.attacker.kind import STATE_FILE
from tests.tampering.attacker.scene import Scene

_WHERE = {name: f" of the other {name}" for name in ("region", "trail", "account")} | {"main": ""}
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_FINGERPRINT = re.compile(r"\b[0-9a-f]{32}\b")


class Names:
    """The names in a scene that nobody has touched yet."""

    def __init__(self, scene: Scene) -> None:
        self._names: dict[str, str] = {}
        self._groups: list[tuple[str, frozenset[str]]] = []
        for chain in scene.chains:
            where = _WHERE[chain.name]
            self._names.setdefault(chain.folder, f"the chain{where}")
            logs = [[entry["s3Object"] for entry in scene.document(digest)["logFiles"]] for digest in chain.digests]
            self._add(f"all digests{where}", [chain.digests])
            self._add("digest{}" + where, [[digest] for digest in chain.digests])
            self._add("all log files of digest{}" + where, logs)
            for number, digest in enumerate(chain.digests, start=1):
                self._names[digest] = f"digest {number}{where}"
                names = {key: f"log file {n} of digest {number}{where}" for n, key in enumerate(logs[number - 1], 1)}
                self._names.update(names)

    def _add(self, form: str, members: Iterable[Iterable[str]]) -> None:
        """Names for what several numbers have in common, the longest row first: `digests 2 to 4`."""
        sets = [frozenset(group) for group in members]
        if "{}" not in form:
            self._groups += [(form, group) for group in sets]
            return
        for length in range(len(sets), 1, -1):
            for start in range(len(sets) - length + 1):
                name = form.format(f"s {start + 1} to {start + length}")
                self._groups.append((name, frozenset().union(*sets[start : start + length])))

    def of(self, key: str) -> str:
        """What an object or a chain's folder is called."""
        if key in self._names:
            return self._names[key]
        if key == STATE_FILE:
            return key
        folder = next((folder for folder in ("CloudTrail-Digest", "CloudTrail") if f"/{folder}" in key), "")
        return {"CloudTrail-Digest": "the new digest", "CloudTrail": "the new log file"}.get(folder, "the new object")

    def of_all(self, keys: Iterable[str]) -> str:
        """Several objects; those of a row together."""
        left, found = set(keys), []
        for name, members in self._groups:
            if members and left >= members:
                left -= members
                found.append(name)
        return ", ".join([*found, *sorted(map(self.of, left))])

    def in_text(self, text: str) -> str:
        """A line of the AWS CLI without what differs from scene to scene."""
        return _FINGERPRINT.sub("…", _TIME.sub("…", text))
