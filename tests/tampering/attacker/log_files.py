"""Log files: changed, cut, removed, exchanged, added. It takes no more than write access to the bucket."""

from __future__ import annotations

import gzip
import json
import zlib

from tests.tampering.attacker.kind import HARMLESS, Ask, Expected, Who, kind
from tests.tampering.attacker.scene import Scene, stamp

GIGABYTE = 1 << 30
DAY = 86_400
FORGED = json.dumps({"Records": [{"eventVersion": "1.11", "eventID": "forged", "eventName": "DeleteTrail"}]}).encode()


@kind(Who.STORAGE)
def log_byte_flipped(scene: Scene) -> Expected:
    """One bit of a log file's check value, as a bad disk or a clumsy hand would do."""
    key = scene.log(4)
    body = bytearray(scene.objects[key].body)
    body[-8] ^= 1
    scene.put(key, bytes(body))
    return {("malformed", key)}


@kind(Who.STORAGE)
def log_content_changed(scene: Scene) -> Expected:
    """Another name of an event, compressed anew."""
    key = scene.log(4)
    content = scene.content(key)
    scene.pack(key, content.replace(b'"eventName":"', b'"eventName":"X', 1))
    return {("hash-mismatch", key)}


@kind(Who.STORAGE)
def log_record_removed(scene: Scene) -> Expected:
    """One event is cut out; what is left is a good log file."""
    key = scene.log(4)
    document = scene.document(key)
    del document["Records"][0]
    scene.pack(key, json.dumps(document, separators=(",", ":")).encode())
    return {("hash-mismatch", key)}


@kind(Who.STORAGE)
def log_whitespace_changed(scene: Scene) -> Expected:
    """The same JSON with other spaces."""
    key = scene.log(4)
    scene.pack(key, json.dumps(scene.document(key), indent=1).encode())
    return {("hash-mismatch", key)}


@kind(Who.STORAGE)
def log_emptied(scene: Scene) -> Expected:
    """An object of no bytes."""
    key = scene.log(4)
    scene.put(key, b"")
    return {("truncated", key)}


@kind(Who.STORAGE)
def log_cut_in_half(scene: Scene) -> Expected:
    """The second half of the bytes is gone."""
    key = scene.log(4)
    body = scene.objects[key].body
    scene.put(key, body[: len(body) // 2])
    return {("truncated", key)}


@kind(Who.STORAGE)
def log_trailer_cut(scene: Scene) -> Expected:
    """The last 8 bytes, gzip's check value and length, are gone; the content is all there."""
    key = scene.log(4)
    scene.put(key, scene.objects[key].body[:-8])
    return {("truncated", key)}


@kind(Who.STORAGE)
def log_bytes_appended(scene: Scene) -> Expected:
    """Bytes after the gzip member."""
    key = scene.log(4)
    scene.put(key, scene.objects[key].body + b"more")
    return {("trailing-data", key)}


@kind(Who.STORAGE)
def log_second_member(scene: Scene) -> Expected:
    """Another gzip member with forged events: gunzip shows both, other readers the first."""
    key = scene.log(4)
    scene.put(key, scene.objects[key].body + gzip.compress(FORGED))
    return {("several-members", key)}


@kind(Who.STORAGE)
def log_bomb(scene: Scene) -> Expected:
    """A megabyte that inflates to more than a gigabyte."""
    key = scene.log(4)
    scene.put(key, bomb(GIGABYTE + (64 << 20)))
    return {("decompression-bomb", key)}


@kind(Who.STORAGE)
def log_not_compressed(scene: Scene) -> Expected:
    """The same content, but as it is."""
    key = scene.log(4)
    scene.put(key, scene.content(key))
    return {("malformed", key)}


@kind(Who.STORAGE)
def log_removed(scene: Scene) -> Expected:
    """A log file is deleted."""
    key = scene.log(4)
    scene.remove(key)
    return {("not-found", key)}


@kind(Who.STORAGE)
def logs_swapped(scene: Scene) -> Expected:
    """Two log files of one digest exchange their contents."""
    one, other = scene.log(4), scene.log(4, 2)
    scene.swap(one, other)
    return {("hash-mismatch", one), ("hash-mismatch", other)}


@kind(Who.STORAGE, chains=("main", "account"))
def logs_swapped_between_accounts(scene: Scene) -> Expected:
    """A log file and one of another account exchange their contents."""
    one, other = scene.log(4), scene.log(4, chain=scene.account)
    scene.swap(one, other)
    return {("hash-mismatch", one), ("hash-mismatch", other)}


@kind(Who.STORAGE)
def older_log_replayed(scene: Scene) -> Expected:
    """An older log file's content under a newer one's name."""
    key = scene.log(5)
    scene.objects[key] = scene.objects[scene.log(2)]
    return {("hash-mismatch", key)}


@kind(Who.STORAGE)
def log_renamed(scene: Scene) -> Expected:
    """A log file lies under another name."""
    key = scene.log(4)
    to = key.replace(".json.gz", "X.json.gz")
    scene.move(key, to)
    return {("not-found", key), ("planted", to)}


@kind(Who.STORAGE, chains=("main", "account"))
def log_moved_to_another_account(scene: Scene) -> Expected:
    """A log file lies in another account's folder, under a name of that account."""
    key = scene.log(4)
    to = scene.account.log_key(scene.account.start, "Moved000000000Aa")
    scene.move(key, to)
    return {("not-found", key), ("planted", to)}


@kind(Who.STORAGE)
def log_copied(scene: Scene) -> Expected:
    """A copy of a log file under a name of the minute before: whoever reads all files sees its events twice."""
    key = scene.log(4)
    to = scene.main.log_key(scene.main.start - 60, "Copied00000000Aa")
    scene.put(to, scene.objects[key].body)
    return {("planted", to)}


@kind(Who.STORAGE, Ask(days_before=1))
def log_copied_to_another_day(scene: Scene) -> Expected:
    """A copy of a log file in the folder of the day before."""
    to = scene.main.log_key(scene.main.start - DAY, "Copied00000000Aa")
    scene.put(to, scene.objects[scene.log(4)].body)
    return {("planted", to)}


@kind(Who.STORAGE)
def log_planted(scene: Scene) -> Expected:
    """A log file of forged events that no digest names."""
    key = scene.main.log_key(scene.main.start, "Forged00000000Aa")
    scene.put(key, gzip.compress(FORGED))
    return {("planted", key)}


@kind(Who.STORAGE)
def insight_planted(scene: Scene) -> Expected:
    """A forged file of Insights events, in their own folder."""
    key = scene.main.log_key(scene.main.start, "Forged00000000Aa", "CloudTrail-Insight")
    scene.put(key, gzip.compress(FORGED))
    return {("planted", key)}


@kind(Who.STORAGE)
def stray_among_logs(scene: Scene) -> Expected:
    """Forged events under a name that no log file has, in a folder where Athena reads every object."""
    folder = scene.log(4).rpartition("/")[0]
    key = f"{folder}/notes {stamp(scene.main.start, '%Y')} (1).json"
    scene.put(key, FORGED)
    return {("planted", key)}


@kind(Who.STORAGE, among=HARMLESS)
def log_recompressed(scene: Scene) -> Expected:
    """The same content, compressed anew: the uncompressed bytes are the evidence."""
    key = scene.log(4)
    scene.put(key, gzip.compress(scene.content(key), compresslevel=1, mtime=1))
    return set()


def bomb(size: int) -> bytes:
    """A gzip member that inflates to `size` zeros or a few more, made without deflating them all."""
    piece = bytes(1 << 24)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    compressor.compress(b"")
    block = compressor.compress(piece) + compressor.flush(zlib.Z_FULL_FLUSH)
    count, check = size // len(piece), 0
    for _ in range(count):
        check = zlib.crc32(piece, check)
    length = (count * len(piece)) & 0xFFFFFFFF
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return header + block * count + b"\x03\x00" + check.to_bytes(4, "little") + length.to_bytes(4, "little")
