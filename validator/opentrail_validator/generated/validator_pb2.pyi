from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Change(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_UNSPECIFIED: _ClassVar[Change]
    CHANGE_OPEN: _ClassVar[Change]
    CHANGE_OPENED: _ClassVar[Change]
    CHANGE_REPAIRED: _ClassVar[Change]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_VALID: _ClassVar[Verdict]
    VERDICT_INVALID: _ClassVar[Verdict]
    VERDICT_UNCHECKED: _ClassVar[Verdict]
    VERDICT_NOTE: _ClassVar[Verdict]

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_CRITICAL: _ClassVar[Severity]
    SEVERITY_MAJOR: _ClassVar[Severity]
    SEVERITY_MINOR: _ClassVar[Severity]
    SEVERITY_NONE: _ClassVar[Severity]

class Subject(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBJECT_UNSPECIFIED: _ClassVar[Subject]
    SUBJECT_DIGEST: _ClassVar[Subject]
    SUBJECT_BACKFILL_DIGEST: _ClassVar[Subject]
    SUBJECT_LOG_FILE: _ClassVar[Subject]
    SUBJECT_HEAD: _ClassVar[Subject]
    SUBJECT_CHAIN: _ClassVar[Subject]
    SUBJECT_LISTING: _ClassVar[Subject]
    SUBJECT_STATE: _ClassVar[Subject]

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KIND_UNSPECIFIED: _ClassVar[Kind]
    KIND_VALID: _ClassVar[Kind]
    KIND_NOT_FOUND: _ClassVar[Kind]
    KIND_MALFORMED: _ClassVar[Kind]
    KIND_TRUNCATED: _ClassVar[Kind]
    KIND_TRAILING_DATA: _ClassVar[Kind]
    KIND_SEVERAL_MEMBERS: _ClassVar[Kind]
    KIND_DECOMPRESSION_BOMB: _ClassVar[Kind]
    KIND_MOVED: _ClassVar[Kind]
    KIND_WRONG_CLAIM: _ClassVar[Kind]
    KIND_UNKNOWN_KEY: _ClassVar[Kind]
    KIND_MALFORMED_KEY: _ClassVar[Kind]
    KIND_KEY_OUTSIDE_VALIDITY: _ClassVar[Kind]
    KIND_BAD_SIGNATURE: _ClassVar[Kind]
    KIND_CHAIN_BROKEN: _ClassVar[Kind]
    KIND_FORK: _ClassVar[Kind]
    KIND_HASH_MISMATCH: _ClassVar[Kind]
    KIND_ROOT_MISMATCH: _ClassVar[Kind]
    KIND_MISPLACED_RECORD: _ClassVar[Kind]
    KIND_PLANTED: _ClassVar[Kind]
    KIND_NEWEST_MISSING: _ClassVar[Kind]
    KIND_BAD_HEAD: _ClassVar[Kind]
    KIND_BAD_STATE: _ClassVar[Kind]
    KIND_HOUR_WITHOUT_DIGEST: _ClassVar[Kind]
    KIND_GAP: _ClassVar[Kind]
    KIND_NOTHING_FOUND: _ClassVar[Kind]
    KIND_NOT_COVERED: _ClassVar[Kind]
    KIND_NOT_CHECKED: _ClassVar[Kind]
CHANGE_UNSPECIFIED: Change
CHANGE_OPEN: Change
CHANGE_OPENED: Change
CHANGE_REPAIRED: Change
VERDICT_UNSPECIFIED: Verdict
VERDICT_VALID: Verdict
VERDICT_INVALID: Verdict
VERDICT_UNCHECKED: Verdict
VERDICT_NOTE: Verdict
SEVERITY_UNSPECIFIED: Severity
SEVERITY_CRITICAL: Severity
SEVERITY_MAJOR: Severity
SEVERITY_MINOR: Severity
SEVERITY_NONE: Severity
SUBJECT_UNSPECIFIED: Subject
SUBJECT_DIGEST: Subject
SUBJECT_BACKFILL_DIGEST: Subject
SUBJECT_LOG_FILE: Subject
SUBJECT_HEAD: Subject
SUBJECT_CHAIN: Subject
SUBJECT_LISTING: Subject
SUBJECT_STATE: Subject
KIND_UNSPECIFIED: Kind
KIND_VALID: Kind
KIND_NOT_FOUND: Kind
KIND_MALFORMED: Kind
KIND_TRUNCATED: Kind
KIND_TRAILING_DATA: Kind
KIND_SEVERAL_MEMBERS: Kind
KIND_DECOMPRESSION_BOMB: Kind
KIND_MOVED: Kind
KIND_WRONG_CLAIM: Kind
KIND_UNKNOWN_KEY: Kind
KIND_MALFORMED_KEY: Kind
KIND_KEY_OUTSIDE_VALIDITY: Kind
KIND_BAD_SIGNATURE: Kind
KIND_CHAIN_BROKEN: Kind
KIND_FORK: Kind
KIND_HASH_MISMATCH: Kind
KIND_ROOT_MISMATCH: Kind
KIND_MISPLACED_RECORD: Kind
KIND_PLANTED: Kind
KIND_NEWEST_MISSING: Kind
KIND_BAD_HEAD: Kind
KIND_BAD_STATE: Kind
KIND_HOUR_WITHOUT_DIGEST: Kind
KIND_GAP: Kind
KIND_NOTHING_FOUND: Kind
KIND_NOT_COVERED: Kind
KIND_NOT_CHECKED: Kind

class ValidateRequest(_message.Message):
    __slots__ = ("trail_arns", "account_ids", "regions", "start", "end", "without_records", "without_unlisted", "without_coverage", "include_valid")
    TRAIL_ARNS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_IDS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_RECORDS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_UNLISTED_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_COVERAGE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_VALID_FIELD_NUMBER: _ClassVar[int]
    trail_arns: _containers.RepeatedScalarFieldContainer[str]
    account_ids: _containers.RepeatedScalarFieldContainer[str]
    regions: _containers.RepeatedScalarFieldContainer[str]
    start: int
    end: int
    without_records: bool
    without_unlisted: bool
    without_coverage: bool
    include_valid: bool
    def __init__(self, trail_arns: _Optional[_Iterable[str]] = ..., account_ids: _Optional[_Iterable[str]] = ..., regions: _Optional[_Iterable[str]] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., without_records: _Optional[bool] = ..., without_unlisted: _Optional[bool] = ..., without_coverage: _Optional[bool] = ..., include_valid: _Optional[bool] = ...) -> None: ...

class ValidateResponse(_message.Message):
    __slots__ = ("chain", "finding", "chain_summary", "summary")
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    FINDING_FIELD_NUMBER: _ClassVar[int]
    CHAIN_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    chain: Chain
    finding: Finding
    chain_summary: ChainSummary
    summary: Summary
    def __init__(self, chain: _Optional[_Union[Chain, _Mapping]] = ..., finding: _Optional[_Union[Finding, _Mapping]] = ..., chain_summary: _Optional[_Union[ChainSummary, _Mapping]] = ..., summary: _Optional[_Union[Summary, _Mapping]] = ...) -> None: ...

class ListChainsRequest(_message.Message):
    __slots__ = ("trail_arns", "account_ids", "regions")
    TRAIL_ARNS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_IDS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    trail_arns: _containers.RepeatedScalarFieldContainer[str]
    account_ids: _containers.RepeatedScalarFieldContainer[str]
    regions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, trail_arns: _Optional[_Iterable[str]] = ..., account_ids: _Optional[_Iterable[str]] = ..., regions: _Optional[_Iterable[str]] = ...) -> None: ...

class ListChainsResponse(_message.Message):
    __slots__ = ("chain", "verdict", "checked_at", "unchecked", "failure", "newest", "open", "open_beyond")
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CHECKED_AT_FIELD_NUMBER: _ClassVar[int]
    UNCHECKED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    OPEN_BEYOND_FIELD_NUMBER: _ClassVar[int]
    chain: Chain
    verdict: Verdict
    checked_at: int
    unchecked: int
    failure: str
    newest: VerifiedDigest
    open: _containers.RepeatedCompositeFieldContainer[OpenFinding]
    open_beyond: int
    def __init__(self, chain: _Optional[_Union[Chain, _Mapping]] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., checked_at: _Optional[int] = ..., unchecked: _Optional[int] = ..., failure: _Optional[str] = ..., newest: _Optional[_Union[VerifiedDigest, _Mapping]] = ..., open: _Optional[_Iterable[_Union[OpenFinding, _Mapping]]] = ..., open_beyond: _Optional[int] = ...) -> None: ...

class WatchFindingsRequest(_message.Message):
    __slots__ = ("trail_arns", "account_ids", "regions", "include_open")
    TRAIL_ARNS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_IDS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_OPEN_FIELD_NUMBER: _ClassVar[int]
    trail_arns: _containers.RepeatedScalarFieldContainer[str]
    account_ids: _containers.RepeatedScalarFieldContainer[str]
    regions: _containers.RepeatedScalarFieldContainer[str]
    include_open: bool
    def __init__(self, trail_arns: _Optional[_Iterable[str]] = ..., account_ids: _Optional[_Iterable[str]] = ..., regions: _Optional[_Iterable[str]] = ..., include_open: _Optional[bool] = ...) -> None: ...

class WatchFindingsResponse(_message.Message):
    __slots__ = ("change", "chain", "finding", "at")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    FINDING_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    change: Change
    chain: Chain
    finding: Finding
    at: int
    def __init__(self, change: _Optional[_Union[Change, str]] = ..., chain: _Optional[_Union[Chain, _Mapping]] = ..., finding: _Optional[_Union[Finding, _Mapping]] = ..., at: _Optional[int] = ...) -> None: ...

class Chain(_message.Message):
    __slots__ = ("trail_arn", "account_id", "region", "bucket", "folder")
    TRAIL_ARN_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    trail_arn: str
    account_id: str
    region: str
    bucket: str
    folder: str
    def __init__(self, trail_arn: _Optional[str] = ..., account_id: _Optional[str] = ..., region: _Optional[str] = ..., bucket: _Optional[str] = ..., folder: _Optional[str] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("kind", "verdict", "severity", "subject", "bucket", "key", "detail", "start", "end", "events", "size")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    kind: Kind
    verdict: Verdict
    severity: Severity
    subject: Subject
    bucket: str
    key: str
    detail: str
    start: int
    end: int
    events: int
    size: int
    def __init__(self, kind: _Optional[_Union[Kind, str]] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., severity: _Optional[_Union[Severity, str]] = ..., subject: _Optional[_Union[Subject, str]] = ..., bucket: _Optional[str] = ..., key: _Optional[str] = ..., detail: _Optional[str] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., events: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class OpenFinding(_message.Message):
    __slots__ = ("finding", "opened_at")
    FINDING_FIELD_NUMBER: _ClassVar[int]
    OPENED_AT_FIELD_NUMBER: _ClassVar[int]
    finding: Finding
    opened_at: int
    def __init__(self, finding: _Optional[_Union[Finding, _Mapping]] = ..., opened_at: _Optional[int] = ...) -> None: ...

class VerifiedDigest(_message.Message):
    __slots__ = ("bucket", "key", "start", "end", "sha256", "fingerprint")
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    bucket: str
    key: str
    start: int
    end: int
    sha256: str
    fingerprint: str
    def __init__(self, bucket: _Optional[str] = ..., key: _Optional[str] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., sha256: _Optional[str] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class ChainSummary(_message.Message):
    __slots__ = ("counts", "verdict", "covered", "newest", "failure")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    COVERED_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    counts: Counts
    verdict: Verdict
    covered: _containers.RepeatedCompositeFieldContainer[Span]
    newest: VerifiedDigest
    failure: str
    def __init__(self, counts: _Optional[_Union[Counts, _Mapping]] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., covered: _Optional[_Iterable[_Union[Span, _Mapping]]] = ..., newest: _Optional[_Union[VerifiedDigest, _Mapping]] = ..., failure: _Optional[str] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("counts", "verdict", "chains")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CHAINS_FIELD_NUMBER: _ClassVar[int]
    counts: Counts
    verdict: Verdict
    chains: int
    def __init__(self, counts: _Optional[_Union[Counts, _Mapping]] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., chains: _Optional[int] = ...) -> None: ...

class Counts(_message.Message):
    __slots__ = ("digests", "log_files", "bytes", "invalid", "unchecked", "notes")
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    LOG_FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    INVALID_FIELD_NUMBER: _ClassVar[int]
    UNCHECKED_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    digests: int
    log_files: int
    bytes: int
    invalid: int
    unchecked: int
    notes: int
    def __init__(self, digests: _Optional[int] = ..., log_files: _Optional[int] = ..., bytes: _Optional[int] = ..., invalid: _Optional[int] = ..., unchecked: _Optional[int] = ..., notes: _Optional[int] = ...) -> None: ...
