"""What the S3 adapter is told: `s3://?endpoint=…&region=…&sse=aes256|none&allow_http=true&kms_key=ARN=NAME&…`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from opentrail_backends.endpoints import check_endpoint, is_loopback

FORM = (
    "s3://?endpoint=https://HOST[:PORT]&region=REGION&sse=aes256|none&allow_http=true|false"
    "&kms_key=ARN=NAME&bucket_owner=BUCKET=ACCOUNT"
)
_SINGLE = {"endpoint", "region", "sse", "allow_http"}
_REPEATED = {"kms_key", "bucket_owner"}


class Credentials(NamedTuple):
    """An access key. Where none is given, the usual AWS places are asked (environment, profile, instance)."""

    access_key: str
    secret_key: str
    session_token: str | None = None


@dataclass(frozen=True, slots=True)
class S3Settings:
    """An S3 endpoint and how objects are kept there.

    Raises ValueError, with a sentence that says what is allowed, for values that do not go together.
    """

    endpoint: str | None = None
    """None: AWS."""
    region: str | None = None
    """What requests are signed for; None: the AWS profile's, else us-east-1. S3 may name another for a bucket."""
    sse: Literal["aes256", "none"] = "aes256"
    """For puts without a KMS key: SSE-S3, or no header for a server that knows none."""
    allow_http: bool = False
    """Lets an endpoint be plain http that is not on this machine."""
    kms_keys: Mapping[str, str] = field(default_factory=dict)
    """The name by which the store knows a key, by the ARN that a trail shows. A key not listed is sent as it is."""
    bucket_owners: Mapping[str, str] = field(default_factory=dict)
    """The account that must own a bucket (`x-amz-expected-bucket-owner`), by bucket."""
    credentials: Credentials | None = None
    time_limit: float = 60.0
    """Seconds that a put may live, retries included (design §3: a put that is silent for 60 s is parked)."""

    def __post_init__(self) -> None:
        if self.endpoint is not None:
            check_endpoint(self.endpoint, allow_http=self.allow_http)

    @property
    def unsigned_payload(self) -> bool:
        """Whether bodies may go without a signed hash: only where nobody between can change them."""
        return self.endpoint is None or self.endpoint.startswith("https:") or is_loopback(self.endpoint)


def parse_s3_url(url: str, environment: Mapping[str, str], credentials: Credentials | None = None) -> S3Settings:
    """Reads an `s3://?…` URL; endpoint and region not given there are those of AWS's environment variables.

    Raises ValueError with a sentence that says what is allowed.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3" or parts.netloc or parts.path.strip("/") or parts.fragment:
        raise ValueError(f"{url!r} names a bucket or path; the store is given as {FORM}, buckets come from the trails")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    unknown = sorted({name for name, _ in pairs} - _SINGLE - _REPEATED)
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]!r} in {url!r}; allowed is {FORM}")
    single = {name: value for name, value in pairs if name in _SINGLE}
    if len(single) != sum(name in _SINGLE for name, _ in pairs):
        raise ValueError(f"a setting is given twice in {url!r}; allowed is {FORM}")
    sse = single.get("sse", "aes256")
    if sse not in {"aes256", "none"}:
        raise ValueError(f"sse={sse!r} is neither aes256 nor none")
    allow_http = single.get("allow_http", "false")
    if allow_http not in {"true", "false"}:
        raise ValueError(f"allow_http={allow_http!r} is neither true nor false")
    return S3Settings(
        endpoint=single.get("endpoint")
        or environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or None,
        region=single.get("region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or None,
        sse="none" if sse == "none" else "aes256",
        allow_http=allow_http == "true",
        kms_keys=_mapping(pairs, "kms_key"),
        bucket_owners=_mapping(pairs, "bucket_owner"),
        credentials=credentials,
    )


def _mapping(pairs: list[tuple[str, str]], setting: str) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for name, value in pairs:
        if name == setting:
            left, equals, right = value.partition("=")
            if not (left and equals and right):
                raise ValueError(f"{setting}={value!r} is not of the form LEFT=RIGHT; allowed is {FORM}")
            mapping[left] = right
    return mapping
