"""How people and pipelines come in: console sign-ins, switched roles, roles across accounts."""

from __future__ import annotations

from random import Random

from opentrail_cli.realistic_events.organization import (
    HOME_REGION,
    MANAGEMENT,
    PRODUCTION,
    Organization,
    iam_user,
    root,
)
from opentrail_cli.realistic_events.record import (
    Call,
    Caller,
    GeneratedEvent,
    make_event,
    make_unique_id,
    make_uuid,
)

_KINDS = {"federated": 40, "user with MFA": 12, "user without MFA": 5, "wrong password": 4, "root": 1, "across": 38}
_BROWSER = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:133.0) Gecko/20100101 Firefox/133.0"


def sign_in(random: Random, organization: Organization, time: int) -> list[GeneratedEvent]:
    """Someone comes in. A role that is taken on across accounts is recorded in both."""
    kind = random.choices(list(_KINDS), list(_KINDS.values()))[0]
    if kind == "across":
        return _across_accounts(random, organization, time)
    if kind == "federated":
        return [_console(random, random.choice(organization.people), time, mfa=False)]
    if kind == "root":
        return [_console(random, root(MANAGEMENT), time, mfa=True)]
    user = iam_user(random, PRODUCTION, "ines.castro", "2001:db8:88:20:5c1e:9aff:fe0b:310d", _BROWSER)
    if kind == "wrong password":
        return [_failed_console(random, user, time)]
    return [_console(random, user, time, mfa=kind == "user with MFA")]


def _console(random: Random, caller: Caller, time: int, *, mfa: bool) -> GeneratedEvent:
    additional = {
        "LoginTo": "https://console.aws.amazon.com/console/home",
        "MobileVersion": "No",
        "MFAUsed": "Yes" if mfa else "No",
    }
    if mfa:
        additional["MFAIdentifier"] = f"arn:aws:iam::{caller.account_id}:mfa/phone"
    return make_event(random, caller, _console_login({"ConsoleLogin": "Success"}, additional), time)


def _failed_console(random: Random, user: Caller, time: int) -> GeneratedEvent:
    """A wrong user name is hidden, because people type their password there (CloudTrail: userIdentity)."""
    identity = {
        "type": "IAMUser",
        "accountId": user.account_id,
        "accessKeyId": "",
        "userName": "HIDDEN_DUE_TO_SECURITY_REASONS",
    }
    caller = Caller(identity, user.account_id, user.source_ip, user.user_agent)
    additional = {"MobileVersion": "No", "MFAUsed": "No"}
    event = _console_login(
        {"ConsoleLogin": "Failure"}, additional, error_message="No username found in supplied account"
    )
    return make_event(random, caller, event, time)


def _console_login(response: dict[str, str], additional: dict[str, str], error_message: str | None = None) -> Call:
    return Call(
        source="signin",
        name="ConsoleLogin",
        region=HOME_REGION,
        read_only=False,
        response=response,
        additional=additional,
        event_type="AwsConsoleSignIn",
        error_message=error_message,
    )


def _across_accounts(random: Random, organization: Organization, time: int) -> list[GeneratedEvent]:
    """The pipeline of one account takes on a role in production: two records with one `sharedEventID`."""
    deployer = random.choice(organization.deployers)
    target = f"arn:aws:iam::{PRODUCTION}:role/deploy"
    call = Call(
        source="sts",
        name="AssumeRole",
        region=HOME_REGION,
        read_only=True,
        parameters={"roleArn": target, "roleSessionName": "release", "durationSeconds": 3600},
        response={
            "credentials": {
                "accessKeyId": make_unique_id(random, "ASIA"),
                "sessionToken": "HIDDEN_DUE_TO_SECURITY_REASONS",
                "expiration": organization.credentials_expire,
            },
            "assumedRoleUser": {
                "assumedRoleId": f"{make_unique_id(random, 'AROA')}:release",
                "arn": f"arn:aws:sts::{PRODUCTION}:assumed-role/deploy/release",
            },
        },
        resources=[{"accountId": PRODUCTION, "type": "AWS::IAM::Role", "ARN": target}],
        extra={"sharedEventID": make_uuid(random)},
    )
    records = [make_event(random, deployer, call, time)]
    if deployer.account_id != PRODUCTION:
        identity = {
            "type": "AWSAccount",
            "principalId": deployer.identity["principalId"],
            "accountId": deployer.account_id,
        }
        seen_there = Caller(identity, PRODUCTION, deployer.source_ip, deployer.user_agent)
        records.append(make_event(random, seen_there, call, time))
    return records
