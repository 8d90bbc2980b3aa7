"""Pages: a stretch of a list's prepared bytes in Brex's envelope, and cursors that are offsets."""

import base64
import binascii
from collections.abc import Sequence

import msgspec

from brex_sync.sandbox.api.endpoints import BodyShape, ListEndpoint
from brex_sync.sandbox.error_replies import bad_request

DEFAULT_LIMIT = 100


def read_limit(endpoint: ListEndpoint, asked: str | None) -> int:
    """How many rows a page has; more than the endpoint allows is refused."""
    if endpoint.maximum is None or not asked or not asked.isdigit():
        return DEFAULT_LIMIT
    limit = int(asked)
    if limit > endpoint.maximum:
        raise bad_request(f"limit must be less than or equal to {endpoint.maximum}")
    return max(1, limit)


def read_position(endpoint: ListEndpoint, cursor: str | None, limit: int) -> tuple[int, int]:
    """Limit and offset of the page asked for: a cursor brings its own limit."""
    if cursor is None:
        return limit, 0
    try:
        position = msgspec.json.decode(base64.b64decode(cursor, validate=True))
        limit, offset = int(position["limit"]), int(position["offset"])
    except (binascii.Error, msgspec.DecodeError, KeyError, TypeError, ValueError):
        raise bad_request("Invalid cursor") from None
    if not 0 < limit <= (endpoint.maximum or DEFAULT_LIMIT) or offset < 0:
        raise bad_request("Invalid cursor")
    return limit, offset


def write_page(
    endpoint: ListEndpoint, bodies: Sequence[bytes], count: int, limit: int, offset: int
) -> bytes:
    """The rows of one page of a list of `count`."""
    end = offset + limit
    more = end < count
    tail = b'"next_cursor":null'
    if more:
        following = base64.b64encode(b'{"limit":%d,"offset":%d}' % (limit, end))
        tail = b'"next_cursor":"' + following + b'"'
    if endpoint.shape is BodyShape.RECORDS:
        tail += b',"has_next_page":%s' % (b"true" if more else b"false")
        tail += b',"total_count":%d' % count
    return b'{"items":[' + b",".join(bodies) + b"]," + tail + b"}"
