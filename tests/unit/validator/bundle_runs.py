"""Validations that collect a bundle, and validations from it."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from opentrail_validator import Sources
from opentrail_validator.bundle import BundleWriter
from opentrail_validator.bundle_reader import Bundle, BundleHeads, BundleKeys, BundleReader
from opentrail_validator.bundle_recording import RecordingHeads, RecordingKeys, RecordingReader
from opentrail_validator.chain_validation import ChainValidation
from opentrail_validator.summary import Origins
from tests.evidence_maker.in_memory import pinned
from tests.evidence_maker.maker import listed_key, private_key

PINNED = Origins({"pinned in keys.json": 1}, are_pinned=True)
ASKED = Origins({"asked": 1}, are_pinned=False)


def keys():
    return pinned(listed_key(private_key(0)))


def findings(question, sources):
    return list(ChainValidation(question, sources).findings())


def collected(root: Path, question, objects, heads=None, origins=PINNED):
    """Validates while collecting; the findings."""
    with closing(BundleWriter(root)) as writer:
        sources = Sources(
            objects=RecordingReader(objects, writer),
            public_keys=RecordingKeys(keys(), writer, question.place.region),
            heads=None if heads is None else RecordingHeads(heads, writer),
        )
        found = findings(question, sources)
        writer.finish([question], origins)
    return found


def replayed(root: Path, **changes):
    with closing(Bundle(root)) as bundle:
        (question,) = bundle.questions
        heads = BundleHeads(bundle) if bundle.has_heads else None
        sources = Sources(
            objects=BundleReader(bundle), public_keys=BundleKeys(bundle, question.place.region), heads=heads
        )
        question = replace(question, **changes)
        return findings(question, sources)
