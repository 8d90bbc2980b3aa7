"""Runs the steps of one run: each is recorded before it is sent and after its response.

A step that is recorded as done returns its stored result, and nothing is sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from uuid import NAMESPACE_OID, uuid5

import httpx
import sqlalchemy as sa

from brex_sync.brex.client import BrexClient
from brex_sync.brex.uploads import put_file
from brex_sync.errors import BrexError, LinkRefused, Refused, StepFailed, WorkflowError
from brex_sync.warehouse.state.leases import Lease
from brex_sync.warehouse.workflows import step_log
from brex_sync.warehouse.workflows.step_log import StepRecord, StepState, WriteOrigin
from brex_sync.workflows import sending
from brex_sync.workflows.declare import Kept, Step, Until
from brex_sync.workflows.masking import cut_in, masked
from brex_sync.workflows.replay import StepNames, each_once
from brex_sync.workflows.run_request import RunRequest

READS_AT_ONCE = 8
"""The number of reads of one list of steps that are sent at the same time."""
UNKNOWN = (
    "; whether Brex did it is not known: when the run is resumed, the request is sent again with "
    "the same key"
)
Result = TypeVar("Result")


class Suspended(Exception):
    """The run must wait at a step. `reason` says for what, and what the last poll showed."""

    def __init__(self, step: StepRecord, until: Until, reason: str) -> None:
        super().__init__(reason)
        self.step, self.until, self.reason = step, until, reason


@dataclass(frozen=True, slots=True)
class StepRunner:
    """Runs the steps of one run, in this process.

    `recorded` are the steps of the run as they were when it was opened, by name. `touched` collects
    the keys of the rows that the steps change, by stream. `store` replaces the network for uploads.
    """

    connection: str
    client: BrexClient
    engine: sa.Engine
    lease: Lease
    request: RunRequest
    recorded: Mapping[str, StepRecord]
    store: httpx.AsyncBaseTransport | None = None
    touched: dict[str, list[str]] = field(default_factory=dict)
    _names: StepNames = field(default_factory=StepNames)
    _results: dict[str, Any] = field(default_factory=dict)

    async def run(self, step: Step) -> Any:
        """Returns the fields kept of a step's response, stored or new.

        Raises:
            StepFailed: Brex refused the step, or its result is not known.
            WorkflowError: the step is not declared, or is not the one that the run recorded.
            Suspended: the step waits.
            LeaseLost, PostgresError: the step cannot be recorded.
        """
        self.request.workflow.check(step)
        if self._names.is_repeated(step):
            return self._results[step.name]
        record = self._record_of(step)
        try:
            kept = await self._result(step, record)
        except BrexError as error:
            raise StepFailed(f"{step.name}: {error}", isinstance(error, Refused)) from None
        self._results[step.name] = kept
        for stream in step.refetch:
            self.touched.setdefault(stream, []).append(step.id or kept["id"])
        return kept

    async def run_all(self, steps: Sequence[Step]) -> list[Any]:
        """Returns the results of steps that do not depend on one another, in their order.

        Where Brex refuses one, the others are still sent. Raises what `run` does.
        """
        failures: list[StepFailed] = []

        async def run(step: Step) -> Any:
            if failures and (step.until or not failures[-1].refused):
                return None
            try:
                return await self.run(step)
            except StepFailed as failure:
                failures.append(failure)
                return None

        wanted = each_once(steps)
        if any(step.writes for step in wanted):
            results = [await run(step) for step in wanted]
        else:
            results = await _side_by_side(run, wanted)
        if failures:
            refused = all(failure.refused for failure in failures)
            raise StepFailed("\n".join(map(str, failures)), refused)
        by_name = {step.name: result for step, result in zip(wanted, results, strict=True)}
        return [by_name[step.name] for step in steps]

    def _record_of(self, step: Step) -> StepRecord:
        """Returns the record of a step, or a new one. Raises WorkflowError if they differ."""
        new = StepRecord(
            step.name, step.method, step.url, masked(step.body), StepState.NEW, 0, None
        )
        record = self.recorded.get(step.name, new)
        if (record.method, record.path, record.body) != (new.method, new.path, new.body):
            raise WorkflowError(
                f"{step.name}: the run was started by another version of the workflow, in which "
                f"this step was {record.method} {record.path}: start another run for what is left"
            )
        return record

    async def _result(self, step: Step, record: StepRecord) -> Any:
        if record.state is StepState.DONE:
            return sending.distinct(step, record.kept) if step.every else record.kept
        if step.until is not None:
            return await self._poll(step, step.until, record)
        if not step.writes:
            return await self._read(step, record)
        try:
            return await self._write(step, record)
        except LinkRefused:
            return await self._write(step, replace(record, refusals=record.refusals + 1))

    async def _read(self, step: Step, record: StepRecord) -> Any:
        kept = await sending.look(self.client, step)
        await self._record_read(record, kept)
        return kept

    async def _poll(self, step: Step, until: Until, record: StepRecord) -> Any:
        """Returns the fields kept of a read that shows what the step waits for.

        A failed read proves nothing, and the step still waits. If an earlier version of the
        workflow, without this wait, has begun a later step, there is nothing left to wait for.
        """
        seen, late = None, any(name not in self._names for name in self.recorded)
        try:
            kept = await sending.look(self.client, step)
            seen = kept.get(until.field)
            shows = f"{until.field} is {seen}"
        except BrexError as error:
            if late:
                raise
            shows = str(error)
        if late or seen == until.reaches:
            await self._record_read(record, kept)
            return kept
        if seen in until.never:
            raise StepFailed(f"{step.name}: {shows}, and not {until.reaches}", refused=True)
        waiting = replace(record, state=StepState.WAITING)
        raise Suspended(waiting, until, f"{step.name}: waits {until}; {shows}")

    async def _write(self, step: Step, record: StepRecord) -> Kept:
        request = self.request
        origin = WriteOrigin(request.run_id, self.connection, request.workflow.name, request.by)
        key = idempotency_key(request.run_id, step.name, record.refusals)
        number = await self._log(step_log.begin_write, origin, record, key)
        end = partial(self._log, step_log.end_write, request.run_id, step.name, number)
        sent = sending.Sent()
        try:
            if step.file is None:
                kept = await sending.send(self.client, step, key, sent)
            else:
                kept = await self._upload(step, record, key, sent)
        except BrexError as error:
            refused = isinstance(error, Refused) and not _in_doubt(step, record, sent)
            state = StepState.REFUSED if refused else StepState.BEGUN
            message = cut_in(str(error), step.body)
            await end(state, sent.result(error, message))
            if isinstance(error, LinkRefused):
                raise
            raise StepFailed(
                f"{step.name}: {message}{'' if refused else UNKNOWN}", refused
            ) from None
        await end(StepState.DONE, sent.result(), kept)
        return kept

    async def _upload(self, step: Step, record: StepRecord, key: str, sent: sending.Sent) -> Kept:
        """Uploads a file, unless an earlier attempt uploaded it and could not record that."""
        if record.kept and await sending.is_attached(self.client, step, record.kept["id"]):
            return dict(record.kept)
        content = await asyncio.to_thread(sending.read_file, step)
        link, kept = await sending.ask_for_link(self.client, step, key, sent)
        await self._log(step_log.record_kept, self.request.run_id, step.name, kept)
        await put_file(link, step.file.path.name if step.file else "", content, self.store)
        return kept

    async def _record_read(self, record: StepRecord, kept: Any) -> None:
        done = replace(record, state=StepState.DONE, kept=kept)
        await self._log(step_log.record_read, self.request.run_id, done)

    async def _log(self, record: Callable[..., Result], *values: Any) -> Result:
        return await asyncio.to_thread(record, self.engine, self.lease, *values)


def idempotency_key(run_id: str, step: str, refusals: int = 0) -> str:
    """Returns a step's idempotency key: the same one whenever the run is resumed.

    A request that Brex refused was not done, so it is sent again with another key: it is not
    documented whether Brex remembers refusals by their key.
    """
    name = f"{step}\n{refusals}" if refusals else step
    return str(uuid5(uuid5(NAMESPACE_OID, run_id), name))


def _in_doubt(step: Step, record: StepRecord, sent: sending.Sent) -> bool:
    """Whether a request before the refused one may have been done. A request for an upload link
    changes nothing by itself."""
    return step.file is None and (record.state is StepState.BEGUN or sent.meter.requests > 1)


async def _side_by_side(run: Callable[[Step], Awaitable[Any]], steps: Sequence[Step]) -> list[Any]:
    """Returns the results of reads, a few of which run at the same time; none outlives the call."""
    permits = asyncio.Semaphore(READS_AT_ONCE)

    async def read(step: Step) -> Any:
        async with permits:
            return await run(step)

    results = await asyncio.gather(*map(read, steps), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
