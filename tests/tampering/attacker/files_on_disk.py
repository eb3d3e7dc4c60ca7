"""The files of a local directory: envelopes changed by somebody who can write them but has not the storage key."""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.tampering.attacker.kind import Ask, Expected, Kind, Who, lost
from tests.tampering.attacker.log_files import FORGED
from tests.tampering.attacker.places import MAGIC, LocalPlace, envelope_header, split_envelope
from tests.tampering.attacker.scene import Scene


@dataclass(frozen=True)
class DiskKind(Kind):
    """A kind that works on files; what its `tamper` of scenes would do is nothing."""

    on_disk: Callable[[Scene, LocalPlace], Expected]


DISK_KINDS: list[DiskKind] = []


def disk_kind(on_disk: Callable[[Scene, LocalPlace], Expected]) -> Callable[[Scene, LocalPlace], Expected]:
    """Adds a function to the kinds; its docstring is the description."""
    assert on_disk.__doc__, f"{on_disk.__name__} has no description"
    description = " ".join(on_disk.__doc__.split())
    kind = DiskKind(on_disk.__name__, description, Who.DISK, Ask(), ("main",), lambda _: set(), on_disk)
    DISK_KINDS.append(kind)
    return on_disk


@disk_kind
def envelope_byte_flipped(scene: Scene, place: LocalPlace) -> Expected:
    """One bit of an encrypted log file."""
    key = scene.log(4)
    place.change_file(key, lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
    return {("malformed", key)}


@disk_kind
def envelope_cut_off(scene: Scene, place: LocalPlace) -> Expected:
    """The last bytes of an encrypted log file are gone."""
    key = scene.log(4)
    place.change_file(key, lambda data: data[:-20])
    return {("malformed", key)}


@disk_kind
def envelope_without_lines(scene: Scene, place: LocalPlace) -> Expected:
    """The first line of an encrypted log file is there, the second is not."""
    key = scene.log(4)
    place.change_file(key, lambda data: MAGIC + split_envelope(data)[1])
    return {("malformed", key)}


@disk_kind
def envelope_metadata_changed(scene: Scene, place: LocalPlace) -> Expected:
    """The signature in a digest's second line is that of another digest: the line is bound to the bytes."""
    key = scene.main.digests[3]
    signature = scene.objects[scene.main.digests[2]].metadata["signature"]
    place.change_file(key, lambda data: _with_fields(data, metadata={"signature": signature}))
    return lost("malformed", key, of=scene.main)


@disk_kind
def envelope_key_of_another(scene: Scene, place: LocalPlace) -> Expected:
    """A log file has the wrapped key of another: it is bound to its place."""
    key = scene.log(4)
    other, _ = split_envelope(place.path(scene.log(4, 2)).read_bytes())
    wrapped = json.loads(other[len(MAGIC) :])["encryption"]["wrapped_key"]
    place.change_file(key, lambda data: _with_fields(data, encryption={"wrapped_key": wrapped}))
    return {("malformed", key)}


@disk_kind
def envelope_key_of_ones_own(scene: Scene, place: LocalPlace) -> Expected:
    """A digest has a wrapped key of random bytes."""
    key = scene.main.digests[3]
    wrapped = base64.b64encode(bytes(range(60))).decode()
    place.change_file(key, lambda data: _with_fields(data, encryption={"wrapped_key": wrapped}))
    return lost("malformed", key, of=scene.main)


@disk_kind
def envelopes_swapped(scene: Scene, place: LocalPlace) -> Expected:
    """Two encrypted log files exchange their names."""
    one, other = scene.log(4), scene.log(4, 2)
    first, second = place.path(one).read_bytes(), place.path(other).read_bytes()
    place.change_file(one, lambda _: second)
    place.change_file(other, lambda _: first)
    return {("hash-mismatch", one), ("hash-mismatch", other)}


@disk_kind
def envelope_replaced_by_a_plain_one(scene: Scene, place: LocalPlace) -> Expected:
    """A log file of forged events in an envelope that says that it is not encrypted."""
    key = scene.log(4)
    body = gzip.compress(FORGED)
    place.change_file(key, lambda _: envelope_header(place.bucket, key, {}, None) + body)
    return {("hash-mismatch", key)}


@disk_kind
def envelope_replaced_by_a_plain_file(scene: Scene, place: LocalPlace) -> Expected:
    """A digest without an envelope, with its metadata in a file beside it, as in a copy; a log file is left out."""
    key = scene.main.digests[3]
    document = scene.document(key)
    document["logFiles"] = document["logFiles"][1:]
    metadata = json.dumps(scene.objects[key].metadata).encode()
    place.change_file(key, lambda _: gzip.compress(json.dumps(document).encode()))
    place.write(f"{key}.metadata.json", metadata, scene.objects[key].modified)
    return lost("bad-signature", key, of=scene.main)


@disk_kind
def metadata_file_of_another(scene: Scene, place: LocalPlace) -> Expected:
    """A digest lies there as in a plain copy, and the file of metadata beside it has another digest's signature."""
    key = scene.main.digests[3]
    place.change_file(key, lambda _: scene.objects[key].body)
    metadata = json.dumps(scene.objects[scene.main.digests[2]].metadata).encode()
    place.write(f"{key}.metadata.json", metadata, scene.objects[key].modified)
    return lost("bad-signature", key, of=scene.main)


@disk_kind
def metadata_file_spoiled(scene: Scene, place: LocalPlace) -> Expected:
    """A digest lies there as in a plain copy, and the file of metadata beside it is no JSON."""
    key = scene.main.digests[3]
    place.change_file(key, lambda _: scene.objects[key].body)
    place.write(f"{key}.metadata.json", b"signature=00", scene.objects[key].modified)
    return lost("malformed", key, of=scene.main)


@disk_kind
def file_replaced_by_a_folder(scene: Scene, place: LocalPlace) -> Expected:
    """A folder lies where a log file was."""
    key = scene.log(4)
    place.path(key).unlink()
    place.path(key).mkdir()
    return {("not-found", key)}


@disk_kind
def file_replaced_by_a_pipe(scene: Scene, place: LocalPlace) -> Expected:
    """A named pipe lies where a log file was: who opens it waits for ever."""
    key = scene.log(4)
    place.path(key).unlink()
    os.mkfifo(place.path(key))
    return {("not-found", key)}


@disk_kind
def file_replaced_by_a_link_to_nowhere(scene: Scene, place: LocalPlace) -> Expected:
    """A symbolic link that leads nowhere lies where a log file was."""
    key = scene.log(4)
    place.path(key).unlink()
    place.path(key).symlink_to("nowhere")
    return {("not-found", key)}


def _with_fields(data: bytes, **changes: dict[str, str]) -> bytes:
    header, body = split_envelope(data)
    fields: dict[str, Any] = json.loads(header[len(MAGIC) :])
    for name, change in changes.items():
        fields[name] = fields[name] | change
    return MAGIC + json.dumps(fields).encode() + b"\n" + body
