"""The keys that trails name, on AWS KMS (played by moto) and as an operator lists them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from opentrail_backends.key_management import open_storage_keys
from opentrail_backends.key_management.port import KeyManagementError, KeyNotFound
from opentrail_backends.key_management.storage_keys import KeyUnusable, StorageKeys

ACCOUNT, REGION = "123456789012", "eu-central-1"
CONTEXT = {
    "aws:cloudtrail:arn": f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/audit",
    "aws:s3:arn": f"arn:aws:s3:::trail-logs/AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/object",
}
NOBODYS = "12345678-1234-4234-8234-123456789012"


@pytest.fixture
def kms(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return boto3.client("kms", endpoint_url=moto_endpoint, region_name=REGION)


@dataclass
class Case:
    keys: StorageKeys
    arn: str


@pytest.fixture(params=["aws kms", "listed"])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "listed":
        arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{uuid.uuid4()}"
        store = f"s3://?endpoint=https://s3.example&kms_key={arn}=trail-key"
        return Case(open_storage_keys("", store, {}), arn)
    kms, endpoint = request.getfixturevalue("kms"), request.getfixturevalue("moto_endpoint")
    return Case(aws(endpoint), kms.create_key()["KeyMetadata"]["Arn"])


def aws(endpoint: str) -> StorageKeys:
    return open_storage_keys(f"awskms:?endpoint={endpoint}", "file:///objects", {})


def test_a_key_is_found_by_its_arn_and_by_its_id(case: Case) -> None:
    assert case.keys.find(case.arn, ACCOUNT, REGION) == case.arn
    assert case.keys.find(case.arn, "999999999999", "us-east-1") == case.arn
    assert case.keys.find(case.arn.rpartition("/")[2], ACCOUNT, REGION) == case.arn
    case.keys.check(case.arn, REGION, CONTEXT)
    case.keys.check(case.arn, None, CONTEXT)


def test_an_id_is_one_of_the_callers_account_and_region(case: Case) -> None:
    key_id = case.arn.rpartition("/")[2]
    for account_id, region in (("999999999999", REGION), (ACCOUNT, "us-east-1")):
        with pytest.raises(KeyNotFound):
            case.keys.find(key_id, account_id, region)


@pytest.mark.parametrize("name", [NOBODYS, f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{NOBODYS}", "alias/nobodys"])
def test_a_key_that_is_not_there_is_not_found(case: Case, name: str) -> None:
    with pytest.raises(KeyNotFound):
        case.keys.find(name, ACCOUNT, REGION)


def test_a_key_that_went_is_not_found_when_it_is_tried(case: Case) -> None:
    with pytest.raises(KeyNotFound):
        case.keys.check(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{NOBODYS}", REGION, CONTEXT)


# --- what only a KMS knows


@pytest.mark.parametrize("form", ["{alias}", "arn:aws:kms:{region}:{account}:{alias}"])
def test_an_alias_means_the_keys_own_arn(kms: Any, moto_endpoint: str, form: str) -> None:
    arn, alias = kms.create_key()["KeyMetadata"]["Arn"], f"alias/trail-{uuid.uuid4()}"
    kms.create_alias(AliasName=alias, TargetKeyId=arn)
    name = form.format(alias=alias, region=REGION, account=ACCOUNT)
    assert aws(moto_endpoint).find(name, ACCOUNT, REGION) == arn


def test_a_disabled_key_is_unusable(kms: Any, moto_endpoint: str) -> None:
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=arn.rpartition("/")[2])
    with pytest.raises(KeyUnusable, match="Disabled"):
        aws(moto_endpoint).check(arn, REGION, CONTEXT)


def test_a_key_that_waits_for_its_deletion_is_unusable(kms: Any, moto_endpoint: str) -> None:
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    kms.schedule_key_deletion(KeyId=arn.rpartition("/")[2], PendingWindowInDays=7)
    with pytest.raises(KeyUnusable, match="PendingDeletion"):
        aws(moto_endpoint).check(arn, REGION, CONTEXT)


def test_a_key_that_signs_is_unusable(kms: Any, moto_endpoint: str) -> None:
    arn = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    with pytest.raises(KeyUnusable, match="symmetric"):
        aws(moto_endpoint).check(arn, REGION, CONTEXT)


def test_a_key_of_another_region_than_the_bucket_is_not_found(kms: Any, moto_endpoint: str) -> None:
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    with pytest.raises(KeyNotFound, match="us-east-1"):
        aws(moto_endpoint).check(arn, "us-east-1", CONTEXT)


def test_a_kms_that_is_not_there_tells_nothing(kms: Any) -> None:
    keys = aws("http://127.0.0.1:1")
    for ask in (
        lambda: keys.find(NOBODYS, ACCOUNT, REGION),
        lambda: keys.check(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{NOBODYS}", REGION, CONTEXT),
    ):
        with pytest.raises(KeyManagementError, match="no answer") as raised:
            ask()
        assert type(raised.value) is KeyManagementError
