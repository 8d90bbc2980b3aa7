"""Requests to Brex: authorised, rate limited, with deadlines, and repeated where that helps."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self, TypeVar

import httpx
import tenacity
from tenacity import stop_after_attempt, stop_after_delay, wait_random_exponential

from brex_sync.brex.allowed import refusal_anywhere
from brex_sync.brex.errors import (
    BrexError,
    CredentialRefused,
    Fault,
    NeverAsked,
    Oversized,
    RateLimited,
    Transient,
    Unreachable,
    classify,
)
from brex_sync.brex.rate_limit import RateLimiter

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")

LARGEST = 64 * 2**20
"""Bytes an answer may have; a page of 1,000 rows has about one million."""
_SHORTEST = 8
"""Characters a token has at least; what is shorter is none, and may be in any answer."""
_LATEST = 3600.0
"""Seconds after which Brex is asked again, whatever its Retry-After says."""

Params = Mapping[str, str | Sequence[str]]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for Brex.

    `deadline`: seconds for one request, from sending to the last byte. `attempts` and `total`
    (seconds): when to give up repeating it. Waits grow from `first` up to `longest` seconds, with
    jitter.
    """

    deadline: float = 60.0
    attempts: int = 8
    total: float = 300.0
    first: float = 0.5
    longest: float = 30.0


@dataclass(slots=True)
class Meter:
    """Counts the requests sent on behalf of one stream, repeated ones included."""

    requests: int = 0


async def _no_other(refused: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where Brex is, and what opens it.

    `token` is asked at every request, its answer never kept. `renew` is told the token that Brex
    refused, and answers with another to repeat the request with, or None where there is none.
    """

    url: str
    token: Callable[[], str | Awaitable[str]] = field(repr=False)
    renew: Callable[[str], Awaitable[str | None]] = field(default=_no_other, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to Brex. `body` is JSON text; `path` is percent-encoded and on Brex's host.

    What has an `idempotency_key` is done once, however often it is asked for (Brex's guide:
    every POST and PUT takes one).
    """

    method: str
    path: str
    params: Params = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        if why := refusal_anywhere(self.path):
            raise NeverAsked(f"{self.method} is not asked: {why}")

    @property
    def repeatable(self) -> bool:
        """Whether doing it twice comes to the same as doing it once."""
        return self.method in ("GET", "HEAD") or self.idempotency_key is not None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What Brex answered, whatever its status."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = ""
    trace_id: str | None = None
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def refusal(self, call: Call) -> BrexError:
        """The exception that says why this is no good answer."""
        fault = Fault(self.status, self.body, self.trace_id, self.retry_after)
        error = classify(fault, str(call))
        error.fault = fault
        return error


def _any(reply: Reply) -> None:
    """Every answer that Brex gives with success will do."""


class BrexClient:
    """An open connection to one Brex account.

    Use as an async context manager. `transport` replaces the network, for tests.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limiter: RateLimiter,
        patience: Patience | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._limiter = limiter
        self._patience = patience or Patience()
        self._http = httpx.AsyncClient(
            base_url=endpoint.url,
            transport=transport,
            timeout=self._patience.deadline,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=32),
            headers={"Accept": "application/json", "User-Agent": "brex-sync"},
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, trace)
        await self._limiter.close()

    async def get(
        self, path: str, params: Params, read: Callable[[bytes], Answer], meter: Meter
    ) -> Answer:
        """GETs `path` and reads the answer's body, again and again until one can be read.

        Raises:
            BrexError: there was no usable answer; `Transient` ones have been repeated in vain.
        """
        call = Call("GET", path, params)
        async for attempt in self._attempts(Transient):
            with attempt:
                return read((await self._accepted(call, meter)).body)
        raise AssertionError("unreachable: tenacity returns or raises")

    async def send(
        self, call: Call, meter: Meter, check: Callable[[Reply], object] = _any
    ) -> Reply:
        """Asks for something until it is done, or refused.

        A write without an idempotency key is repeated only where Brex did not look at it. `check`
        raises UnusableAnswer for an answer that does not show what it should.

        Raises:
            BrexError: it was refused, or it is not known whether it was done.
        """
        async for attempt in self._attempts(Transient if call.repeatable else RateLimited):
            with attempt:
                reply = await self._accepted(call, meter)
                check(reply)
                return reply
        raise AssertionError("unreachable: tenacity returns or raises")

    async def exchange(self, call: Call, meter: Meter) -> Reply:
        """Brex's answer to one request, whatever it is; with another token if its was refused.

        An answer of 429 holds back every process for as long as it says.

        Raises:
            Unreachable: none came.
            BrexError: there is no token to ask with.
        """
        asked = self._endpoint.token()
        token = asked if isinstance(asked, str) else await asked
        reply = await self._once(call, meter, token)
        if reply.status in (401, 403) and isinstance(reply.refusal(call), CredentialRefused):
            other = await self._endpoint.renew(token)
            if other is not None:
                reply = await self._once(call, meter, other)
        if reply.status == 429:
            await self._limiter.pause(reply.retry_after or self._patience.first)
        return reply

    def _attempts(self, worth_another: type[BrexError]) -> tenacity.AsyncRetrying:
        patience = self._patience
        return tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(worth_another),
            stop=stop_after_attempt(patience.attempts) | stop_after_delay(patience.total),
            wait=self._wait,
            before_sleep=self._hold,
            reraise=True,
        )

    async def _accepted(self, call: Call, meter: Meter) -> Reply:
        reply = await self.exchange(call, meter)
        if not reply.ok:
            raise reply.refusal(call)
        return reply

    async def _once(self, call: Call, meter: Meter, token: str) -> Reply:
        async with self._limiter.slot():
            meter.requests += 1
            try:
                async with (
                    asyncio.timeout(self._patience.deadline),
                    self._http.stream(
                        call.method,
                        call.path,
                        params=dict(call.params),
                        content=call.body,
                        headers=_headers(call, token),
                    ) as answer,
                ):
                    body = await _read(call, answer)
            except TimeoutError:
                raise Unreachable(
                    f"{call}: no complete answer within {self._patience.deadline:g} s"
                ) from None
            except httpx.HTTPError as error:
                raise Unreachable(f"{call}: {error or type(error).__name__}") from None
        return _without(
            token,
            Reply(
                answer.status_code,
                body,
                answer.headers.get("Content-Type", ""),
                answer.headers.get("X-Brex-Trace-Id"),
                _seconds(answer.headers.get("Retry-After")),
            ),
        )

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds before the next attempt."""
        error = state.outcome.exception() if state.outcome else None
        backoff = wait_random_exponential(self._patience.first, self._patience.longest)(state)
        asked = error.retry_after if isinstance(error, Transient) else None
        return backoff if asked is None else asked + min(backoff, 1.0)

    async def _hold(self, state: tenacity.RetryCallState) -> None:
        """Tells of the wait; a rate limit holds back every stream, and every process."""
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        log.warning("%s; trying again in %.1f s", error, wait)
        if isinstance(error, RateLimited):
            await self._limiter.pause(wait)


def _headers(call: Call, token: str) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {token}"}
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if call.idempotency_key is not None:
        headers["Idempotency-Key"] = call.idempotency_key
    return headers


async def _read(call: Call, answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > LARGEST:
            raise Oversized(f"{call}: the answer is larger than {LARGEST // 2**20} MB")
    return bytes(body)


def _without(token: str, reply: Reply) -> Reply:
    """The reply, as it may be shown and logged: no server is trusted not to repeat the token."""
    if len(token) < _SHORTEST:
        return reply
    secret, mask = token.encode(), b"[token]"
    return replace(
        reply,
        body=reply.body.replace(secret, mask),
        content_type=reply.content_type.replace(token, "[token]"),
        trace_id=reply.trace_id and reply.trace_id.replace(token, "[token]"),
    )


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds, whether it came as a number or as an HTTP date."""
    if retry_after is None:
        return None
    if _NUMBER.fullmatch(retry_after):
        return min(float(retry_after), _LATEST)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), _LATEST)
