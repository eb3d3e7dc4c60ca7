"""docs/validate-logs.md says what the code does."""

import re
from pathlib import Path

from opentrail_validator.findings import FACTS
from opentrail_validator.flags import read_flags

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "validate-logs.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[1:]]


def test_the_table_of_findings_is_that_of_the_code():
    told = [tuple(row) for row in rows("Findings")]
    assert told == [
        (
            f"`{kind.value}`",
            facts.severity.value,
            facts.meaning,
            "" if facts.aws is None else "`" + re.sub(r"\{\w+\}", "…", facts.aws) + "`",
        )
        for kind, facts in FACTS.items()
    ]


def test_every_flag_is_told_and_no_other():
    flags, _ = read_flags([])
    there = {"--from" if name == "bundle" else f"--{name.replace('_', '-')}" for name in vars(flags)}
    told = {flag for row in rows("Flags") for flag in re.findall(r"`(--[a-z0-9-]+)`", row[0])}
    assert told - {"--no-require-coverage", "--no-progress"} == there


def test_every_exit_code_is_told():
    assert [row[0] for row in rows("Exit codes")] == ["0", "1", "2", "3"]
