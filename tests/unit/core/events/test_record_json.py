"""Bytes that are no record: broken JSON, nesting, keys that come twice."""

from __future__ import annotations

import pytest

from opentrail.events.record import Rejection, RejectionCode
from tests.unit.core.events.record_samples import FULL, checked, code, text

MALFORMED = {
    "empty": b"",
    "broken": b"{",
    "half": text(FULL)[:-5],
    "two": text(FULL) * 2,
    "comma": text(FULL)[:-1] + b",}",
    "single quotes": b"{'eventID':1}",
    "nan": text(FULL)[:-1] + b',"x":NaN}',
    "infinity": text(FULL)[:-1] + b',"x":[-Infinity]}',
    "nan in the user": text({**FULL, "userIdentity": {"a": float("nan")}}),
    "number": text(FULL)[:-1] + b',"x":01}',
    "control character": text(FULL)[:-1] + b',"x":"\n"}',
    "latin-1": text({**FULL, "x": "é"}).replace("é".encode(), b"\xe9"),
    "overlong": text(FULL)[:-1] + b',"x":"\xc0\x80"}',
    "surrogate in UTF-8": text(FULL)[:-1] + b',"x":"\xed\xa0\x80"}',
    "invalid key": text(FULL)[:-1] + b',"\xff":1}',
    "utf-16": text(FULL).decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + text(FULL),
    "lone high surrogate": text(FULL)[:-1] + b',"x":"\\ud800"}',
    "lone low surrogate": text(FULL)[:-1] + b',"x":{"y":["\\uDC00"]}}',
    "lone surrogate in a key": text(FULL)[:-1] + b',"\\ud800x":1}',
    "unclosed": b"[" * 50,
    "nul": text(FULL) + b"\0",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_malformed_json(raw):
    assert code(raw) is RejectionCode.MALFORMED_JSON


def test_a_pair_of_surrogate_escapes_is_one_character():
    raw = text(FULL)[:-1] + b',"x":"\\ud83d\\ude00 \\\\ud800"}'
    assert checked(raw).raw == raw


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"{}"', b"1", b"true", b"[{}]", text([FULL])])
def test_what_is_no_object(raw):
    assert code(raw) is RejectionCode.NOT_AN_OBJECT


@pytest.mark.parametrize(
    "inside",
    ["[" * 100 + "]" * 100, '{"a":' * 100 + "1" + "}" * 100, "[" * 1000 + "]" * 1000, "[" * 100_000 + "]" * 100_000],
)
def test_too_deep(inside):
    assert code(text(FULL)[:-1] + b',"x":' + inside.encode() + b"}") is RejectionCode.NESTED_TOO_DEEP


@pytest.mark.parametrize(("levels", "too_deep"), [(99, False), (100, True)])
@pytest.mark.parametrize("beside", ["", '"]]}\\"[[{{",', '{"}":[]},' * 200, "[[[[]]],[]]," * 50])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"[":', "}]")])
def test_levels_are_counted_exactly_among_other_brackets(opening, closing, beside, levels, too_deep):
    # The record is a level, the array around is one, and so is each bracket of the opening.
    times, rest = divmod(levels - 1, len(closing))
    innermost = f"{opening * times}{'[' * rest}1{']' * rest}{closing * times}"
    result = checked(text(FULL)[:-1] + f',"x":[{beside}{innermost}]}}'.encode())
    assert isinstance(result, Rejection) is too_deep
    assert not too_deep or result.code is RejectionCode.NESTED_TOO_DEEP


@pytest.mark.parametrize("name", [*FULL, "unknown", "größe"])
def test_a_key_that_comes_twice(name):
    member = text({name: FULL.get(name, 1)})[1:-1]
    assert code(text({name: 1, **FULL})[:-1] + b"," + member + b"}") is RejectionCode.DUPLICATE_KEY
    assert code(b"{" + member + b"," + text({**FULL, name: FULL.get(name)})[1:]) is RejectionCode.DUPLICATE_KEY


@pytest.mark.parametrize(
    "raw",
    [
        text(FULL)[:-1] + b',"event\\u0049D":"12345678-1234-1234-1234-123456789abc"}',
        text(FULL, separators=(", ", ": "))[:-1] + b', "readOnly": false}',
        text(FULL)[:-1] + b',"x":1,"\\u0078":1}',
        text({**FULL, "userIdentity": 0}).replace(b":0", b':{"arn":"a","arn":"b"}'),
        text({**FULL, "userIdentity": 0}).replace(b":0", b':{"arn":"a","\\u0061rn":"b"}'),
        text({**FULL, "userIdentity": 0}).replace(b":0", b':{"x":1,"x":1}'),
        text({**FULL, "resources": 0}).replace(b":0", b':[{},{"type":"a","type":"b"}]'),
        text({**FULL, "resources": 0}).replace(b":0", b':[{"ARN":"a","ARN":"b"}]'),
        text({**FULL, "resources": 0}).replace(b":0", b':[{"other":"a","other":"b"}]'),
    ],
)
def test_a_key_that_comes_twice_however_it_is_written(raw):
    assert code(raw) is RejectionCode.DUPLICATE_KEY


def test_a_key_may_come_twice_where_nobody_looks():
    raw = text({**FULL, "requestParameters": 0}).replace(b":0", b':{"a":1,"a":2}')
    assert checked(raw).raw == raw


def test_the_reader_of_json_spells_every_character_as_short_as_can_be():
    # The fast check for repeated keys stands on this: encoded again, a record is never longer than it came in.
    import msgspec

    for point in [*range(0x20, 0xD800), *range(0xE000, 0x11000), 0x10FFFF]:
        shortest = 2 if chr(point) in '"\\' else len(chr(point).encode())
        assert len(msgspec.json.encode(chr(point))) == shortest + 2, hex(point)
    for point in range(0x20):
        shortest = 2 if chr(point) in "\b\f\n\r\t" else 6
        assert len(msgspec.json.encode(chr(point))) == shortest + 2, hex(point)
