"""What the tests of the local directory share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from opentrail_backends.object_store.port import PutOptions, PutRefused

BUCKET, KEY = "trail-logs", "AWSLogs/111122223333/ü.json.gz"
OPTIONS = PutOptions({"signature": "0a"}, kms_key_id="arn:k", encryption_context={"aws:cloudtrail:arn": "arn:t"})


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(PutRefused) as raised:
        call()
    return raised.value.code
