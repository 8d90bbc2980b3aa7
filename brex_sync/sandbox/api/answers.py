"""What an endpoint answers to a query: rows selected, dressed and put into an envelope."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from starlette.datastructures import QueryParams

from brex_sync.sandbox.api.details import EXPAND, Detail, dress
from brex_sync.sandbox.api.endpoints import ENDPOINTS, BodyShape, ListEndpoint
from brex_sync.sandbox.api.filters import Compared, Filter, OneOf, Test, at, kept_by
from brex_sync.sandbox.api.paging import read_position, write_page
from brex_sync.sandbox.error_replies import bad_request, not_found
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item, Rows, decode

SELECTIONS = 16
"""How many filtered lists are remembered, so that their later pages cost nothing."""


def shown_items(
    world: World, name: str, parent: str | None = None, expand: Sequence[str] = ()
) -> list[Item]:
    """The truth about a collection as an answer with these expansions shows it."""
    rows = world.collection(name).rows(parent)
    endpoint = next(e for e in ENDPOINTS if e.collection == name)
    details = [d for d in endpoint.details if d.parameter == EXPAND and d.value in expand]
    return [decode(body) for body in dress(world, details, rows.ids, rows.bodies, endpoint.nested)]


class Answers:
    """Answers from a world, as bytes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._selections: OrderedDict[object, Rows] = OrderedDict()

    def body(
        self, endpoint: ListEndpoint, query: QueryParams, names: Mapping[str, str], limit: int
    ) -> bytes:
        """The answer's body. `names` are the ids in the path.

        Raises:
            ErrorReply: there is no such item, or the query asks for what cannot be.
        """
        details = _details(endpoint, query)
        if endpoint.shape is BodyShape.ITEM:
            return self._item(endpoint, details, names)
        rows, kept = self._select(endpoint, query, names.get("id"))
        if endpoint.shape is BodyShape.ARRAY:
            return b"[" + b",".join(rows.bodies[kept.start : kept.stop]) + b"]"
        limit, offset = read_position(endpoint, query.get("cursor"), limit)
        page = kept[offset : offset + limit]
        bodies = rows.bodies[page.start : page.stop]
        if details:
            keys = rows.ids[page.start : page.stop]
            bodies = list(dress(self._world, details, keys, bodies, endpoint.nested))
        return write_page(endpoint, bodies, len(kept), limit, offset)

    def _item(
        self, endpoint: ListEndpoint, details: list[Detail], names: Mapping[str, str]
    ) -> bytes:
        collection = self._world.collection(endpoint.collection)
        ids = collection.rows(names.get("id") if endpoint.per_parent else None).ids
        key = names.get("key" if endpoint.per_parent else "id") or next(iter(ids), "")
        body = collection.body(key)
        if body is None and endpoint.unset and self._has(endpoint.unset[0], key):
            return endpoint.unset[1]
        if body is None or (endpoint.per_parent and key not in ids):
            raise not_found(f"No {endpoint.collection} with this id")
        return dress(self._world, details, [key], [body], endpoint.nested)[0]

    def _has(self, collection: str, key: str | None) -> bool:
        return key is not None and self._world.collection(collection).body(key) is not None

    def _select(
        self, endpoint: ListEndpoint, query: QueryParams, parent: str | None
    ) -> tuple[Rows, range]:
        """The list, and the part of it that the query leaves."""
        collection = self._world.collection(endpoint.collection)
        per = endpoint.per_parent
        if per and parent not in collection.parents() and not self._has(per, parent):
            raise not_found("No such parent")
        rows = collection.rows(parent)
        kept = range(len(rows.ids))
        tests: list[Test] = []
        for filter_, sent in _sent(endpoint, query):
            if isinstance(filter_, Compared) and filter_.path == collection.date_field:
                kept = filter_.narrow(rows, kept, sent)
            else:
                tests.append(filter_.test(self._world, sent))
        tests += _standing(endpoint, query)
        if not tests:
            return rows, kept
        found = self._remembered(endpoint, query, parent, rows, kept, tests)
        return found, range(len(found.ids))

    def _remembered(
        self,
        endpoint: ListEndpoint,
        query: QueryParams,
        parent: str | None,
        rows: Rows,
        kept: range,
        tests: list[Test],
    ) -> Rows:
        sent = frozenset((k, v) for k, v in query.multi_items() if k not in ("cursor", "limit"))
        key = (endpoint.path, parent, sent, self._world.version)
        found = self._selections.get(key)
        if found is None:
            found = self._selections[key] = kept_by(rows, kept, tests)
            if len(self._selections) > SELECTIONS:
                self._selections.popitem(last=False)
        return found


def _details(endpoint: ListEndpoint, query: QueryParams) -> list[Detail]:
    """The details asked for; an expansion that the endpoint does not know is refused."""
    known = {d.value for d in endpoint.details if d.parameter == EXPAND}
    unknown = sorted(set(query.getlist(EXPAND)) - known)
    if unknown:
        raise bad_request(f"Unsupported entity expansion: {unknown[0]}")
    return [d for d in endpoint.details if d.value in query.getlist(d.parameter)]


def _sent(endpoint: ListEndpoint, query: QueryParams) -> list[tuple[Filter, list[str]]]:
    """The filters with their values; legacy ones beside others are refused."""
    sent = [(f, query.getlist(f.parameter)) for f in endpoint.filters if query.get(f.parameter)]
    legacy = [f.parameter for f, _ in sent if isinstance(f, OneOf) and f.legacy]
    if legacy and len(legacy) < len(sent):
        raise bad_request(f"{legacy[0]} cannot be combined with other filters")
    return sent


def _standing(endpoint: ListEndpoint, query: QueryParams) -> list[Test]:
    """What the endpoint leaves out whatever the query says, or unless it asks."""
    tests: list[Test] = []
    if endpoint.only is not None:
        field, value = endpoint.only
        tests.append(lambda item: at(item, field) == value)
    hidden = endpoint.hidden
    if hidden is not None and not query.get(hidden.parameter or ""):
        tests.append(lambda item: at(item, hidden.field) not in hidden.values)
    return tests
