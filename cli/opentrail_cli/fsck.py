"""`opentrail fsck`: bucket, ledger and bus against each other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from opentrail_backends.state.inspection import inspection_of
from opentrail_cli.composition import Parts
from opentrail_cli.errors import CommandFailed
from opentrail_cli.services import SPOOL_BUCKET
from opentrail_delivery.fsck import Fsck, FsckTools
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import Spool


def run_fsck(parts: Parts, since: str | None, *, deep: bool) -> dict[str, Any]:
    """Compares everything, from a time on. Raises CommandFailed and backend errors."""
    seconds = _seconds(since)
    parts.spool_store.create_bucket(SPOOL_BUCKET)
    tools = FsckTools(
        event_bus=parts.event_bus,
        object_store=parts.object_store,
        state=parts.state,
        inspection=inspection_of(parts.state),
        spool=Spool(parts.spool_store, SPOOL_BUCKET),
        settings=DeliverySettings(digest_seconds=parts.settings.digest_seconds),
    )
    report = Fsck(tools, since=seconds, deep=deep).run()
    return {
        "findings": [
            {
                "kind": one.kind.value,
                "severity": one.severity.value,
                "subject": one.subject,
                "detail": one.detail,
            }
            for one in report.findings
        ],
        "unchecked": [{"subject": subject, "reason": reason} for subject, reason in report.unchecked],
        "checked": dict(sorted(report.checked.items())),
        "exit_code": report.exit_code,
    }


def print_fsck(result: dict[str, Any], console: Console) -> None:
    """Errors first, then notices, then what could not be checked."""
    for severity, style in (("error", "red"), ("notice", "yellow")):
        for one in result["findings"]:
            if one["severity"] == severity:
                detail = f"  {one['detail']}" if one["detail"] else ""
                console.print(f"{severity}  {one['kind']}  {one['subject']}{detail}", style=style)
    for one in result["unchecked"]:
        console.print(f"could not be checked  {one['subject']}: {one['reason']}", style="yellow")
    looked_at = ", ".join(f"{count} {what}" for what, count in result["checked"].items())
    errors = sum(one["severity"] == "error" for one in result["findings"])
    notices = len(result["findings"]) - errors
    console.print(f"Looked at {looked_at or 'nothing'}: {errors} errors, {notices} notices.")


def _seconds(since: str | None) -> int:
    if since is None:
        return 0
    try:
        time = datetime.fromisoformat(since)
    except ValueError:
        raise CommandFailed(
            f"--since must be a date or a time such as 2026-01-31 or 2026-01-31T12:00:00Z: {since}"
        ) from None
    return int((time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp())
