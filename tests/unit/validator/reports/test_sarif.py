import io
import json
import re
from urllib.parse import unquote

from opentrail_validator import Finding, Kind, Subject, Verdict
from opentrail_validator.chain_validation import NoPublicKeys
from opentrail_validator.findings import FACTS
from opentrail_validator.reports.sarif import SarifReport
from tests.unit.validator.reports.runs import ARN, BAD, GAP, HOUR, L2, LOG, LOST, VALID, one, question, tell

# What the SARIF 2.1.0 schema requires of what we write, and the words that it knows.
KINDS = {"notApplicable", "pass", "fail", "review", "open", "informational"}
LEVELS = {"none", "note", "warning", "error"}
URI = re.compile(r"[a-z][a-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-F]{2})*")


def run(chains, **more):
    """The only run of the document, once the document is what SARIF requires."""
    out = io.StringIO()
    tell(SarifReport(out), chains, **more)
    document = json.loads(out.getvalue())
    assert set(document) == {"$schema", "version", "runs"}
    assert document["version"] == "2.1.0"
    (found,) = document["runs"]
    assert set(found) <= {"tool", "results", "invocations", "columnKind"}
    driver = found["tool"]["driver"]
    assert driver["name"]
    rules = driver["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in LEVELS
        assert 0 <= rule["defaultConfiguration"]["rank"] <= 100
    for result in found["results"]:
        assert result["message"]["text"]
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["kind"] in KINDS
        assert result["level"] in LEVELS
        assert result["kind"] == "fail" or result["level"] == "none"  # §3.27.10
        assert all(type(value) is str for value in result["partialFingerprints"].values())
        for location in result["locations"]:
            assert URI.fullmatch(location["physicalLocation"]["artifactLocation"]["uri"])
    for invocation in found["invocations"]:
        assert type(invocation["executionSuccessful"]) is bool
        assert all(note["message"]["text"] for note in invocation["toolExecutionNotifications"])
    return found


def test_a_rule_for_each_kind():
    rules = run(one(VALID))["tool"]["driver"]["rules"]
    assert [(rule["id"], rule["shortDescription"]["text"]) for rule in rules] == [
        (kind.value, facts.meaning) for kind, facts in FACTS.items()
    ]


def test_results():
    found = run(one(VALID, LOG, BAD, LOST, GAP))
    assert [(result["ruleId"], result["kind"], result["level"]) for result in found["results"]] == [
        ("hash-mismatch", "fail", "error"),
        ("not-checked", "open", "none"),
        ("gap", "informational", "none"),
    ]
    (location,) = found["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"] == {"uri": f"s3://b/{L2}"}
    assert location["logicalLocations"] == [
        {"name": "eu-west-1", "fullyQualifiedName": f"{ARN}/111122223333/eu-west-1", "kind": "chain"}
    ]
    (invocation,) = found["invocations"]
    assert invocation == {"executionSuccessful": True, "exitCode": 1, "toolExecutionNotifications": []}


def test_what_is_valid_passes_if_it_is_to_be_named():
    assert run(one(VALID, LOG))["results"] == []
    assert [result["kind"] for result in run(one(VALID, LOG), verbose=True)["results"]] == ["pass", "pass"]


def test_every_kind_makes_a_result_that_sarif_allows():
    findings = [Finding(kind, subject, "b", "k", "", 0, 1) for kind in Kind for subject in Subject]
    kinds = {result["ruleId"]: result["kind"] for result in run(
        [(question(), [one for one in findings if one.subject is not Subject.STATE], [])], verbose=True
    )["results"]}  # fmt: skip
    assert {kind: FACTS[Kind(kind)].verdict for kind, said in kinds.items() if said == "fail"} == {
        kind.value: Verdict.INVALID for kind in Kind if kind.verdict is Verdict.INVALID
    }


def test_a_chain_that_could_not_be_validated_is_a_failure_of_the_run():
    (invocation,) = run([(question(), [], NoPublicKeys(0, HOUR))])["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 3)
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["message"]["text"].startswith("No public keys found")


def test_the_same_finding_has_the_same_fingerprint_in_every_run_and_another_object_another():
    first, second = (run(one(BAD, VALID))["results"][0]["partialFingerprints"] for _ in range(2))
    other = run(one(Finding(Kind.HASH_MISMATCH, Subject.LOG_FILE, "b", "other")))["results"][0]["partialFingerprints"]
    assert first == second != other


def test_two_times_that_nothing_covers_are_two_findings():
    holes = [Finding(Kind.NOT_COVERED, Subject.CHAIN, "b", "AWSLogs/", "", start, start + 60) for start in (0, HOUR)]
    first, second = (result["partialFingerprints"] for result in run(one(*holes, covered=()))["results"])
    assert first != second


def test_any_name_makes_a_uri():
    key = "a b/%/ü\n\ud800?#"
    (result,) = run(one(Finding(Kind.NOT_FOUND, Subject.LOG_FILE, "b", key)))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote(uri, errors="surrogatepass") == f"s3://b/{key}"
    assert "?" not in uri
