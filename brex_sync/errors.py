"""Everything that can be foreseen to go wrong, as one tree under `BrexSyncError`.

The message of an error says what happened, to what, and, where it depends on the case, what to do.
It is for people, and holds no secret. `remedy` of its class is what to do in general;
docs/errors.md lists the tree with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


class BrexSyncError(Exception):
    """A foreseen fault. `remedy` is what the person who meets one of this class should do."""

    remedy: ClassVar[str] = "Read the message: it says what to do."

    @property
    def sentence(self) -> str:
        """The first line of the message."""
        return str(self).strip().partition("\n")[0] or type(self).__name__


# --- This machine and its settings


class SettingsError(BrexSyncError):
    """A setting is missing or wrong."""

    remedy = "Correct the setting that the message names; the README lists all of them."


class VaultError(SettingsError):
    """Secrets cannot be sealed or opened. The message holds no key."""

    remedy = "Bring back the encryption key with which they were sealed."


class FolderError(BrexSyncError, OSError):
    """A folder cannot be made, or must not be used. `strerror` says why, `filename` is its path."""

    remedy = "Set BREX_SYNC_HOME to a folder of yours that you can write to."

    def __str__(self) -> str:
        return (
            f"cannot use {self.filename} ({self.strerror}): set BREX_SYNC_HOME to a folder of yours"
        )


class PortTaken(BrexSyncError):
    """Another program listens on the port that was asked for."""

    remedy = "End the other program, or choose another port with --port or its setting."


class EmbeddedPostgresError(BrexSyncError):
    """The embedded server cannot be started or used. The message is one line."""

    remedy = "Do what the message says, or set BREX_SYNC_DATABASE_URL to a Postgres of yours."

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class UpError(BrexSyncError):
    """`brex-sync up` cannot start, or a part of it ended."""

    remedy = "Do what the message says; the parts' logs are in `logs` in BREX_SYNC_HOME."


class ChildEnded(UpError):
    """A process that was to go on has ended. The message names it and its log."""

    remedy = "Read the log that the message names, and start again."


class CodeNotLoaded(UpError):
    """Dagster cannot load the code location. The message says why."""

    remedy = "Correct what the message names, most often a setting, and start again."


class NoDatabase(UpError):
    """No database is set, and none of our own was started."""

    remedy = "Set BREX_SYNC_DATABASE_URL, or start with `brex-sync up`, which runs a Postgres."


# --- Brex


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The parts of a response without success that decide what it means."""

    status: int
    body: bytes
    trace_id: str | None
    retry_after: float | None


class BrexError(BrexSyncError):
    """Brex gave no usable response. `fault` is the response, if one came."""

    fault: ErrorResponse | None = None
    remedy = "See the message; what was stored stays, and the next run asks again."


class Transient(BrexError):
    """May pass by itself: worth asking again. `retry_after` is in seconds, if Brex said so."""

    remedy = "Nothing: requests are repeated, and the next run goes on from here."

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(Transient):
    """No response came: no connection, a broken one, or none within the deadline."""

    remedy = "See that this machine reaches Brex; nothing, if it was an outage."


class RateLimited(Transient):
    """HTTP 429, or another refusal in which Brex says that there were too many requests."""

    remedy = "Nothing, or find what else uses the same credential: its requests count too."


class ServerFault(Transient):
    """HTTP 5xx, 408 or 425."""

    remedy = "Nothing; if it goes on, tell Brex the trace id in the message."


class UnusableAnswer(Transient):
    """A body that is not the JSON the endpoint promises, or a refusal that is not in Brex's form.

    It proves nothing: no end of data, no missing row or permission, no dead credential.
    """

    remedy = "Look for a proxy or firewall between this machine and Brex, if it goes on."


class NoContent(UnusableAnswer):
    """HTTP 204 or 205 where a list or a row is promised."""


class NeverAsked(BrexError):
    """The request was not made, and never will be: the message says why."""

    remedy = "Correct the request that the message names."


class Oversized(BrexError):
    """The response is larger than is taken."""

    remedy = "Report it, with the path in the message."


class PageTooHeavy(BrexError):
    """A page of this size fails again and again, and a small one at the same place does not."""

    remedy = "Nothing: smaller pages are asked for."


class LoopingCursor(BrexError):
    """The pages of a list do not end: a cursor came twice, or the time for it was over."""

    remedy = "Nothing: the next run begins the list again; tell Brex if it goes on."


class Refused(BrexError):
    """HTTP 4xx in Brex's form: asking again the same way would change nothing."""

    remedy = "See Brex's words in the message."


class CursorRefused(Refused):
    """HTTP 4xx on a page cursor: it expired, or belongs to another list."""

    remedy = "Nothing: the list is read from its beginning."


class PageTooLarge(Refused):
    """HTTP 400 about the page limit. `numbers` are those in Brex's words: a limit may be one."""

    remedy = "Nothing: smaller pages are asked for."

    def __init__(self, message: str, numbers: tuple[int, ...]) -> None:
        super().__init__(message)
        self.numbers = numbers


class NotFound(Refused):
    """HTTP 404, from Brex itself."""


class CredentialRefused(Refused):
    """Brex says that the token is invalid, expired or revoked: all streams are concerned."""

    remedy = "Connect again with `brex-sync connect`, or set a new BREX_API_KEY."


class NotAllowed(Refused):
    """Brex refuses this endpoint (a role, a scope, a product); others may still be read."""

    remedy = "Grant the scope or role that the message names, or leave the stream out."


class LinkRefused(Refused):
    """An upload link is no longer valid: Brex's live for 30 minutes."""

    remedy = "Resume the workflow: it asks for a new link."


# --- Connections


class OAuthError(BrexError):
    """No tokens came. `lost` says that Brex may have issued some in a response that was lost."""

    remedy = "See the message."
    lost = False


class ConsentRefused(OAuthError):
    """Brex sent the person back without a code, or someone else's response came."""

    remedy = "Run `brex-sync connect` again, and consent."


class GrantRefused(OAuthError):
    """`invalid_grant`: the code or refresh token is used, expired or revoked. `lost` if the
    response to the request before it was lost."""

    remedy = "Run `brex-sync connect`: a person must consent again."

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class ApplicationRefused(OAuthError):
    """Brex does not take the client id, its secret, or the request as they are set here."""

    remedy = "Correct BREX_CLIENT_ID, BREX_CLIENT_SECRET or BREX_REDIRECT_URI."


class TokenEndpointUnavailable(OAuthError):
    """The token endpoint could not be reached, failed, or asked for patience."""

    remedy = "Nothing: it is asked again."

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class RefreshUncertain(OAuthError):
    """The request was sent, and no usable response came. Brex may have replaced the token."""

    remedy = "Nothing: the old token is tried again, and the message comes back if it is refused."
    lost = True


class ActionNeeded(BrexError):
    """The connection cannot be used until a person acts."""

    remedy = "Do what the message says, most often `brex-sync connect`."


class ConnectError(BrexSyncError):
    """The account was not connected. What was connected before still is."""

    remedy = "Do what the message says, and connect again."


class NoReceiver(ConnectError):
    """The redirect address cannot be listened on, or nobody came."""

    remedy = "Free the port, or connect with --no-browser."


# --- The warehouse


class WarehouseError(BrexSyncError):
    """The warehouse cannot be used, or is not as it should be."""


class PostgresError(WarehouseError):
    """Postgres refused a statement or a session.

    `said` is the message without the word "Postgres"; `sqlstate` Postgres's code, None where no
    session came about; `connection_lost` says that the session has ended; `orig` is the driver's
    exception.
    """

    remedy = "Do what the message says; if it says nothing, report it."

    def __init__(
        self, said: str, orig: BaseException | None = None, *, connection_lost: bool = False
    ) -> None:
        super().__init__(f"Postgres: {said}")
        self.said = said
        self.orig = orig
        self.connection_lost = connection_lost
        self.sqlstate: str | None = getattr(orig, "sqlstate", None)


class PostgresUnavailable(PostgresError):
    """Postgres cannot be reached, or cannot do this now (locks, disk, connections, a restart)."""

    remedy = "Do what the message says; what was stored stays, and the next run goes on from here."


class UnfitDatabase(PostgresError):
    """The database cannot be the warehouse. The message says why."""

    remedy = "Name a database in BREX_SYNC_DATABASE_URL that has what the message asks for."

    def __str__(self) -> str:
        return self.said


class TableMismatch(WarehouseError):
    """A table is not what the declaration says, in a way that no run may mend."""

    remedy = "Rename or drop what the message names: the next run makes it again."


class WarehouseIsNewer(TableMismatch):
    """A later version of brex_sync has upgraded the warehouse."""

    remedy = "Install that version or a later one."


class LeaseLost(WarehouseError):
    """Another process found a lease ended, and acted on that; its holder must not go on."""

    remedy = "Nothing: the other process has taken over. Look whether this machine was suspended."


class Fenced(WarehouseError):
    """Another run has taken over this list; what this one still had in hand is dropped."""

    remedy = "Nothing: the other run reads the list."


# --- Syncing


class SyncError(BrexSyncError):
    """A stream, or a run, could not be read."""


class UnknownStream(SyncError):
    """A name is no stream's and no child table's. The message names what there is."""

    remedy = "Choose one of the names in the message."


class ConnectionBusy(SyncError):
    """Another run has the connection. The message says which, since when, and what started it."""

    remedy = "Wait for it, for instance with `brex-sync sync --wait`."


class ParentFailed(SyncError):
    """A stream with one list per row of another cannot be read, as the other one failed."""

    remedy = "See the other stream's error."


class StreamUnavailable(SyncError):
    """No list of a stream may be read, or none is known as the stream of their rows may not be."""

    remedy = "Grant the scope or role that the message names, or leave the stream out."


class ListUnavailable(SyncError):
    """The credential does not reach a list, or the company does not have what it is of."""

    remedy = "Grant the scope or role that the message names."


class ListLost(SyncError):
    """Brex has no list where there should be one: a fault, of which nothing is concluded."""

    remedy = "Nothing: the next run asks again."


# --- Marts


class MartError(BrexSyncError):
    """A file does not declare a mart, or Postgres refuses the mart. The message names the file.

    `path` is the file, `said` what is wrong in it, `line` the line where that is known.
    """

    remedy = "Correct the file that the message names; the next run makes the mart again."

    def __init__(self, path: Path, said: str, *, line: int | None = None) -> None:
        where = str(path) if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {said}")
        self.path, self.said, self.line = path, said, line


# --- Exports


class ExportError(BrexSyncError):
    """Files of an export cannot be written or resumed."""

    remedy = "Choose another folder with -o, or start over with --full."


# --- The company's page


class BadFilter(BrexSyncError):
    """The address of a page names a filter or a value that is none. The message says which."""

    remedy = "Correct the filter that the message names, or choose it on the page."


class NoSuchPage(BrexSyncError):
    """There is no mart or panel of that name, or it cannot be read yet."""

    remedy = "Begin at the page itself; a mart that is missing is made by the next sync."


# --- Webhooks, requests, workflows


class MalformedEvent(BrexSyncError):
    """An event does not hold what its type promises."""

    remedy = "Report it, with the event's type and id."


class DeliveryRejected(BrexSyncError):
    """A delivery is not accepted. `status` is the HTTP status, `reason` a few words to count by."""

    remedy = "See the counts in brex_sync.webhook_refusals."

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class WrongSignature(DeliveryRejected):
    """No known secret makes any of its signatures: it is forged, or there are new secrets."""

    def __init__(self) -> None:
        super().__init__(401, "wrong signature")


class FilterError(BrexSyncError):
    """A jq program, or what it was applied to, cannot be used. The message is one line."""

    remedy = "Correct the program of --jq."


class WorkflowError(BrexSyncError):
    """A workflow cannot be run."""

    remedy = "Do what the message says; `brex-sync workflow show` tells what was done."


class BadInputs(WorkflowError):
    """The inputs of a workflow cannot be used; nothing was written. `faults` has all of them."""

    remedy = "Correct the inputs that the message names."

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class RunBusy(WorkflowError):
    """Another process runs this workflow run right now."""

    remedy = "Wait for it."


class OtherInputs(WorkflowError):
    """The run was started with other inputs."""

    remedy = "Choose another run id, or give the inputs it was started with."


class Unconfirmed(WorkflowError):
    """The run spends money or ends something, and nobody has confirmed it. `what` describes it."""

    remedy = "Confirm, for instance with --yes, if that is what you want."

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} That needs a confirmation; nothing was done")
        self.what = what


class UnknownRun(WorkflowError):
    """No run of a workflow has this id."""

    remedy = "List the runs with `brex-sync workflow runs`."

    def __init__(self, run_id: str) -> None:
        super().__init__(f"no workflow's run is called {run_id}")


class StepFailed(WorkflowError):
    """A step, or several that do not depend on one another, did not succeed."""

    remedy = "Correct the cause, and resume the run: completed steps are not repeated."

    def __init__(self, message: str, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class UnfitFile(WorkflowError):
    """A file is not read. The message says why, and goes after its name."""

    remedy = "Put a regular file of one of the accepted types into the folder itself."
