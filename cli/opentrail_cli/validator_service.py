"""Puts the validator service together: `opentrail serve validator`, and the validator's part of `opentrail up`."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from prometheus_client import CollectorRegistry

from opentrail_cli.composition import Parts
from opentrail_cli.credentials import operator_token_at
from opentrail_cli.errors import CommandFailed
from opentrail_cli.settings import Settings
from opentrail_cli.validator_chains import StateCatalogue
from opentrail_cli.validator_sources import ChainSources, notifier_of
from opentrail_validator.question import Question, Sources
from opentrail_validator.service.book_file import BookUnusable
from opentrail_validator.service.port import WatchedChain
from opentrail_validator.service.server import ValidatorService
from opentrail_validator.service.settings import Listener, ServerSettings, TlsFiles, WatchSettings


class Catalogue:
    """Chains from the state store, and their sources."""

    def __init__(self, parts: Parts) -> None:
        self._chains = StateCatalogue(parts.state, parts.settings.regions)
        self._sources = ChainSources(parts)

    def chains(self) -> Sequence[WatchedChain]:
        """All chains that are to be watched. Raises CatalogueUnavailable."""
        return self._chains.chains()

    def sources(self, question: Question) -> Sources:
        """Where a chain's objects, public keys and heads come from."""
        return self._sources.sources(question)


def validator_service(
    parts: Parts, certificate: tuple[bytes, bytes] | None, registry: CollectorRegistry | None
) -> ValidatorService:
    """The service, not yet started. `certificate`: chain and private key (PEM). Raises CommandFailed, ValueError."""
    settings = parts.settings
    tls = None if certificate is None else TlsFiles(certificate_chain=certificate[0], private_key=certificate[1])
    server = ServerSettings(
        listener=Listener(address=settings.validator_address, tls=tls, plaintext_allowed=settings.plaintext_allowed),
        token_sha256=sha256(operator_token_at(token_file(settings)).encode()).digest(),
        drain_seconds=settings.drain_seconds,
    )
    try:
        return ValidatorService(
            server,
            _watch_settings(settings),
            Catalogue(parts),
            notifier_of(parts),
            _book_file(settings),
            registry=registry,
        )
    except BookUnusable as error:
        raise CommandFailed(str(error)) from error


def token_file(settings: Settings) -> Path:
    """Where the operator's token lies."""
    return settings.validator_token_file or settings.data_directory.resolve() / "validator.token"


def _book_file(settings: Settings) -> Path:
    path = settings.validator_book_file or settings.data_directory.resolve() / "validator-book.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailed(f"The folder {path.parent} cannot be made: {error.strerror}.") from error
    return path


def _watch_settings(settings: Settings) -> WatchSettings:
    return WatchSettings(
        cycle_seconds=settings.validator_cycle_seconds,
        lookback_seconds=settings.validator_lookback_seconds,
        full_every=settings.validator_full_every,
        oldest_seconds=settings.validator_oldest_seconds,
        parallel=settings.validator_parallel,
    )
