"""Connecting a Brex account, disconnecting it, and encrypting the stored secrets with a new key."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

import sqlalchemy as sa

from brex_sync.brex.client import BrexApi, BrexClient, Patience
from brex_sync.brex.company import Company
from brex_sync.brex.oauth import Consent, Tokens
from brex_sync.brex.reach import reach
from brex_sync.connections import vault as vaults
from brex_sync.connections.credentials import ask_whose, now_utc, open_oauth, stored
from brex_sync.connections.declared import Connection, find, load_connections
from brex_sync.connections.health import digest_of
from brex_sync.connections.limits import limiter
from brex_sync.connections.vault import Vault
from brex_sync.databases import open_database
from brex_sync.embedded.lock import exclusive
from brex_sync.errors import ConnectError, CredentialRefused, Transient, UnusableAnswer, VaultError
from brex_sync.settings import Configuration, Settings
from brex_sync.streams import STREAMS, Stream
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse import credentials as table
from brex_sync.warehouse.credentials import CredentialState
from brex_sync.warehouse.events import webhook_secrets
from brex_sync.warehouse.status import runs
from brex_sync.warehouse.workflows import workflow_runs

log = logging.getLogger(__name__)

COMPANY_SCOPE = "companies.readonly"
"""Lets us ask whose account it is."""
Answer = Callable[[Consent], str]
"""Puts a question to a person; answers with the URL they were sent back to."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The result of connecting. `reach` has for each stream why it cannot be read, or None."""

    company: Company
    scopes: frozenset[str] | None
    reach: dict[str, str | None]


def wanted_scopes(streams: Iterable[Stream], more: Iterable[str] = ()) -> list[str]:
    """The scopes that these streams need, the one for the company's name, and `more`.

    A scope that is a URL is granted to an application itself, never by a person, and is left out.
    """
    asked = {*(stream.scope for stream in streams), *more, COMPANY_SCOPE}
    return sorted(scope for scope in asked if "://" not in scope)


def by_consent(connection: Connection, scopes: Iterable[str], login: bool, ask: Answer) -> Tokens:
    """Tokens from a person's consent. Raises OAuthError if there is none."""
    with open_oauth(connection) as oauth:
        consent = oauth.ask(scopes, login=login)
        tokens = oauth.exchange(consent, ask(consent))
    if tokens.refresh is None:
        raise ConnectError(
            "Brex gave no refresh token, without which the connection would end in an hour: "
            "consent to offline_access"
        )
    return tokens


def by_refresh_token(connection: Connection, refresh_token: str) -> Tokens:
    """Tokens for a refresh token from elsewhere, which is thereby used up."""
    with open_oauth(connection) as oauth:
        tokens = oauth.refresh(refresh_token)
    return Tokens(tokens.access, tokens.refresh or refresh_token, tokens.lifetime, tokens.scopes)


def establish(
    settings: Settings, connection: Connection, obtain: Callable[[], Tokens | str]
) -> Connected:
    """Obtains tokens or an API key, requests the company they belong to, and stores them encrypted.

    They are requested only once it is certain that they can be stored. A key in the environment
    stays there; only its state is stored.

    Raises:
        ConnectError: Brex rejects it, or it belongs to another company than before.
        VaultError: secrets cannot be encrypted.
    """
    with open_database(settings, prepared=True) as engine:
        _check_no_sandbox(settings, engine, connection.name)
        vault = None if connection.token else ready_vault(settings, engine, connection.name)
        credential = obtain()
        token = credential if isinstance(credential, str) else credential.access
        company = _company(connection, token, engine)
        _check_same_company(engine, connection.name, company)
        _store(engine, vault, connection, credential, company)
        scopes = None if isinstance(credential, str) else credential.scopes
        return Connected(company, scopes, _reach(connection, token, engine))


class Left(Enum):
    """What remains at Brex of a connection that was forgotten here."""

    NOTHING = "nothing that was good"
    REVOKED = "nothing: it was revoked"
    GRANT = "what it was granted is still good"


def disconnect(settings: Settings, name: str, *, revoke: bool = True) -> Left:
    """Revokes a connection's tokens at Brex, and deletes them here. API keys are only deleted here.

    Raises:
        OAuthError: Brex did not confirm the revocation; nothing was deleted.
        VaultError: the tokens cannot be decrypted.
    """
    connection = find(settings, name)
    with open_database(settings, prepared=True) as engine, table.locked(engine, name) as (db, row):
        left = Left.GRANT if row and row.state is CredentialState.CONNECTED else Left.NOTHING
        if revoke and row and row.secrets and connection.application:
            secrets = vault_of(settings).open(row.secrets)
            with open_oauth(connection) as oauth:
                oauth.revoke(secrets["refresh_token"])
            left = Left.REVOKED
        table.forget(db, name)
    return left


def rotate_key(settings: Settings) -> int:
    """Encrypts every stored secret with a new key, while syncs run. Returns the number of secrets.

    A new key is written to the key file, and the old one removed from it. If the keys come from the
    environment, the first is the new one.

    Raises:
        VaultError: a secret cannot be decrypted, or the environment has one key only.
    """
    with exclusive(settings.home / "encryption.lock"):
        given = settings.encryption_key
        if given is None:
            vaults.put_first(settings.home, vaults.new_key())
        elif "," not in given.get_secret_value():
            raise VaultError(
                f"put the new key before the old one, separated by a comma, into {vaults.VARIABLE} "
                "of every process, and run this again; then take the old one out"
            )
        count = _seal_anew(settings)
        if given is None:
            vaults.keep_first(settings.home)
    return count


def _seal_anew(settings: Settings) -> int:
    vault, count = vault_of(settings), 0
    with open_database(settings, prepared=True) as engine:
        for name in [row.connection for row in table.read_all(engine)]:
            with table.locked(engine, name) as (db, row):
                if row is not None and row.secrets is not None:
                    table.change(db, name, secrets=vault.seal(vault.open(row.secrets)))
                    count += 1
        workflow_runs.reseal(engine, lambda sealed: _sealed_anew(vault, sealed))
        with engine.begin() as db:
            for name, sealed in webhook_secrets.sealed_by_connection(db).items():
                webhook_secrets.change(db, name, vault.seal(vault.open(sealed)))
    return count


def _sealed_anew(vault: Vault, sealed: str) -> str:
    """The same secrets under the new key. A secret that no key decrypts is left as it is."""
    try:
        return vault.seal(vault.open(sealed))
    except VaultError:
        return sealed


def vault_of(settings: Settings) -> Vault:
    """The vault of these settings."""
    return vaults.open_vault(settings.home, settings.encryption_key)


def ready_vault(settings: Settings, engine: sa.Engine, name: str = "") -> Vault:
    """The vault, with a new key if this is the first secret. The stored secret of connection `name`
    is about to be replaced and is not checked.

    Raises:
        VaultError: the database has secrets of other connections that the key does not decrypt.
    """
    others = [r for r in table.read_all(engine) if r.secrets and r.connection != name]
    if settings.encryption_key is None and not others:
        vaults.make_key(settings.home)
    vault = vault_of(settings)
    for row in others:
        vault.open(row.secrets or "")
    return vault


def _check_no_sandbox(settings: Settings, engine: sa.Engine, name: str) -> None:
    known = next((c for c in load_connections(settings) if c.name == name), None)
    sandbox = known is not None and known.configuration is Configuration.SANDBOX
    if sandbox and runs.was_begun(Warehouse(engine, name)):
        raise ConnectError(
            f"the tables of {name} hold the sandbox's company: connect under another name "
            f"(brex-sync connect NAME), or set BREX_SYNC_HOME to a new folder"
        )


def _check_same_company(engine: sa.Engine, name: str, company: Company) -> None:
    row = table.read(engine, name)
    before, now = row.company_id if row else None, company.id
    if row is not None and before and now and before != now:
        raise ConnectError(
            f"that is {company.legal_name or now}, and the tables of {name} hold "
            f"{row.company_name or before}: connect it under another name"
        )


def _store(
    engine: sa.Engine,
    vault: Vault | None,
    connection: Connection,
    credential: Tokens | str,
    company: Company,
) -> None:
    now = now_utc()
    known = table.read(engine, connection.name)
    values: dict[str, object] = {
        "configuration": str(connection.configuration),
        "state": CredentialState.CONNECTED,
        "state_since": now,
        "company_id": company.id or (known.company_id if known else None),
        "company_name": company.legal_name or (known.company_name if known else None),
        "used_at": now,
        "tried_at": now,
    }
    if vault is None:
        values["digest"] = digest_of(str(credential))
    elif isinstance(credential, str):
        values["secrets"] = vault.seal({"api_key": credential})
    else:
        values |= stored(vault, credential, credential.refresh or "", now)
        values["granted"] = values["scopes"]
    with table.locked(engine, connection.name) as (db, _):
        table.put(db, connection.name, **values)
        table.end_refresh(db, connection.name)


def _company(connection: Connection, token: str, engine: sa.Engine) -> Company:
    """The company, without a name if Brex cannot return it now: the tokens must not be lost."""
    try:
        return ask_whose(connection, token, engine)
    except CredentialRefused as error:
        raise ConnectError(f"Brex does not take it: {error}") from None
    except UnusableAnswer as error:
        if connection.application is None:
            raise ConnectError(f"whether Brex takes it is not known; try again: {error}") from None
        log.warning("whose account this is could not be asked: %s", error)
        return Company()
    except Transient as error:
        log.warning("whose account this is could not be asked: %s", error)
        return Company()


def _reach(connection: Connection, token: str, engine: sa.Engine) -> dict[str, str | None]:
    async def ask() -> dict[str, str | None]:
        endpoint = BrexApi(connection.api_url, lambda: token)
        patience = Patience(attempts=3, total=30)
        async with BrexClient(endpoint, limiter(connection, engine), patience) as client:
            return await reach(client, STREAMS.values())

    return asyncio.run(ask())
