"""`opentrail heads export`: signed heads of digest chains, for whoever keeps them elsewhere."""

from __future__ import annotations

import json
from typing import Any

from opentrail_backends.state.port import StateStore


def export_heads(state: StateStore, region: str | None = None) -> dict[str, Any]:
    """The newest signed head of every chain, of ended chains too: for `validate-logs --heads`. Raises StateError.

    None: all regions. Each is the statement as it was signed (`opentrail.evidence.chain_head`).
    """
    heads = [head for head in state.chains.heads() if region in {None, head.region}]
    return {"Heads": [json.loads(head.document) for head in heads]}
