"""What an operation may use to answer, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from opentrail.trails.caller import Caller
from opentrail.trails.configuration import Configuration, ConfigurationHistory
from opentrail_backends.state.port import NewChange, StateStore
from opentrail_control_plane.event_intake import EventIntake
from opentrail_control_plane.targets import Targets


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose access key signed the request."""

    access_key_id: str
    """The one that was used; of a session, the temporary one."""
    user_name: str
    """The key's name; empty: it stands for the account's root."""
    role: str
    """`admin` or `read-only`."""
    session_created_at: int = 0
    """Epoch seconds, of a session; 0: a long-lived key."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What operations use besides the state store."""

    targets: Targets | None
    """Checks buckets, topics and keys when they are set; None checks nothing."""
    intake: EventIntake | None
    """The way onto the bus; None where this process has none."""
    regions: Sequence[str]
    """The regions there are."""
    token_key: bytes = field(repr=False)
    """Seals paging tokens; the installation's."""


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, from which region, and what is known."""

    caller: Caller
    """The access key's account, and the region of the signature's scope: where the caller believes to be."""
    identity: Identity
    history: ConfigurationHistory
    state: StateStore
    now: int
    """Epoch seconds."""
    ports: Ports
    request_id: str

    @property
    def account_id(self) -> str:
        """The caller's account."""
        return self.caller.account_id

    @property
    def region(self) -> str:
        """The caller's region."""
        return self.caller.region

    @property
    def configuration(self) -> Configuration:
        """The newest configuration."""
        return self.history.newest


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operation answers. It writes nothing itself."""

    output: dict[str, Any]
    """The members of its output by the model's names; those that are None are left out."""
    changes: Sequence[NewChange] = ()
    """What is to be applied, provided that nobody else changed the configuration meanwhile: else it is called again."""
