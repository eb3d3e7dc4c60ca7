import pytest

from opentrail_validator import Finding, Kind, Subject, Verdict
from opentrail_validator.findings import FACTS
from opentrail_validator.reports.port import printable
from opentrail_validator.reports.words import line

RECORDED = "Digest file\ts3://b/a/k\tINVALID: not the digest file that"
NEXT = f"{RECORDED} the next one recorded"
COVERS = "Digest files\ts3://b/a/k\tINVALID: no valid digest file covers"
HASH = "Log file\ts3://b/a/k\tINVALID: hash value doesn't match"
HOUR = "1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z"
STATE = "its head does not verify: it is not used, and everything is read"


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("subject", Subject)
def test_every_kind_has_its_words_for_every_subject(kind, subject):
    text = line(Finding(kind, subject, "b", "k", "f00d", start=0, end=1), "eu-west-1")
    assert "{" not in text
    assert ("\tINVALID: " in text) == (kind.verdict is Verdict.INVALID)
    assert "\n" not in text


@pytest.mark.parametrize("kind", [kind for kind in Kind if FACTS[kind].aws and kind.verdict is Verdict.INVALID])
def test_the_aws_clis_words_are_used_where_it_has_some(kind):
    if kind is Kind.NOTHING_FOUND:  # its words stand in the summary
        return
    words = FACTS[kind].aws.format(home_region="eu-west-1", detail="f00d")
    assert f"\tINVALID: {words}" in line(Finding(kind, Subject.DIGEST, "b", "k", "f00d"), "eu-west-1")


@pytest.mark.parametrize(
    ("kind", "subject", "detail", "said"),
    [
        (Kind.NOT_FOUND, Subject.DIGEST, "", "Digest file\ts3://b/a/k\tINVALID: not found"),
        (Kind.NOT_FOUND, Subject.DIGEST, "No such key: a/k", "Digest file\ts3://b/a/k\tINVALID: not found"),
        (Kind.NOT_FOUND, Subject.DIGEST, "expected", "Digest file\ts3://b/a/k\tINVALID: not found (expected)"),
        (
            Kind.CHAIN_BROKEN,
            Subject.DIGEST,
            "hash, signature",
            f"{NEXT} (hash, signature differs)",
        ),
        (
            Kind.CHAIN_BROKEN,
            Subject.DIGEST,
            "hash, says a head",
            f"{RECORDED} a head recorded (hash differs)",
        ),
        (Kind.CHAIN_BROKEN, Subject.DIGEST, "They link back", f"{RECORDED} was recorded (They link back)"),
        (Kind.TRUNCATED, Subject.LOG_FILE, "", f"{HASH} (the gzip member ends too early)"),
        (
            Kind.NOT_COVERED,
            Subject.CHAIN,
            "x",
            f"{COVERS} {HOUR}",
        ),
        (Kind.BAD_STATE, Subject.STATE, "", f"State file\ta/k\tINVALID: {STATE}"),
    ],
)
def test_a_line(kind, subject, detail, said):
    assert line(Finding(kind, subject, "b", "a/k", detail, 0, 3600), "eu-west-1") == said


def test_printable_leaves_harmless_text_alone():
    assert printable("s3://b/Ünï/é 日本") == "s3://b/Ünï/é 日本"
    assert printable("a\r\nb\x00") == r"a\r\nb\x00"
