"""`opentrail cat` and `opentrail keys export`: what an operator reads by hand."""

from __future__ import annotations

import base64
import gzip
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from opentrail_backends.object_store.port import ObjectStoreError
from opentrail_backends.state.port import StateStore
from opentrail_cli.composition import Parts
from opentrail_cli.errors import CommandFailed

_END_OF_TIME = 1 << 40


def read_object(parts: Parts, name: str) -> bytes:
    """The uncompressed bytes of a log file or digest: `s3://BUCKET/KEY`, or its path in the local directory.

    Raises CommandFailed.
    """
    bucket, key = _bucket_and_key(parts, name)
    try:
        return gzip.decompress(parts.object_store.get(bucket, key).body)
    except ObjectStoreError as error:
        raise CommandFailed(f"{name} cannot be read: {error}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CommandFailed(f"{name} is no gzip file: {error}") from error


def export_public_keys(state: StateStore, regions: tuple[str, ...]) -> dict[str, Any]:
    """All public keys of the regions as ListPublicKeys gives them, for `validate-logs --public-keys`."""
    keys = [key for region in regions for key in state.public_keys.between(region, 0, _END_OF_TIME)]
    return {
        "PublicKeyList": [
            {
                "Value": base64.b64encode(key.der).decode("ascii"),
                "ValidityStartTime": key.valid_from,
                "ValidityEndTime": key.valid_until,
                "Fingerprint": key.fingerprint,
                "Region": key.region,
            }
            for key in keys
        ]
    }


def _bucket_and_key(parts: Parts, name: str) -> tuple[str, str]:
    url = urlsplit(name)
    if url.scheme == "s3":
        return url.netloc, url.path.lstrip("/")
    root = Path(unquote(urlsplit(parts.settings.url_of("object_store")).path))
    try:
        bucket, *rest = Path(name).resolve().relative_to(root.resolve()).parts
    except ValueError:
        raise CommandFailed(f"{name} is neither s3://BUCKET/KEY nor a file below {root}.") from None
    return bucket, "/".join(rest)
