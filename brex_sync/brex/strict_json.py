"""Pages of JSON, parsed strictly: integers stay integers, and invalid JSON is an error.

Two things in a body are replaced by U+FFFD, because Postgres cannot store them: the character NUL
and unpaired surrogates.
"""

import codecs
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from brex_sync.errors import UnusableAnswer
from brex_sync.streams.declare import Shape

_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\(?:u[0-9a-fA-F]{4}|.)",
    re.DOTALL,
)
_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})")
_REPLACEMENT = b"\\ufffd"
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Envelope(msgspec.Struct):
    items: list[msgspec.Raw]
    next_cursor: str | None = None
    has_next_page: Any = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its items as the JSON that Brex sent, and the cursor of the next page.

    `cleaned` is the number of replaced characters.
    """

    items: tuple[bytes, ...]
    next_cursor: str | None
    cleaned: int = 0


def read_page(body: bytes, shape: Shape | None) -> Page:
    """Parses a response of the given shape; with None, a list in either shape.

    Raises:
        UnusableAnswer: the body is empty, truncated, not JSON, or has no list.
    """
    if shape is Shape.OBJECT:
        return read_item(body)
    text, cleaned = clean(body)
    if shape is None:
        shape = Shape.ARRAY if text.lstrip().startswith(b"[") else Shape.ENVELOPE
    try:
        if shape is Shape.ENVELOPE:
            answer = _ENVELOPE.decode(text)
            items, cursor = answer.items, answer.next_cursor
            if answer.has_next_page is True and not cursor:
                raise UnusableAnswer("the answer has a next page, and does not say which")
        else:
            items, cursor = _ARRAY.decode(text), None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnusableAnswer(f"the answer is not the JSON list expected: {error}") from None
    return Page(tuple(map(bytes, items)), cursor or None, cleaned)


def read_item(body: bytes) -> Page:
    """Parses a response that is one JSON object, as a page of one item.

    Raises:
        UnusableAnswer: the body is anything else.
    """
    text, cleaned = clean(body)
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnusableAnswer(f"the answer is not the JSON object expected: {error}") from None
    return Page((text,), None, cleaned)


def exact(number: str) -> Decimal:
    """A number that is not an integer, exactly as written.

    Raises:
        ValueError: its exponent is out of range.
    """
    try:
        return Decimal(number)
    except InvalidOperation:
        raise ValueError(f"the number {number[:60]} is beyond what can be held") from None


def clean(body: bytes) -> tuple[bytes, int]:
    """The body without byte order mark, NUL and unpaired surrogates, and the number of the latter
    two.

    Raises:
        UnusableAnswer: the body is not UTF-8.
    """
    body, raw = _utf8(body.removeprefix(codecs.BOM_UTF8))
    if b"\\" not in body or not _UNSTORABLE.search(body):
        return body, raw
    escaped = 0

    def replace(match: re.Match[bytes]) -> bytes:
        nonlocal escaped
        if not _UNSTORABLE.fullmatch(match[0]):
            return match[0]
        escaped += 1
        return _REPLACEMENT

    return _ESCAPE.sub(replace, body), raw + escaped


def _utf8(body: bytes) -> tuple[bytes, int]:
    try:
        body.decode()
        return body, 0
    except UnicodeDecodeError:
        pass
    try:
        text, replaced = _SURROGATE.subn("\ufffd", body.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        raise UnusableAnswer("the answer is not UTF-8 text") from None
    return text.encode(), replaced
