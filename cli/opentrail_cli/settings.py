"""Settings: read once at the start from a TOML file and the environment, all mistakes told together.

A setting `window_seconds` is `window_seconds = 60` in the file and `OPENTRAIL_WINDOW_SECONDS=60` in the
environment, which wins. Every setting has a default that suits one machine (`opentrail up`).
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from opentrail_cli.errors import Mistakes
from opentrail_cli.validator_settings import ValidatorSettings
from opentrail_control_plane.allowed_buckets import AllowedBuckets

PREFIX = "OPENTRAIL_"
OTHER_VARIABLES = frozenset({"OPENTRAIL_CONFIG", "OPENTRAIL_TOKEN", "OPENTRAIL_PRODUCER"})
"""Variables of single commands, told in their `--help`."""

STANDARD_REGIONS = (
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
    "us-east-1", "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip
"""The regions that every AWS account has from the start; others are added by name."""

_SCHEMES = {
    "event_bus": ("embedded:///", "kafka://"),
    "object_store": ("file:///", "s3://"),
    "state": ("sqlite:///", "postgresql+psycopg://"),
    "keys": ("file:///", "awskms:"),
    "spool": ("file:///", "s3://"),
    "storage_keys": ("awskms:",),
    "notifications": ("sns://",),
}
MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE
DAY = 24 * 3600.0

Seconds = Annotated[float, Field(gt=0)]
Bytes = Annotated[int, Field(gt=0)]


class Settings(ValidatorSettings):
    """What an operator can set. Sizes in bytes, times in seconds, addresses as `host:port`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    data_directory: Path = Path("opentrail-data")
    """Where everything lies that is not placed elsewhere by a URL below."""
    event_bus: str = ""
    """`embedded:///FILE` or `kafka://HOST:PORT,…`. Default: a file in the data directory."""
    object_store: str = ""
    """`file:///DIRECTORY` (a bucket is a folder in it) or `s3://`. Default: `buckets` in the data directory."""
    state: str = ""
    """`sqlite:///FILE` or `postgresql+psycopg://…`. Default: a file in the data directory."""
    keys: str = ""
    """`file:///DIRECTORY` or `awskms:…`. Default: `keys` in the data directory."""
    spool: str = ""
    """`file:///DIRECTORY` or `s3://…`: what cannot be delivered now. Default: `spool` in the data directory."""
    storage_keys: str = ""
    """`awskms:?…`: the KMS whose keys trails may name. Default: AWS KMS beside AWS S3, else the keys that the object
    store's URL lists."""
    notifications: str = ""
    """`sns://?…`: where trails' topics are. Default: nowhere, no trail can have one."""
    allowed_buckets: tuple[str, ...] = ()
    """`ACCOUNT:BUCKET`, with `*` for any characters: buckets that accounts may use whatever its policy says."""
    secret_key_file: Path | None = None
    """32 random bytes that encrypt access keys' secrets at rest; made if missing. Default: in the data directory."""

    regions: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,}(-[a-z]+)+-\d{1,2}$")], ...] = STANDARD_REGIONS
    """Regions whose events are taken: a comma-separated list in the environment."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Partitions of a region's topic when it is made; later changes have no effect."""
    declared: Path | None = None
    """A file of accounts, organizations, tokens and trails that is applied at each start (`opentrail apply`)."""

    producer_address: str = "127.0.0.1:7317"
    control_plane_address: str = "127.0.0.1:7318"
    metrics_address: str | None = None
    """Prometheus metrics are shown here; not at all if not set."""
    tls_certificate_file: Path | None = None
    tls_private_key_file: Path | None = None
    tls_client_authorities_file: Path | None = None
    """With it, producers' clients must show a certificate of one of these authorities (mutual TLS)."""
    plaintext_allowed: bool = False
    """Allows addresses other than loopback without TLS, for a proxy in front that ends TLS."""
    share_port: bool = False
    """Whether several processes of the producer, or of the control plane, may listen on one port."""

    events_per_second: Seconds = 10_000.0
    bytes_per_second: Seconds = 20.0 * MEBIBYTE
    """Limits of an account that has none of its own."""
    batch_events: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    batch_bytes: Bytes = 16 * MEBIBYTE
    """The largest batch that the producer takes."""

    window_seconds: Seconds = 300.0
    """A window is closed, and its log files delivered, at this age."""
    window_bytes: Bytes = 128 * MEBIBYTE
    file_bytes: Annotated[int, Field(ge=MEBIBYTE, le=50_000_000)] = 45_000_000
    """A log file is at most this large uncompressed (CloudTrail: 50 MB)."""
    record_proofs: bool = True
    """Whether digests hold a Merkle root of each log file's records, for proofs of single ones; about 2 µs an event."""
    memory_bytes: Annotated[int, Field(ge=16 * MEBIBYTE)] = 512 * MEBIBYTE
    """Bound on what delivery holds in memory."""
    spool_bytes: Bytes = 100 * GIBIBYTE
    """Log files that their bucket does not take may lie in the spool up to this size; then their partitions wait."""
    spool_share_bytes: Bytes = 10 * GIBIBYTE
    """How much of it an account or an organization may use; then its producers are told to wait."""
    parked_expire_seconds: Annotated[float, Field(ge=3_600)] = 30 * DAY
    """A log file whose bucket has failed for so long is not tried any more; it stays in the spool."""
    trail_bytes_per_second: Bytes | None = None
    """Limit on the compressed log files of one trail that a delivery process puts; what is over waits in the spool."""
    bucket_requests_per_second: Seconds | None = None
    """Limit on the log files that a delivery process puts into one bucket; what is over waits in the spool."""
    kept_seconds: Annotated[float, Field(ge=35 * DAY)] = 35 * DAY
    """How long rows of the state store are kept that only tell of the past: not shorter than the bus keeps messages."""
    digest_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3_600
    """How often a chain gets a digest. Shorter than an hour only to try things out."""
    heads_bucket: str | None = None
    """`BUCKET` or `BUCKET/PREFIX` in the object store: a second place for the signed heads of digest chains."""
    drain_seconds: Seconds = 30.0
    """How long a stop waits for what is under way."""

    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("regions", "allowed_buckets", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("event_bus", "object_store", "state", "keys", "spool", "storage_keys", "notifications")
    @classmethod
    def _known_scheme(cls, value: str, info: Any) -> str:
        schemes = _SCHEMES[info.field_name]
        if value and not value.startswith(schemes):
            raise ValueError(f"must begin with {' or '.join(schemes)}")
        return value

    @field_validator("allowed_buckets")
    @classmethod
    def _account_and_bucket(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        AllowedBuckets.parse(value)
        return value

    @field_validator("heads_bucket")
    @classmethod
    def _bucket_and_prefix(cls, value: str | None) -> str | None:
        if value is not None and not all(value.split("/")):
            raise ValueError("must be BUCKET or BUCKET/PREFIX")
        return value

    @field_validator("producer_address", "control_plane_address", "validator_address", "metrics_address")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None:
            split_address(value)
        return value

    @field_validator("regions")
    @classmethod
    def _at_least_one(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("must name at least one region")
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        mistakes = []
        if (self.tls_certificate_file is None) != (self.tls_private_key_file is None):
            mistakes.append("tls_certificate_file and tls_private_key_file are given together or not at all")
        if self.tls_client_authorities_file is not None and self.tls_certificate_file is None:
            mistakes.append("tls_client_authorities_file needs tls_certificate_file and tls_private_key_file")
        if self.tls_certificate_file is None and not self.plaintext_allowed:
            mistakes += [
                f"{name}: {getattr(self, name)} without TLS needs plaintext_allowed (if a proxy in front ends TLS)"
                for name in ("producer_address", "control_plane_address", "validator_address")
                if not _is_loopback(getattr(self, name))
            ]
        if self.file_bytes > self.window_bytes:
            mistakes.append("file_bytes must not be larger than window_bytes")
        if self.window_bytes > self.memory_bytes:
            mistakes.append("window_bytes must not be larger than memory_bytes")
        if (self.validator_oldest_seconds or self.validator_lookback_seconds) < self.validator_lookback_seconds:
            mistakes.append("validator_oldest_seconds must not be below validator_lookback_seconds")
        if self.spool_share_bytes > self.spool_bytes:
            mistakes.append("spool_share_bytes must not be larger than spool_bytes")
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    def url_of(self, what: Literal["event_bus", "object_store", "state", "keys", "spool"]) -> str:
        """The URL of a part; the default lies in the data directory."""
        given: str = getattr(self, what)
        if given:
            return given
        directory = self.data_directory.resolve()
        quoted = quote(str(directory))
        return {
            "event_bus": f"embedded://{quoted}/event-bus.db",
            "object_store": f"file://{quoted}/buckets",
            "state": f"sqlite:///{directory}/state.db",
            "keys": f"file://{quoted}/keys",
            "spool": f"file://{quoted}/spool",
        }[what]


def read_settings(config_file: Path | None, environment: Mapping[str, str] = os.environ, **given: Any) -> Settings:
    """The settings of file and environment; `given` (a command's options) wins over both, where it is not None.

    Raises Mistakes with everything that is wrong.
    """
    from_file, mistakes = _read_file(config_file)
    from_environment = {
        name: value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name not in OTHER_VARIABLES and not name.startswith(f"{PREFIX}TEST_")
    }
    unknown = [name for name in from_environment if name.removeprefix(PREFIX).lower() not in Settings.model_fields]
    mistakes += [f"{name}: there is no such setting" for name in sorted(unknown)]
    named = {
        name.removeprefix(PREFIX).lower(): value for name, value in from_environment.items() if name not in unknown
    }
    values = {**from_file, **named, **{name: value for name, value in given.items() if value is not None}}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        places = {**dict.fromkeys(from_file, str(config_file)), **dict.fromkeys(named, "environment")}
        raise Mistakes("The settings cannot be used:", mistakes + _sentences(error, places)) from None
    if mistakes:
        raise Mistakes("The settings cannot be used:", mistakes)
    return settings


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[ipv6]:port`. Raises ValueError."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65_535:  # noqa: PLR2004 (the last port)
        raise ValueError("must be an address such as 127.0.0.1:7317 or [::1]:7317")
    return host, int(port)


def _is_loopback(address: str) -> bool:
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_file(path: Path | None) -> tuple[dict[str, Any], list[str]]:
    if path is None:
        return {}, []
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), []
    except OSError as error:
        return {}, [f"{path} cannot be read: {error.strerror}"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [f"{path} is not TOML: {error}"]


def _sentences(error: ValidationError, places: Mapping[str, str]) -> list[str]:
    sentences = []
    for detail in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        if detail["type"] == "extra_forbidden":
            message = "there is no such setting"
        place = places.get(str(detail["loc"][0])) if detail["loc"] else None
        named = f"{PREFIX}{name.upper()}" if place == "environment" else name
        where = f"{named} (in {place})" if place not in {None, "environment"} else named
        sentences += [f"{where}: {message}"] if where else message.split("\n")
    return sentences
