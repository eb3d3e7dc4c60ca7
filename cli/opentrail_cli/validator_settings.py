"""Settings of the validator service: a part of all settings (docs/validator-service.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

_DAY = 24 * 3600


class ValidatorSettings(BaseModel):
    """What an operator can set of the validator service. Times in seconds."""

    validator_address: str = "127.0.0.1:7320"
    validator_token_file: Path | None = None
    """The operator's bearer token, one line; made if missing. Default: in the data directory."""
    validator_book_file: Path | None = None
    """What is open and was verified, over restarts; one for each validator. Default: in the data directory."""
    validator_public_keys: Path | None = None
    """Trust these keys (JSON of ListPublicKeys), not those of the state store."""
    validator_topic: str | None = None
    """ARN of the SNS topic that is told of findings. Default: they are told in the log."""
    validator_cycle_seconds: Annotated[float, Field(gt=0)] = 3_600.0
    """How often every chain is validated."""
    validator_lookback_seconds: Annotated[int, Field(ge=1)] = 7 * _DAY
    """What every cycle reads, verified before or not."""
    validator_full_every: Annotated[int, Field(ge=1)] = 168
    """In each so manyth cycle a chain is read from its beginning."""
    validator_oldest_seconds: Annotated[int, Field(ge=1)] | None = None
    """What is older is not read: how long buckets keep evidence. Default: all is read."""
    validator_parallel: Annotated[int, Field(ge=1, le=64)] = 4
    """Chains that are read at once."""
