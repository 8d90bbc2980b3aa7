"""Brex from Python: `Brex` for ordinary programs, `AsyncBrex` for asynchronous ones."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from brex_sync.brex.client import BrexClient, BrexRequest, Meter
from brex_sync.client.calls import Params, call_of, decode, encode
from brex_sync.client.listing import pages
from brex_sync.client.opening import opened

Body = Mapping[str, Any] | Sequence[Any]


class AsyncBrex:
    """One Brex account, asked with its stored credential and within its rate limit.

    `async with AsyncBrex.connect("brex") as brex:` opens it once for many requests; without, each
    request opens it and closes it again. Numbers come and go exactly: integers as int, others as
    Decimal.

    Every method raises BrexError, by kind: NeverAsked (the path may not be asked for), NotFound,
    NotAllowed, CredentialRefused and other Refused, or, after repeated tries, RateLimited,
    ServerFault, Unreachable. The first one also raises what opening does: SettingsError,
    VaultError, EmbeddedPostgresError, sqlalchemy's OperationalError.
    """

    def __init__(self, connection: str | None = None) -> None:
        self._connection = connection
        self._client: BrexClient | None = None
        self._held = AsyncExitStack()

    @classmethod
    def connect(cls, connection: str | None = None) -> Self:
        """The account of that connection; of the first one for None."""
        return cls(connection)

    async def __aenter__(self) -> Self:
        self._client = await self._held.enter_async_context(opened(self._connection))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client = None
        await self._held.aclose()

    async def get(self, path: str, params: Params | None = None) -> Any:
        """What stands at a path, such as `/v2/users/me`."""
        call = call_of("GET", path, params)
        async with self._opened() as client:
            return await client.get(call.path, call.params, decode, Meter())

    async def post(
        self,
        path: str,
        body: Body | None = None,
        params: Params | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Any:
        """Brex's answer to a POST, done once for a key however often it is asked for.

        Without a key it gets one of its own, good for the repeated tries of this one call.
        """
        return await self._send(call_of("POST", path, params, _json(body), idempotency_key))

    async def put(
        self,
        path: str,
        body: Body | None = None,
        params: Params | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Any:
        """Brex's answer to a PUT; keys are as for `post`."""
        return await self._send(call_of("PUT", path, params, _json(body), idempotency_key))

    async def delete(self, path: str, params: Params | None = None) -> Any:
        """Brex's answer to a DELETE, tried once; None where it says nothing."""
        return await self._send(call_of("DELETE", path, params))

    async def items(self, path: str, params: Params | None = None) -> AsyncIterator[Any]:
        """The items of a list, over all its pages, each page fetched when it is needed."""
        async with aclosing(self.pages(path, params)) as walked:
            async for page in walked:
                for item in page:
                    yield item

    async def pages(
        self, path: str, params: Params | None = None
    ) -> AsyncGenerator[list[Any], None]:
        """The pages of a list, as lists of items; one page is read ahead."""
        async with (
            self._opened() as client,
            aclosing(pages(client, path, params)) as walked,
        ):
            async for page in walked:
                yield [decode(item) for item in page.items]

    async def _send(self, call: BrexRequest) -> Any:
        async with self._opened() as client:
            return decode((await client.send(call, Meter())).body)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[BrexClient]:
        if self._client is not None:
            yield self._client
            return
        async with opened(self._connection) as client:
            yield client


class Brex:
    """The same for ordinary programs: `Brex.connect("brex").get("/v2/users/me")`.

    `with Brex.connect("brex") as brex:` opens it once for many requests, from any thread; without,
    each request opens it and closes it again. Raises what `AsyncBrex` does.
    """

    def __init__(self, connection: str | None = None) -> None:
        self._brex = AsyncBrex(connection)
        self._portal: BlockingPortal | None = None
        self._held = ExitStack()

    @classmethod
    def connect(cls, connection: str | None = None) -> Self:
        """The account of that connection; of the first one for None."""
        return cls(connection)

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            portal = opening.enter_context(start_blocking_portal())
            opening.enter_context(portal.wrap_async_context_manager(self._brex))
            self._held = opening.pop_all()
        self._portal = portal
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._portal = None
        self._held.close()

    def get(self, path: str, params: Params | None = None) -> Any:
        """What stands at a path, such as `/v2/users/me`."""
        return self._run(lambda: self._brex.get(path, params))

    def post(
        self,
        path: str,
        body: Body | None = None,
        params: Params | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Any:
        """Brex's answer to a POST; keys are as for `AsyncBrex.post`."""
        return self._run(
            lambda: self._brex.post(path, body, params, idempotency_key=idempotency_key)
        )

    def put(
        self,
        path: str,
        body: Body | None = None,
        params: Params | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Any:
        """Brex's answer to a PUT; keys are as for `AsyncBrex.post`."""
        return self._run(
            lambda: self._brex.put(path, body, params, idempotency_key=idempotency_key)
        )

    def delete(self, path: str, params: Params | None = None) -> Any:
        """Brex's answer to a DELETE, tried once; None where it says nothing."""
        return self._run(lambda: self._brex.delete(path, params))

    def items(self, path: str, params: Params | None = None) -> Iterator[Any]:
        """The items of a list, over all its pages, each page fetched when it is needed."""
        with self._running() as portal:
            walked = self._brex.pages(path, params)
            try:
                while (page := portal.call(anext, walked, None)) is not None:
                    yield from page
            finally:
                portal.call(walked.aclose)

    def _run(self, ask: Callable[[], Any]) -> Any:
        with self._running() as portal:
            return portal.call(ask)

    @contextmanager
    def _running(self) -> Iterator[BlockingPortal]:
        if self._portal is not None:
            yield self._portal
            return
        with start_blocking_portal() as portal:
            yield portal


def _json(body: Body | None) -> bytes | None:
    return None if body is None else encode(body)
