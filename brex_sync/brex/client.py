"""Requests to Brex: authorised, rate limited, with deadlines, and retried where that may help."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self, TypeVar

import httpx
import tenacity
from tenacity import stop_after_attempt, stop_after_delay, stop_any, wait_random_exponential
from tenacity.stop import stop_base

from brex_sync.brex.allowed import refusal_anywhere
from brex_sync.brex.cookies import no_cookies
from brex_sync.brex.error_responses import classify
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.brex.retry_after import LONGEST, asked_for
from brex_sync.errors import (
    BrexError,
    CredentialRefused,
    ErrorResponse,
    NeverAsked,
    NoContent,
    Oversized,
    RateLimited,
    Transient,
    Unreachable,
)

log = logging.getLogger(__name__)

LARGEST = 64 * 2**20
"""Bytes an answer may have; a page of 1,000 rows has about one million."""
REDIRECTS = 3
"""How many redirects one request follows."""
_SHORTEST = 8
"""Characters a token has at least; what is shorter is none, and may be in any answer."""

_WITHOUT_CONTENT = (204, 205)
_SAME_METHOD = (307, 308)
_REDIRECTS = (301, 302, 303, *_SAME_METHOD)

Params = Mapping[str, str | Sequence[str]]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for Brex.

    `deadline`: seconds for one request, from sending it to the last byte. `attempts` and `total`
    (seconds): when to stop retrying. Waits grow from `first` to `longest` seconds, with jitter.
    """

    deadline: float = 60.0
    attempts: int = 8
    total: float = 300.0
    first: float = 0.5
    longest: float = 30.0


@dataclass(slots=True)
class Meter:
    """Counts the requests sent for one stream, retries included."""

    requests: int = 0


async def _no_other(refused: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class BrexApi:
    """Brex's address and how to authorise requests.

    `token` is called for every request, and its result is not cached. `renew` is called with the
    token that Brex rejected, and returns another one to retry with, or None if there is none.
    """

    url: str
    token: Callable[[], str | Awaitable[str]] = field(repr=False)
    renew: Callable[[str], Awaitable[str | None]] = field(default=_no_other, repr=False)


@dataclass(frozen=True, slots=True)
class BrexRequest:
    """A request to Brex. `body` is JSON text; `path` is percent-encoded and on Brex's host.

    Brex executes a request with an `idempotency_key` once, however often it is sent (Brex's guide:
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
        """Whether sending the request twice has the same effect as sending it once."""
        return self.method in ("GET", "HEAD") or self.idempotency_key is not None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """Brex's response, whatever its status."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = ""
    trace_id: str | None = None
    retry_after: float | None = None
    location: str | None = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def refusal(self, call: BrexRequest) -> BrexError:
        """The exception that describes this response, which is not a success."""
        fault = ErrorResponse(self.status, self.body, self.trace_id, self.retry_after)
        error = classify(fault, str(call))
        error.fault = fault
        return error


def _any(reply: Reply) -> None:
    """Accepts every successful response."""


class BrexClient:
    """An open connection to one Brex account.

    Use as an async context manager. `transport` replaces the network in tests.
    """

    def __init__(
        self,
        endpoint: BrexApi,
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
            cookies=no_cookies(),
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

    @property
    def patience(self) -> Patience:
        """How long the client waits for Brex."""
        return self._patience

    async def get(
        self,
        path: str,
        params: Params,
        read: Callable[[bytes], Answer],
        meter: Meter,
        patience: Patience | None = None,
    ) -> Answer:
        """GETs `path` and reads the response's body, retrying until one can be read.

        `patience` overrides the client's.

        Raises:
            BrexError: there was no usable response; `Transient` ones were retried first.
        """
        call = BrexRequest("GET", path, params)
        async for attempt in self._attempts(Transient, patience):
            with attempt:
                reply = await self._accepted(call, meter)
                if reply.status in _WITHOUT_CONTENT:
                    raise NoContent(f"{call} answered {reply.status}, which has no content to read")
                return read(reply.body)
        raise AssertionError("unreachable: tenacity returns or raises")

    async def send(
        self, call: BrexRequest, meter: Meter, check: Callable[[Reply], object] = _any
    ) -> Reply:
        """Sends a request, retrying until it succeeds or is rejected.

        A write without an idempotency key is retried only if Brex did not process it. `check`
        raises UnusableAnswer for a response that lacks what it should contain.

        Raises:
            BrexError: it was rejected, or it is unknown whether it was executed.
        """
        async for attempt in self._attempts(Transient if call.repeatable else RateLimited):
            with attempt:
                reply = await self._accepted(call, meter)
                check(reply)
                return reply
        raise AssertionError("unreachable: tenacity returns or raises")

    async def exchange(self, call: BrexRequest, meter: Meter) -> Reply:
        """Sends a request once and returns Brex's response, whatever it is. If the token was
        rejected, the request is sent again with a new one.

        A 429 holds back every process for as long as it says. Redirects are followed on Brex's own
        host only; for writes, only where they keep the method and the request is repeatable.

        Raises:
            Unreachable: there was no response.
            BrexError: there is no token.
        """
        asked = self._endpoint.token()
        token = asked if isinstance(asked, str) else await asked
        reply = await self._followed(call, meter, token)
        if reply.status in (401, 403) and isinstance(reply.refusal(call), CredentialRefused):
            other = await self._endpoint.renew(token)
            if other is not None:
                reply = await self._followed(call, meter, other)
        if reply.status == 429:
            await self._limiter.pause(reply.retry_after or self._patience.first)
        return reply

    def _attempts(
        self, worth_another: type[BrexError], patience: Patience | None = None
    ) -> tenacity.AsyncRetrying:
        patience = patience or self._patience
        return tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(worth_another),
            stop=stop_any(
                stop_after_attempt(patience.attempts),
                stop_after_delay(patience.total),
                _StopWithoutContent(),
            ),
            wait=self._wait,
            before_sleep=self._hold,
            reraise=True,
        )

    async def _accepted(self, call: BrexRequest, meter: Meter) -> Reply:
        reply = await self.exchange(call, meter)
        if not reply.ok:
            raise reply.refusal(call)
        return reply

    async def _followed(self, call: BrexRequest, meter: Meter, token: str) -> Reply:
        """The response at the end of the redirects; a redirect that is not followed is returned
        itself.
        """
        for _ in range(REDIRECTS):
            reply = await self._once(call, meter, token)
            onward = _onward(call, reply, httpx.URL(self._endpoint.url))
            if onward is None:
                return reply
            call = onward
        return await self._once(call, meter, token)

    async def _once(self, call: BrexRequest, meter: Meter, token: str) -> Reply:
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
                _delay(call, answer),
                answer.headers.get("Location"),
            ),
        )

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds until the next attempt."""
        error = state.outcome.exception() if state.outcome else None
        backoff = wait_random_exponential(self._patience.first, self._patience.longest)(state)
        asked = error.retry_after if isinstance(error, Transient) else None
        return backoff if asked is None else asked + min(backoff, 1.0)

    async def _hold(self, state: tenacity.RetryCallState) -> None:
        """Logs the wait; a rate limit holds back every stream and every process."""
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        log.warning("%s; trying again in %.1f s", error, wait)
        if isinstance(error, RateLimited):
            await self._limiter.pause(wait)


def _headers(call: BrexRequest, token: str) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {token}"}
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if call.idempotency_key is not None:
        headers["Idempotency-Key"] = call.idempotency_key
    return headers


class _StopWithoutContent(stop_base):
    """Stops retrying after two responses without content: the second shows that Brex means it."""

    def __call__(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        return isinstance(error, NoContent) and state.attempt_number > 1


def _onward(call: BrexRequest, reply: Reply, base: httpx.URL) -> BrexRequest | None:
    """The request that a redirect leads to; None if there is none or it is not followed.

    It stays within the API's origin, because the token is sent along, and on a path that ends like
    the request's: rows of another resource must not be read as those requested. A redirect without
    parameters keeps the request's own, because without its cursor another page would be returned.
    """
    follows = _REDIRECTS if call.method in ("GET", "HEAD") else _SAME_METHOD
    if reply.location is None or reply.status not in follows or not call.repeatable:
        return None
    try:
        asked = base.join(call.path)
        target = asked.join(reply.location)
        if _origin(target) != _origin(base) or _resource(target) != _resource(asked):
            return None
        path = target.raw_path.decode("ascii").partition("?")[0]
        params = {name: target.params.get_list(name) for name in target.params}
        return replace(call, path=path, params=params or call.params)
    except (httpx.InvalidURL, NeverAsked, ValueError):
        return None


def _origin(url: httpx.URL) -> tuple[object, ...]:
    """Scheme, host and port of a URL, and credentials in it, which serve only to deceive."""
    return (url.scheme, url.userinfo, url.host, url.port)


def _resource(url: httpx.URL) -> bytes:
    """The last segment of the URL's path, as encoded."""
    return url.raw_path.partition(b"?")[0].rstrip(b"/").rpartition(b"/")[2]


async def _read(call: BrexRequest, answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > LARGEST:
            raise Oversized(f"{call}: the answer is larger than {LARGEST // 2**20} MB")
    return bytes(body)


def _without(token: str, reply: Reply) -> Reply:
    """The response without the token, so that it can be shown and logged: a server may echo it."""
    if len(token) < _SHORTEST:
        return reply
    secret, mask = token.encode(), b"[token]"
    return replace(
        reply,
        body=reply.body.replace(secret, mask),
        content_type=reply.content_type.replace(token, "[token]"),
        trace_id=reply.trace_id and reply.trace_id.replace(token, "[token]"),
    )


def _delay(call: BrexRequest, answer: httpx.Response) -> float | None:
    """The response's Retry-After in seconds, two minutes at most; None if it has none."""
    header = answer.headers.get("Retry-After")
    if header is None:
        return None
    asked = asked_for(header, answer.headers.get("Date"))
    if asked is not None and asked <= LONGEST:
        return asked
    log.warning(
        "%s answered %d with Retry-After: %.60s, which is no delay up to %d s",
        *(call, answer.status_code, header, LONGEST),
    )
    return None if asked is None else LONGEST
