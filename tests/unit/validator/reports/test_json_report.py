import io
import json

from opentrail_validator import Finding, Kind, Span, Subject
from opentrail_validator.chain_validation import NoPublicKeys
from opentrail_validator.reports.json_report import JsonReport
from opentrail_validator.summary import Origins
from tests.unit.validator.reports.runs import ACCOUNT, ARN, BAD, HOUR, L1, L2, LOG, LOST, VALID, one, question, tell


def written(chains, **more):
    out = io.StringIO()
    tell(JsonReport(out), chains, **more)
    return out.getvalue()


def test_the_document():
    document = json.loads(written(one(VALID, BAD, LOST, covered=[Span(0, HOUR)])))
    assert list(document) == ["format", "asked", "findings", "chains", "summary"]
    assert document["format"] == "opentrail validate-logs 1"
    checks = {"coverage": True, "records": True, "unlisted": True, "heads": False}
    assert document["asked"] == {"chains": 1, "time": "1970-01-02T00:00:00Z", "checks": checks, "notes": []}
    bad, lost = document["findings"]
    assert bad == {
        "kind": "hash-mismatch",
        "verdict": "invalid",
        "severity": "critical",
        "subject": "log",
        "trailARN": ARN,
        "accountId": ACCOUNT,
        "region": "eu-west-1",
        "bucket": "b",
        "key": L2,
        "message": "hash value doesn't match",
        "detail": "",
        "start": None,
        "end": None,
        "events": 5,
        "bytes": 1200,
    }
    assert (lost["verdict"], lost["message"]) == ("unchecked", "could not be checked: connection reset")
    (chain,) = document["chains"]
    assert (chain["verdict"], chain["failure"]) == ("invalid", None)
    assert chain["counts"]["logFiles"] == {"valid": 0, "invalid": 1, "unchecked": 1, "note": 0}
    assert chain["covered"] == [{"start": "1970-01-01T00:00:00Z", "end": "1970-01-01T01:00:00Z"}]
    assert document["summary"] == {
        "exitCode": 1,
        "valid": 1,
        "invalid": 1,
        "unchecked": 1,
        "publicKeys": {"pinned": True, "from": [{"origin": "pinned in keys.json", "count": 2}]},
        "heads": None,
        "affected": {
            "accounts": [ACCOUNT],
            "hours": 1,
            "digests": 0,
            "logFiles": 1,
            "events": 5,
            "bytes": 1200,
            "complete": True,
        },
    }


def test_what_is_valid_is_named_only_when_asked_for():
    assert json.loads(written(one(VALID, LOG)))["findings"] == []
    verbose = json.loads(written(one(VALID, LOG), verbose=True))["findings"]
    assert [finding["kind"] for finding in verbose] == ["valid", "valid"]
    assert (verbose[0]["start"], verbose[0]["end"]) == ("1969-12-31T23:59:00Z", "1970-01-01T01:00:00Z")


def test_each_finding_is_a_line_so_that_it_can_be_read_as_it_comes():
    lines = written(one(VALID, LOG, BAD), verbose=True).splitlines()
    findings = lines[lines.index('"findings": [') + 1 : lines.index("],")]
    assert [json.loads(line.rstrip(","))["key"] for line in findings][1:] == [L1, L2]


def test_a_chain_that_could_not_be_validated():
    origins = Origins({}, are_pinned=False, heads="h", heads_seen=0)
    document = json.loads(written([(question(), [], NoPublicKeys(0, HOUR))], origins=origins, has_heads=True))
    (chain,) = document["chains"]
    assert chain["verdict"] == "unchecked"
    assert chain["failure"] == "No public keys found between 1970-01-01T00:00:00Z and 1970-01-01T01:00:00Z"
    assert document["summary"]["exitCode"] == 3
    assert document["summary"]["heads"] == {"origin": "h", "count": 0}


def test_any_name_fits_and_the_document_is_ascii():
    text = written(one(Finding(Kind.NOT_FOUND, Subject.LOG_FILE, "b", 'a"\n\x1b\ud800é')))
    assert text.isascii()
    assert json.loads(text)["findings"][0]["key"] == 'a"\n\x1b\ud800é'
