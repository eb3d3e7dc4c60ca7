from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RejectionCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REJECTION_CODE_UNSPECIFIED: _ClassVar[RejectionCode]
    MALFORMED_JSON: _ClassVar[RejectionCode]
    NOT_AN_OBJECT: _ClassVar[RejectionCode]
    NESTED_TOO_DEEP: _ClassVar[RejectionCode]
    DUPLICATE_KEY: _ClassVar[RejectionCode]
    MISSING_FIELD: _ClassVar[RejectionCode]
    INVALID_FIELD: _ClassVar[RejectionCode]
    INVALID_EVENT_TIME: _ClassVar[RejectionCode]
    EVENT_TOO_LARGE: _ClassVar[RejectionCode]
    ACCOUNT_MISMATCH: _ClassVar[RejectionCode]
    UNKNOWN_REGION: _ClassVar[RejectionCode]
    REGION_MISMATCH: _ClassVar[RejectionCode]
REJECTION_CODE_UNSPECIFIED: RejectionCode
MALFORMED_JSON: RejectionCode
NOT_AN_OBJECT: RejectionCode
NESTED_TOO_DEEP: RejectionCode
DUPLICATE_KEY: RejectionCode
MISSING_FIELD: RejectionCode
INVALID_FIELD: RejectionCode
INVALID_EVENT_TIME: RejectionCode
EVENT_TOO_LARGE: RejectionCode
ACCOUNT_MISMATCH: RejectionCode
UNKNOWN_REGION: RejectionCode
REGION_MISMATCH: RejectionCode

class PublishEventsRequest(_message.Message):
    __slots__ = ("events", "region", "numbers")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedScalarFieldContainer[bytes]
    region: str
    numbers: EventNumbers
    def __init__(self, events: _Optional[_Iterable[bytes]] = ..., region: _Optional[str] = ..., numbers: _Optional[_Union[EventNumbers, _Mapping]] = ...) -> None: ...

class EventNumbers(_message.Message):
    __slots__ = ("client_id", "first")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    client_id: bytes
    first: int
    def __init__(self, client_id: _Optional[bytes] = ..., first: _Optional[int] = ...) -> None: ...

class PublishEventsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[EventResult]
    def __init__(self, results: _Optional[_Iterable[_Union[EventResult, _Mapping]]] = ...) -> None: ...

class EventResult(_message.Message):
    __slots__ = ("accepted", "rejected")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    accepted: Accepted
    rejected: Rejected
    def __init__(self, accepted: _Optional[_Union[Accepted, _Mapping]] = ..., rejected: _Optional[_Union[Rejected, _Mapping]] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("event_id",)
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    def __init__(self, event_id: _Optional[str] = ...) -> None: ...

class Rejected(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: RejectionCode
    message: str
    def __init__(self, code: _Optional[_Union[RejectionCode, str]] = ..., message: _Optional[str] = ...) -> None: ...
