import base64
import json

import pytest

from opentrail_validator import PinnedKeys, PublicKey, read_public_keys
from opentrail_validator.readers.port import ReaderUnavailable

ENTRY = {"Fingerprint": "ab", "Value": base64.b64encode(b"der").decode()}


def read(tmp_path, document):
    file = tmp_path / "keys.json"
    file.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    return read_public_keys(file)


@pytest.mark.parametrize("wrapped", [[ENTRY], {"PublicKeyList": [ENTRY], "NextToken": None}])
def test_a_list_and_the_answer_of_list_public_keys_are_read(tmp_path, wrapped):
    keys = read(tmp_path, wrapped)
    assert keys.between(0, 1) == {"ab": PublicKey(b"der")}
    assert keys.origin() == f"pinned in {tmp_path / 'keys.json'}"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (1_772_000_000, 1_774_600_000),
        (1_772_000_000.0, 1_774_600_000.5),  # AWS CLI 1
        ("2026-02-25T06:13:20+00:00", "2026-03-27T08:26:40Z"),  # AWS CLI 2
        ("2026-02-25T07:13:20+01:00", "2026-03-27T08:26:40.250000+00:00"),
        ("2026-02-25T06:13:20", "2026-03-27T08:26:40"),
    ],
)
def test_validity_is_read_in_every_form_that_the_aws_cli_writes(tmp_path, start, end):
    keys = read(tmp_path, [ENTRY | {"ValidityStartTime": start, "ValidityEndTime": end}])
    assert keys.between(0, 1)["ab"] == PublicKey(b"der", 1_772_000_000, 1_774_600_000)


def test_keys_of_several_regions_are_in_one_file(tmp_path):
    other = ENTRY | {"Fingerprint": "cd", "Region": "us-east-1", "ValidityStartTime": 5}
    assert read(tmp_path, [ENTRY | {"Region": "eu-west-1"}, other]).between(0, 1) == {
        "ab": PublicKey(b"der"),
        "cd": PublicKey(b"der", 5),
    }


def test_keys_given_by_a_program_say_so():
    assert PinnedKeys({}).origin() == "pinned"
    assert PinnedKeys({}, "from the safe").origin() == "from the safe"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        {},
        1,
        None,
        ["ab"],
        [{"Fingerprint": "ab"}],
        [{"Value": "AAAA"}],
        [ENTRY | {"Value": "*"}],
        [ENTRY | {"Value": 1}],
        [ENTRY | {"ValidityStartTime": "soon"}],
        [ENTRY | {"ValidityEndTime": {}}],
        [ENTRY | {"ValidityEndTime": 10**400}],
        [ENTRY | {"ValidityStartTime": -1e300}],
        b'[{"Fingerprint": "ab", "Value": "AAAA", "ValidityEndTime": Infinity}]',
        b'[{"Fingerprint": "ab", "Value": "AAAA", "ValidityEndTime": NaN}]',
    ],
)
def test_what_is_no_list_of_public_keys_is_told(tmp_path, document):
    with pytest.raises(ReaderUnavailable, match=r"keys\.json is not a list of public keys"):
        read(tmp_path, document)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ReaderUnavailable, match="could not be read: No such file"):
        read_public_keys(tmp_path / "absent")
