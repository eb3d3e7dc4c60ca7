import pytest

from opentrail.evidence import (
    DigestKey,
    LogFileKey,
    LogKind,
    MalformedKey,
    digest_key,
    log_file_key,
    parse_key,
    parse_time,
)
from opentrail.evidence.object_keys import digest_folder

MOMENT = parse_time("2026-03-01T09:05:07Z")
LOG = (
    "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/"
    "111122223333_CloudTrail_us-east-1_20260301T0905Z_Qxdjb7AKaBmp64Pg.json.gz"
)
DIGEST = (
    "AWSLogs/111122223333/CloudTrail-Digest/us-west-2/2026/03/01/"
    "111122223333_CloudTrail-Digest_us-west-2_my_trail-1.x_us-east-1_20260301T090507Z.json.gz"
)


def log_key(**more):
    return log_file_key(
        account_id="111122223333", region="us-east-1", seconds=MOMENT, unique="Qxdjb7AKaBmp64Pg", **more
    )


def digest_of(**more):
    return digest_key(
        account_id="111122223333",
        region="us-west-2",
        trail_name="my_trail-1.x",
        home_region="us-east-1",
        end_seconds=MOMENT,
        **more,
    )


def test_a_log_files_key_has_a_stamp_of_minutes():
    assert log_key() == LOG


@pytest.mark.parametrize(
    ("kind", "folder"),
    [
        (LogKind.INSIGHTS, "CloudTrail-Insight"),
        (LogKind.NETWORK_ACTIVITY, "CloudTrail-NetworkActivity"),
        (LogKind.AGGREGATED, "CloudTrail-Aggregated"),
    ],
)
def test_the_other_kinds_have_a_folder_and_name_of_their_own(kind, folder):
    assert log_key(kind=kind) == LOG.replace("/CloudTrail/", f"/{folder}/").replace("_CloudTrail_", f"_{folder}_")


def test_prefix_and_organization_come_in_front():
    assert log_key(prefix="a/b", organization_id="o-exampleorg1") == "a/b/" + LOG.replace(
        "AWSLogs/", "AWSLogs/o-exampleorg1/"
    )


def test_a_digests_key_has_a_stamp_of_seconds():
    assert digest_of() == DIGEST


def test_a_backfill_digest_says_so_in_its_name():
    assert digest_of(backfill=True) == DIGEST.replace("Z.json.gz", "Z_backfill.json.gz")


def test_keys_are_taken_apart():
    assert parse_key(f"p/{LOG}") == LogFileKey("111122223333", "us-east-1", MOMENT - 7, "Qxdjb7AKaBmp64Pg", "p")
    assert parse_key(DIGEST) == DigestKey("111122223333", "us-west-2", "my_trail-1.x", "us-east-1", MOMENT)


def test_the_folder_of_digests_ends_with_a_slash():
    folder = digest_folder(account_id="111122223333", region="us-west-2", prefix="p", organization_id="o-exampleorg1")
    assert folder == "p/AWSLogs/o-exampleorg1/111122223333/CloudTrail-Digest/us-west-2/"


@pytest.mark.parametrize("unique", ["", "a-b", "a_b", "é", "a\n"])
def test_a_unique_part_with_other_than_letters_and_digits_is_refused(unique):
    with pytest.raises(ValueError):
        log_file_key(account_id="111122223333", region="us-east-1", seconds=0, unique=unique)


STRANGE = {
    "empty": "",
    "no folder": LOG.rsplit("/", 1)[1],
    "not gz": LOG.removesuffix(".gz"),
    "something after it": f"{LOG}\n",
    "empty prefix": f"/{LOG}",
    "another account in the name": LOG.replace("/111122223333_", "/444455556666_"),
    "another region in the name": LOG.replace("_us-east-1_", "_us-east-2_"),
    "another folder in the name": LOG.replace("_CloudTrail_", "_CloudTrail-Insight_"),
    "another day in the folder": LOG.replace("/03/01/", "/03/02/"),
    "no such day": LOG.replace("/03/01/", "/02/30/").replace("20260301", "20260230"),
    "no such minute": LOG.replace("T0905Z", "T0960Z"),
    "seconds in a log file's stamp": LOG.replace("T0905Z", "T090500Z"),
    "short account": LOG.replace("111122223333", "11112222333"),
    "digits of another script": LOG.replace("111122223333", "١١١١٢٢٢٢٣٣٣٣"),
    "no unique part": LOG.replace("_Qxdjb7AKaBmp64Pg", ""),
    "no trail name": DIGEST.replace("_my_trail-1.x", ""),
    "minutes in a digest's stamp": DIGEST.replace("T090507Z", "T0905Z"),
    "another ending": DIGEST.replace("Z.json.gz", "Z_late.json.gz"),
    "unknown folder": LOG.replace("CloudTrail", "CloudTrail-Other"),
}


@pytest.mark.parametrize("defect", STRANGE)
def test_another_key_is_malformed(defect):
    with pytest.raises(MalformedKey):
        parse_key(STRANGE[defect])
