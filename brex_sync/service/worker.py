"""What the service does besides answering: events worked off as they come, and others told."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from brex_sync.errors import BrexSyncError, PostgresError
from brex_sync.runtime.events import event_processor, send_notifications
from brex_sync.service.reception import WebhookReceiver
from brex_sync.service.workflows import runtime_of
from brex_sync.warehouse.events import inbox
from brex_sync.webhooks.processing import process
from brex_sync.workflows.declare import Workflow

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
"""Seconds between two looks, where nothing arrives: for what waits to be tried again."""
GATHERING = 0.05
"""Seconds in which what arrives at once is gathered into one batch."""


@asynccontextmanager
async def working(
    reception: WebhookReceiver, workflows: Mapping[str, Workflow]
) -> AsyncIterator[None]:
    """Works while the block runs; what is under way at its end is taken up by others later."""
    tasks = [
        asyncio.create_task(_again_and_again(one))
        for one in (
            *(_events_of(reception, name) for name in reception.accounts.connections),
            *(_secrets_of(reception, name) for name in reception.accounts.connections),
            *(_waiting_of(reception, name, workflows) for name in reception.accounts.connections),
            _notifications(reception),
            _refusals(reception),
        )
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _note_refusals(reception)


async def _again_and_again(work: Callable[[], Awaitable[None]]) -> None:
    """Does something for ever; a fault ends no more than one turn of it."""
    while True:
        try:
            await work()
        except BrexSyncError as error:
            log.warning("%s", error.sentence)
            await asyncio.sleep(LOOK_EVERY)
        except Exception:
            log.exception("unforeseen")
            await asyncio.sleep(LOOK_EVERY)


def _events_of(reception: WebhookReceiver, name: str) -> Callable[[], Awaitable[None]]:
    accounts, arrived = reception.accounts, reception.arrived[name]
    connection, warehouse = accounts.connections[name], accounts.warehouse(name)

    async def turn() -> None:
        try:
            await asyncio.wait_for(arrived.wait(), LOOK_EVERY)
            await asyncio.sleep(GATHERING)
        except TimeoutError:
            pass
        arrived.clear()
        if not await warehouse.call(inbox.are_due):
            return
        client = await accounts.client(name)
        await process(event_processor(accounts.settings, connection, warehouse, client))

    return turn


def _secrets_of(reception: WebhookReceiver, name: str) -> Callable[[], Awaitable[None]]:
    """Asks for secrets again when they are old: one may have been revoked."""

    async def turn() -> None:
        secrets = reception.secrets[name]
        if await secrets.are_stale() and await secrets.may_ask():
            await secrets.refresh(await reception.accounts.client(name))
        await asyncio.sleep(60)

    return turn


def _waiting_of(
    reception: WebhookReceiver, name: str, workflows: Mapping[str, Workflow]
) -> Callable[[], Awaitable[None]]:
    """Resumes the workflow runs that wait, once they are due."""
    runtime, connection = runtime_of(reception.accounts), reception.accounts.connections[name]

    async def turn() -> None:
        await asyncio.sleep(LOOK_EVERY)
        await runtime.resume_waiting(connection, workflows)

    return turn


def _notifications(reception: WebhookReceiver) -> Callable[[], Awaitable[None]]:
    async def turn() -> None:
        await send_notifications(reception.accounts.settings, reception.accounts.engine)
        await asyncio.sleep(1)

    return turn


def _refusals(reception: WebhookReceiver) -> Callable[[], Awaitable[None]]:
    async def turn() -> None:
        await asyncio.sleep(1)
        await _note_refusals(reception)

    return turn


async def _note_refusals(reception: WebhookReceiver) -> None:
    """Notes in the warehouse what was counted; what cannot be noted counts on."""
    counted = reception.refused.copy()
    if not counted:
        return
    try:
        await asyncio.to_thread(inbox.note_refusals, reception.accounts.engine, counted)
    except PostgresError as error:
        log.warning("refusals were not noted: %s", error.sentence)
    else:
        reception.refused.subtract(counted)
        reception.refused += Counter()
