"""One GET of an object by libcurl: the request, signed with AWS Signature Version 4, and what its answer means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import pycurl

from opentrail_validator.readers.port import MAX_BYTES, CouldNotRead, ObjectDamaged, Outcome, StoredObject
from opentrail_validator.readers.s3_answers import LOOKED_AT, meaning_of_answer

_METADATA: Final = b"x-amz-meta-"
_LENGTH: Final = b"content-length:"
_OK: Final = 200
_MAY_PASS: Final = frozenset({429, 500, 502, 503, 504})
_BUFFER: Final = 256 * 1024
_NEVER_PASSES: Final = frozenset(
    {
        pycurl.E_URL_MALFORMAT,
        pycurl.E_UNSUPPORTED_PROTOCOL,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
    }
)


class Request(NamedTuple):
    """What is sent, and to whom."""

    url: str
    host: str
    region: str
    access_key: str
    secret_key: str
    token: str | None
    certificates: str
    patience: int
    """Seconds for which a server may say nothing."""


class Attempt:
    """A handle of libcurl, used again and again, and what it has received."""

    def __init__(self) -> None:
        self.handle = pycurl.Curl()
        self.found_no_room = False
        """Whether it ended because there was no room for the body."""
        self.found_no_connection = False
        """Whether it was sent only on connections that had ended before. Libcurl gives up after six of those.

        It is no reason to doubt the server: each of these connections has carried an answer before.
        """
        self._head: list[bytes] = []
        self._body: list[bytes] = []
        self._length: int | None = None
        """Bytes that the body is to have, once some of it came."""
        self._left = 0
        """Bytes that may still come."""
        self._has_room: Callable[[int], bool] = _nowhere
        self._for: Request | None = None
        handle = self.handle
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.BUFFERSIZE, _BUFFER)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)  # as S3 speaks it
        handle.setopt(pycurl.MAXFILESIZE_LARGE, MAX_BYTES)
        handle.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        handle.setopt(pycurl.USERAGENT, "opentrail-validator")
        handle.setopt(pycurl.WRITEFUNCTION, self._receive)

    def prepare(self, request: Request, has_room: Callable[[int], bool]) -> None:
        """Makes it ready to be sent. `has_room`: whether an object of so many bytes may be received now."""
        handle, before = self.handle, self._for
        self._head, self._body = [], []
        self._has_room, self.found_no_room = has_room, False
        handle.setopt(pycurl.URL, request.url)
        handle.setopt(pycurl.HEADERFUNCTION, self._head.append)
        if before is None or before[1:] != request[1:]:
            handle.setopt(pycurl.AWS_SIGV4, f"aws:amz:{request.region}:s3")
            handle.setopt(pycurl.USERNAME, request.access_key)
            handle.setopt(pycurl.PASSWORD, request.secret_key)
            token = [f"x-amz-security-token: {request.token}"] if request.token else []
            handle.setopt(pycurl.HTTPHEADER, token)
            handle.setopt(pycurl.CAINFO, request.certificates)
            handle.setopt(pycurl.CONNECTTIMEOUT, request.patience)
            handle.setopt(pycurl.LOW_SPEED_TIME, request.patience)
        self._for = request

    def outcome(self, code: int, message: str) -> tuple[Outcome, bool]:
        """What became of it, and whether it may be better another time. `code`: libcurl's; 0: the answer is whole.

        Nothing of it is kept: the attempt may wait long for what it is used for next.
        """
        try:
            return self._outcome(code, message)
        finally:
            self._head, self._body, self._has_room = [], [], _nowhere

    def _outcome(self, code: int, message: str) -> tuple[Outcome, bool]:
        assert self._for is not None
        host = self._for.host
        status: int = self.handle.getinfo(pycurl.RESPONSE_CODE)
        self.found_no_connection = (
            code == pycurl.E_SEND_ERROR and not self._head and not self.handle.getinfo(pycurl.NUM_CONNECTS)
        )
        if code == pycurl.E_FILESIZE_EXCEEDED and status == _OK:
            return ObjectDamaged("it has more bytes than any file of evidence"), False
        if code and code != pycurl.E_WRITE_ERROR:
            return CouldNotRead(f"no whole answer from {host}: {message}"), code not in _NEVER_PASSES
        body = b"".join(self._body)
        if status != _OK:
            return meaning_of_answer(status, body, host, self._for.region), status in _MAY_PASS
        length = self._length if body else _length(self._head)
        if length is None:
            return CouldNotRead(f"{host} answered without Content-Length"), False
        if length != len(body):
            return CouldNotRead(f"no whole answer from {host}: it is not of the length that it says"), True
        return StoredObject(body, _metadata(self._head)), False

    def _receive(self, data: bytes) -> int | None:
        """Keeps a piece of the body. What is not the length of the piece ends the transfer (E_WRITE_ERROR)."""
        if not self._body:
            self._length = _length(self._head)
            self._left = LOOKED_AT if self._length is None else self._length
            self.found_no_room = not self._has_room(self._left)
        self._left -= len(data)
        if self._left < 0 or self.found_no_room:
            return -1
        self._body.append(data)
        return None


def _nowhere(_size: int) -> bool:
    return False


def _length(head: list[bytes]) -> int | None:
    """How long the body is to be: without that, nobody can tell a whole one from one that was cut off.

    The last line counts: a proxy's answer may stand before that of the server.
    """
    for line in reversed(head):
        if line[: len(_LENGTH)].lower() == _LENGTH:
            return int(line[len(_LENGTH) :])
    return None


def _metadata(head: list[bytes]) -> dict[str, str]:
    metadata = {}
    for line in head:
        if line[: len(_METADATA)].lower() == _METADATA:
            name, _, value = line.decode("utf-8", "replace").partition(":")
            metadata[name[len(_METADATA) :].lower()] = value.strip()
    return metadata
