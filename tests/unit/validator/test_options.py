from pathlib import Path

import pytest

from opentrail_validator.flags import read_flags
from opentrail_validator.options import DEFAULT_CONCURRENCY, UsageMistakes, read_options

ARN = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/audit"
OTHER = "arn:aws:cloudtrail:us-east-1:444455556666:trail/other"
NOW = 1_772_400_000
LEAST = ["--trail-arn", ARN, "--start-time", "2026-03-01T10:00:00Z"]


def mistakes(*argv: str) -> tuple[str, ...]:
    with pytest.raises(UsageMistakes) as caught:
        read_options(argv, NOW)
    return caught.value.mistakes


def test_the_least_that_is_asked():
    options = read_options(LEAST, NOW)
    assert options.trail_arns == (ARN,)
    assert (options.start, options.end) == (1_772_359_200, NOW)
    assert options.accounts == options.regions == ()
    checks = options.checks
    assert checks.coverage
    assert checks.records
    assert checks.unlisted
    assert (options.output, options.concurrency, options.progress) == ("text", DEFAULT_CONCURRENCY, None)


def test_lists_are_repeated_or_have_commas_and_each_value_counts_once():
    accounts = ["--account-id", "111122223333, 444455556666", "--account-id", "111122223333"]
    options = read_options([*LEAST, "--trail-arn", OTHER, *accounts, "--region", "us-east-1,eu-west-1"], NOW)
    assert options.trail_arns == (ARN, OTHER)
    assert options.accounts == ("111122223333", "444455556666")
    assert options.regions == ("us-east-1", "eu-west-1")


def test_all_accounts_and_regions_is_not_the_same_as_none_named():
    options = read_options([*LEAST, "--all-accounts", "--all-regions"], NOW)
    assert (options.accounts, options.regions) == (None, None)


@pytest.mark.parametrize(
    ("flag", "coverage", "required"),
    [([], None, True), (["--require-coverage"], True, True), (["--no-require-coverage"], False, False)],
)
def test_coverage_is_required_unless_it_is_said_that_it_is_not(flag, coverage, required):
    options = read_options([*LEAST, *flag], NOW)
    assert options.require_coverage is coverage
    assert options.checks.coverage is required


def test_a_bundle_says_what_is_asked():
    options = read_options(["--from", "bundle"], NOW)
    assert options.bundle == Path("bundle")
    assert (options.trail_arns, options.start, options.end) == ((), None, None)


def test_a_prefix_without_a_bucket_is_not_looked_at_as_in_the_aws_cli():
    assert read_options([*LEAST, "--s3-prefix", "p"], NOW).bucket is None


def test_all_mistakes_are_told_together():
    said = mistakes(
        "--trail-arn", "x", "--start-time", "soon", "--end-time", "2026-02-30", "--account-id", "1",
        "--region", "Mars!", "--organization-id", "org", "--output", "pdf", "--concurrency", "0", "--nonsense",
        "--heads", "s3:///prefix", "--storage-key", "k", "--state", "s", "--collect", "c",
    )  # fmt: skip
    assert said == (
        "unrecognized argument: --nonsense",
        "--organization-id has a meaning only with --s3-bucket",
        "--storage-key has a meaning only with --directory",
        "--state has no meaning with --collect: a bundle holds all of the time asked for",
        "Unable to parse date value: soon",
        "Unable to parse date value: 2026-02-30",
        "Invalid trail ARN provided: x",
        "Invalid --account-id: 1 is not 12 digits",
        "Invalid --region: 'Mars!' is no name of a region",
        "Invalid --organization-id: org is not o- and letters and digits",
        "Invalid --concurrency: 0 is not a number from 1 to 1024",
        "Invalid --heads: s3:///prefix names no bucket",
        "Invalid --output: pdf is none of text, json, junit, sarif",
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "the following arguments are required: --trail-arn, --start-time"),
        (["--trail-arn", ARN], "the following arguments are required: --start-time"),
        (["--trail-arn"], "argument --trail-arn: expected one argument"),
        ([*LEAST, "--trail", "x"], "unrecognized argument: --trail"),
        ([*LEAST, "--start-time", "1969-12-31"], "Unable to parse date value: 1969-12-31"),
        ([*LEAST, "--end-time", "9999-06-01"], "Unable to parse date value: 9999-06-01"),
        (
            [*LEAST, "--end-time", "2026-03-01T09:00:00"],
            "Invalid time range specified: start-time must occur before end-time",
        ),
        (
            [*LEAST, "--account-id", "111122223333", "--all-accounts"],
            "--account-id and --all-accounts exclude each other",
        ),
        (
            [*LEAST, "--concurrency", "9" * 5000],
            "Invalid --concurrency: " + "9" * 5000 + " is not a number from 1 to 1024",
        ),
        (["--from", "b", "--s3-bucket", "x"], "--s3-bucket has no meaning with --from: everything lies in the bundle"),
        (["--from", "b", "--state", "x"], "--state has no meaning with --from: everything lies in the bundle"),
        (["--from", "b", "--heads", "s3://h"], "--heads cannot be a bucket with --from: that needs no network"),
        (["--proof", "p", "--start-time", "2026-01-01"], "--start-time has no meaning with --proof"),
        (["--proof", "p", "--from", "b"], "--from has no meaning with --proof"),
        (["--proof", "p", "--output", "sarif"], "--output is text or json with --proof"),
    ],
)
def test_a_mistake(argv, said):
    assert said in mistakes(*argv)


def test_a_proof_needs_no_trail():
    options = read_options(["--proof", "p.json", "--public-keys", "keys.json", "--output", "json"], NOW)
    assert (options.proof, options.output) == (Path("p.json"), "json")


@pytest.mark.parametrize("text", ["2026-03-01T10:00:00+05:00", "2026-03-01 10:00", "20260301T100000Z"])
def test_an_offset_in_a_time_is_not_looked_at_as_in_the_aws_cli(text):
    assert read_options(["--trail-arn", ARN, "--start-time", text], NOW).start == 1_772_359_200


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as caught:
        read_flags(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    flags, _ = read_flags([])
    for name in vars(flags):
        assert ("--from" if name == "bundle" else f"--{name.replace('_', '-')}") in shown


@pytest.mark.parametrize(
    "flag",
    ["s3-bucket", "endpoint-url", "directory", "public-keys", "heads", "state", "collect", "from", "proof"],
)
def test_an_empty_value_is_not_taken_for_the_current_directory(flag):
    assert f"--{flag} is empty: give it a value, or leave it out" in mistakes(*LEAST, f"--{flag}", "")


def test_an_empty_prefix_is_none():
    assert read_options([*LEAST, "--s3-bucket", "logs", "--s3-prefix", ""], NOW).prefix == ""
