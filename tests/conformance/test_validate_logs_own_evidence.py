"""What the project's own rules and stores write, read by the AWS CLI and by our `validate-logs`."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from opentrail.evidence import Digest, LogFileEntry, digest_key, fingerprint, format_time, log_file_key, string_to_sign
from opentrail.evidence.digest_chain import first_end, link, next_end
from opentrail.evidence.log_file import Segment, assemble
from opentrail_backends.key_management.local_keys import LocalKeys
from opentrail_backends.object_store.local_directory import LocalDirectoryObjectStore
from opentrail_backends.object_store.port import PutOptions
from opentrail_validator.command import main
from tests.evidence_maker.layouts import lay_in_s3
from tests.evidence_maker.maker import MadeObject, Place
from tests.evidence_maker.trail_endpoint import trail_endpoint
from tests.judges import OUR_SECTION
from tests.servers.aws_cli import AwsCli
from tests.servers.s3 import S3Server

ACCOUNT, REGION, TRAIL = "111122223333", "eu-west-1", "audit"
ARN = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{TRAIL}"
STARTED = 1_772_359_651


def written(bucket: str, keys: LocalKeys) -> tuple[dict[Place, MadeObject], bytes]:
    """Three hours by the rules of `opentrail.evidence`: two with log files of several segments, one empty."""
    objects: dict[Place, MadeObject] = {}
    signing_key = keys.create_signing_key(REGION)
    start, end, previous = STARTED, first_end(STARTED, "chain"), None
    for hour in range(3):
        entries = []
        for number in range(2 if hour != 1 else 0):
            segments = [Segment([b'{"eventID":"%d-%d-%d"}' % (hour, number, part)]) for part in range(3)]
            (file,) = assemble([segments])
            key = log_file_key(account_id=ACCOUNT, region=REGION, seconds=start, unique=f"Unique{hour}{number}")
            objects[bucket, key] = MadeObject(file.body, {})
            entries.append(LogFileEntry(bucket, key, file.sha256, start, start + 60))
        key = digest_key(account_id=ACCOUNT, region=REGION, trail_name=TRAIL, home_region=REGION, end_seconds=end)
        name = fingerprint(signing_key.public_key)
        digest = Digest(ACCOUNT, start, end, bucket, key, name, tuple(entries), previous)
        data = digest.to_bytes()
        sha256 = link(data, "", bucket, key).hash_value
        message = string_to_sign(format_time(end), bucket, key, sha256, digest.previous_signature)
        signature = keys.sign(signing_key.reference, message).hex()
        metadata = {"signature": signature, "signature-algorithm": "SHA256withRSA"}
        objects[bucket, key] = MadeObject(gzip.compress(data, mtime=0), metadata)
        start, end, previous = end, next_end(end), link(data, signature, bucket, key)
    return objects, signing_key.public_key


def flags() -> list[str]:
    times = ["--start-time", format_time(STARTED), "--end-time", format_time(STARTED + 6 * 3600)]
    return ["--trail-arn", ARN, "--region", REGION, "--verbose", *times]


SUMMARY = "\n3/3 digest files valid\n4/4 log files valid\n"


@pytest.mark.s3
def test_the_aws_cli_accepts_what_our_rules_write(versitygw: S3Server, aws_cli: list[AwsCli], tmp_path: Path):
    bucket = versitygw.new_bucket()
    objects, public_key = written(bucket, LocalKeys(tmp_path / "keys"))
    lay_in_s3(objects, versitygw.client)
    listed = {"Fingerprint": fingerprint(public_key), "Value": base64.b64encode(public_key).decode()}
    with trail_endpoint([{"TrailARN": ARN, "S3BucketName": bucket}], [listed]) as api:
        env = {
            "AWS_ACCESS_KEY_ID": versitygw.access_key,
            "AWS_SECRET_ACCESS_KEY": versitygw.secret_key,
            "AWS_ENDPOINT_URL_S3": versitygw.endpoint,
            "AWS_ENDPOINT_URL_CLOUDTRAIL": api,
        }
        for release in aws_cli:
            judge = release.run("cloudtrail", "validate-logs", *flags(), env=env)
            assert (judge.returncode, judge.stderr) == (0, "")
            assert judge.stdout.endswith(SUMMARY)


def test_what_the_local_store_encrypted_is_read_with_its_storage_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    keys = LocalKeys(tmp_path / "keys")
    store = LocalDirectoryObjectStore(tmp_path / "store", keys)
    store.create_bucket("logs")
    objects, public_key = written("logs", keys)
    for (bucket, key), made in objects.items():
        options = PutOptions(metadata=made.metadata, kms_key_id="key", encryption_context={"aws:cloudtrail:arn": ARN})
        store.put(bucket, key, made.body, options)
    store.close()
    listed = {"Fingerprint": fingerprint(public_key), "Value": base64.b64encode(public_key).decode()}
    (tmp_path / "public.json").write_text(json.dumps({"PublicKeyList": [listed]}))

    local = [
        "--s3-bucket",
        "logs",
        "--directory",
        str(tmp_path / "store"),
        "--public-keys",
        str(tmp_path / "public.json"),
    ]
    storage_key = ["--storage-key", str(tmp_path / "keys" / "storage.key")]
    code = main([*flags(), *local, *storage_key, "--no-require-coverage"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert out.partition(OUR_SECTION)[0].endswith(SUMMARY)
