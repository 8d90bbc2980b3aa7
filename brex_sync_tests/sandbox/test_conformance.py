"""The sandbox answers as Brex's OpenAPI documents say."""

import re
from datetime import date
from typing import Any

import pytest

from brex_sync.sandbox import create_app, create_world, shown_items
from brex_sync.sandbox.api.endpoints import ENDPOINTS, BodyShape, ListEndpoint
from brex_sync_tests.sandbox.asking import get
from brex_sync_tests.sandbox.schemas import FOLDER, Documented, documented

WORLD = create_world(today=date(2026, 3, 10), card_transactions=900)
APP = create_app(WORLD, rate_limit=None)


def plain(path: str) -> str:
    """A path whatever its parameters are called."""
    return re.sub(r"{\w+}", "{}", path)


GETS = {plain(get.path): get for get in documented()}
SERVED = {plain(e.path): e for e in ENDPOINTS}
BOTH = sorted(GETS.keys() & SERVED.keys())
LISTS = [p for p in BOTH if SERVED[p].shape in (BodyShape.PAGE, BodyShape.RECORDS)]
NOT_SERVED = {"/v2/cards/{}/pan": "card numbers are never read, so there are none"}
NOT_DOCUMENTED = {"/v2/cost_centers": "newer than the documents"}
ALWAYS_KNOWN = {
    ("card_accounts", "current_balance"): "balances follow from transactions and can be checked",
    ("card_statements", "start_balance"): "likewise",
    ("card_statements", "end_balance"): "likewise",
    ("cash_statements", "start_balance"): "likewise",
    ("cash_statements", "end_balance"): "likewise",
}
NEVER_THERE = {
    "custom_fields": "shown with load_custom_fields, not with an expansion",
}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="Brex's OpenAPI documents are absent")


def paths(endpoint: ListEndpoint) -> list[str]:
    """The endpoint's path for some of the items or for every parent there is."""
    collection = WORLD.collection(endpoint.collection)
    if not endpoint.per_parent:
        ids = collection.rows().ids[:20] if "{id}" in endpoint.path else [""]
        return [endpoint.path.format(id=key) for key in ids]
    return [
        endpoint.path.format(id=parent, key=key)
        for parent in collection.parents()
        for key in (collection.rows(parent).ids[:3] if "{key}" in endpoint.path else [""])
    ]


def ask(path: str, documented: Documented, **params: Any) -> Any:
    """A good answer, as the documents say."""
    answer = get(APP, path, params=params)
    assert answer.status_code == 200, answer.text
    assert documented.complaints(answer.json()) == []
    return answer.json()


def test_every_documented_get_is_served_or_named_with_a_reason() -> None:
    assert GETS.keys() - SERVED.keys() == NOT_SERVED.keys()
    assert SERVED.keys() - GETS.keys() == NOT_DOCUMENTED.keys()


@pytest.mark.parametrize("path", BOTH)
def test_answers_are_as_documented(path: str) -> None:
    endpoint = SERVED[path]
    asked = paths(endpoint)
    assert asked, "the sandbox has nothing to show here"
    limit = {"limit": endpoint.maximum} if endpoint.shape is BodyShape.PAGE else {}
    for one in asked:
        ask(one, GETS[path], **limit)


@pytest.mark.parametrize("path", BOTH)
def test_every_documented_parameter_is_understood(path: str) -> None:
    endpoint = SERVED[path]
    known = {f.parameter for f in endpoint.filters} | {d.parameter for d in endpoint.details}
    if endpoint.shape in (BodyShape.PAGE, BodyShape.RECORDS):
        known |= {"cursor"} | ({"limit"} if endpoint.maximum else set())
    told = GETS[path].parameters
    if "updated_at" in told:
        told = told - {"updated_at"} | {f"updated_at[{way}]" for way in ("gt", "gte", "lt", "lte")}
    assert told <= known


@pytest.mark.parametrize("path", [p for p in BOTH if SERVED[p].details])
def test_expansions_and_other_details_answer_as_documented(path: str) -> None:
    endpoint = SERVED[path]
    few = {} if endpoint.shape is BodyShape.ITEM else {"limit": 30}
    for one in paths(endpoint)[:4]:
        bare = ask(one, GETS[path], **few)
        for detail in endpoint.details:
            ask(one, GETS[path], **few, **{detail.parameter: detail.value})
        expand = [d.value for d in endpoint.details if d.parameter == "expand[]"]
        full = ask(one, GETS[path], **few, **{"expand[]": expand, "load_custom_fields": "true"})
        shown = {name for item in full.get("items", [full]) for name in item}
        assert expand in ([], ["limit"]) or shown > set(bare.get("items", [bare])[0])


@pytest.mark.parametrize("path", LISTS)
def test_pages_are_as_large_as_asked_for_and_allowed(path: str) -> None:
    endpoint, one = SERVED[path], paths(SERVED[path])[0]
    assert len(get(APP, one).json()["items"]) <= 100
    assert len(get(APP, one, params={"limit": "1"}).json()["items"]) <= (
        1 if endpoint.maximum else 100
    )
    if endpoint.maximum is None:
        assert get(APP, one, params={"limit": "5000"}).status_code == 200
        return
    refused = get(APP, one, params={"limit": str(endpoint.maximum + 1)})
    assert refused.status_code == 400
    assert str(endpoint.maximum) in refused.json()["message"]
    assert get(APP, one, params={"limit": str(endpoint.maximum)}).status_code == 200


def test_the_books_have_error_answers_of_their_own() -> None:
    path = "/v3/accounting/records"
    for params, status in (({"limit": "501"}, "400"), ({"cursor": "!"}, "400")):
        answer = get(APP, path, params=params)
        assert str(answer.status_code) == status
        assert GETS[path].complaints(answer.json(), status) == []
    answer = get(APP, f"{path}/none")
    assert GETS[f"{path}/{{}}"].complaints(answer.json(), "404") == []
    assert set(get(APP, "/v2/users/none").json()) == {"type", "message"}


@pytest.mark.parametrize("path", LISTS)
def test_whatever_may_be_null_is_null_somewhere_and_known_elsewhere(path: str) -> None:
    endpoint, told = SERVED[path], GETS[path]
    expand = [d.value for d in endpoint.details if d.parameter == "expand[]"]
    collection = WORLD.collection(endpoint.collection)
    items = [
        item
        for parent in collection.parents() or [None]
        for item in shown_items(WORLD, endpoint.collection, parent, expand)
    ]
    never_known, never_null = set(), set()
    for name, schema in told.item_properties().items():
        values = [item.get(name) for item in items]
        if all(value is None for value in values):
            never_known.add(name)
        if schema.get("nullable") and None not in values:
            never_null.add((endpoint.collection, name))
    assert never_known <= NEVER_THERE.keys()
    assert never_null <= ALWAYS_KNOWN.keys()


def test_no_endpoint_reaches_a_card_number() -> None:
    assert not [e.path for e in ENDPOINTS if re.search(r"/pan$|/secure", e.path)]
