import io
import re
from xml.etree import ElementTree as ET

from opentrail_validator import Finding, Kind, Span, Subject
from opentrail_validator.chain_validation import NoPublicKeys
from opentrail_validator.reports.junit import JunitReport
from tests.unit.validator.reports.runs import BAD, GAP, HOUR, L1, L2, LOG, LOST, VALID, one, question, tell

# What Jenkins' schema (junit-10.xsd) lets these elements have.
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "disabled", "errors"},
    "testsuite": {
        "name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package",
        "file", "log", "url", "version",
    },
    "testcase": {"name", "time", "classname", "group"},
    "failure": {"message", "type"},
    "skipped": {"message", "type"},
    "system-out": set(),
}  # fmt: skip
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase"},
    "testcase": {"failure", "skipped", "system-out"},
    "failure": set(),
    "skipped": set(),
    "system-out": set(),
}


def suites(chains, **more):
    out = io.StringIO()
    tell(JunitReport(out), chains, **more)
    root = ET.fromstring(out.getvalue().encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= CHILDREN[element.tag]
    for suite in root:
        cases = list(suite)
        assert int(suite.get("tests")) == len(cases)
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
        assert int(suite.get("errors")) == 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
        assert all(case.get("name") and case.get("classname") for case in cases)
    return list(root)


def test_a_suite_for_a_chain_and_a_case_for_what_is_not_valid():
    (suite,) = suites(one(VALID, LOG, BAD, LOST, GAP))
    assert suite.get("name") == "audit.111122223333.eu-west-1"
    bad, lost, gap, whole = suite
    assert bad.get("name") == f"Log file s3://b/{L2}"
    failure = bad.find("failure")
    assert (failure.get("type"), failure.get("message")) == ("hash-mismatch", "hash value doesn't match")
    assert failure.text.startswith(f"Log file s3://b/{L2}: hash value doesn't match\ncritical: ")
    assert lost.find("skipped").get("message") == "could not be checked: connection reset"
    assert gap.find("system-out").text.startswith("No log files were delivered")
    assert (whole.get("name"), len(whole)) == ("Chain as a whole", 0)


def test_a_valid_chain_is_one_case_or_with_verbose_all():
    (suite,) = suites(one(VALID, LOG))
    assert [case.get("name") for case in suite] == ["Chain as a whole"]
    (suite,) = suites(one(VALID, LOG), verbose=True)
    assert [case.get("name") for case in suite][1:] == [f"Log file s3://b/{L1}", "Chain as a whole"]


def test_several_chains_are_several_suites():
    chains = [(question(), [BAD], []), (question(region="us-east-1"), [], NoPublicKeys(0, HOUR))]
    first, second = suites(chains)
    assert (first.get("failures"), first.get("skipped")) == ("1", "0")
    assert (second.get("name"), second.get("skipped")) == ("audit.111122223333.us-east-1", "1")
    assert second.find("testcase/skipped").get("message").startswith("No public keys found between")


def test_what_xml_cannot_hold_is_escaped():
    key = "a\x00<b>&\"'\n]]>\x1b\ud800\ufffe"
    (suite,) = suites(one(Finding(Kind.NOT_FOUND, Subject.LOG_FILE, "b", key, "\x01")))
    assert suite[0].get("name") == "Log file s3://b/a\\x00<b>&\"'\\n]]>\\x1b\\ud800\\ufffe"


def test_a_suite_of_very_many_cases_waits_on_the_disk():
    many = (Finding(Kind.NOT_FOUND, Subject.LOG_FILE, "b", f"{number}") for number in range(20_000))
    (suite,) = suites([(question(), many, [Span(0, HOUR)])])
    assert suite.get("failures") == "20000"
