"""One GET of an object by libcurl: the request, signed with AWS Signature Version 4, and what its answer means."""

from __future__ import annotations

from typing import Final, NamedTuple

import pycurl

from opentrail_validator.readers.port import CouldNotRead, ObjectDamaged, Outcome, StoredObject
from opentrail_validator.readers.s3_answers import meaning_of_answer
from opentrail_validator.readers.threads import MAX_BYTES

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
        self._head: list[bytes] = []
        self._body: list[bytes] = []
        self._for: Request | None = None
        handle = self.handle
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.BUFFERSIZE, _BUFFER)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.MAXFILESIZE_LARGE, MAX_BYTES)
        handle.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        handle.setopt(pycurl.USERAGENT, "opentrail-validator")

    def prepare(self, request: Request) -> None:
        """Makes it ready to be sent."""
        handle, before = self.handle, self._for
        self._head, self._body = [], []
        handle.setopt(pycurl.URL, request.url)
        handle.setopt(pycurl.HEADERFUNCTION, self._head.append)
        handle.setopt(pycurl.WRITEFUNCTION, self._body.append)
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

    def outcome(self, request: Request, code: int, message: str) -> tuple[Outcome, bool]:
        """What became of it, and whether it may be better another time. `code`: libcurl's; 0: the answer is whole."""
        if code == pycurl.E_FILESIZE_EXCEEDED:
            return ObjectDamaged("it has more bytes than any file of evidence"), False
        if code:
            error = CouldNotRead(f"no whole answer from {request.host}: {message}")
            return error, code not in _NEVER_PASSES
        body = b"".join(self._body)
        status: int = self.handle.getinfo(pycurl.RESPONSE_CODE)
        if status != _OK:
            return meaning_of_answer(status, body, request.host, request.region), status in _MAY_PASS
        head = self._head
        if not any(line[: len(_LENGTH)].lower() == _LENGTH for line in head):
            return CouldNotRead(f"{request.host} answered without Content-Length"), False
        return StoredObject(body, _metadata(head)), False


def _metadata(head: list[bytes]) -> dict[str, str]:
    metadata = {}
    for line in head:
        if line[: len(_METADATA)].lower() == _METADATA:
            name, _, value = line.decode("utf-8", "replace").partition(":")
            metadata[name[len(_METADATA) :].lower()] = value.strip()
    return metadata
