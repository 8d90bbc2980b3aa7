"""Bank numbers are cut and links left out wherever they stand, in columns, `_raw`, quarantine."""

import json
from typing import Any

import pytest

from brex_sync.brex.error_responses import classify
from brex_sync.errors import ErrorResponse
from brex_sync.sensitive import scrubbed
from brex_sync.streams import STREAMS
from brex_sync.streams.columns import Kind
from brex_sync.sync.normalise.items import normalise
from brex_sync.webhooks.events import storable

NUMBER = "123456789012"
DETAILS = {"type": "ACH", "account_number": NUMBER, "routing_number": "987654321098"}
VENDOR = {
    "id": "v",
    "payment_accounts": [
        {"details": DETAILS},
        {
            "details": {
                "type": "INTERNATIONAL_WIRE",
                "iban": f"DE{NUMBER}",
                "swift_code": "ABCDEFGH",
            }
        },
        {"details": {"deeper": [{"account_number": NUMBER}]}},
    ],
}
BROKEN = {"status": 5, "company_name": 5, "memo": 5, "amount": 5}
LINK = "https://receipts.example/x?X-Amz-Signature=secret"
HELD = (
    ("vendors", VENDOR, (NUMBER, "987654321098", "ABCDEFGH")),
    ("transfers", {"id": "t", "counterparty": {"type": "VENDOR", **DETAILS}}, (NUMBER,)),
    (
        "expenses",
        {
            "id": "e",
            "updated_at": "2026-01-01T00:00:00Z",
            "receipts": [{"id": "r", "download_uris": [LINK]}],
            "expense_line_items": [{"id": "l", "receipts": [{"id": "r", "download_uris": [LINK]}]}],
        },
        ("secret", "download_uris"),
    ),
    (
        "accounting_records",
        {
            "id": "a",
            "updated_at": "2026-01-01T00:00:00Z",
            "receipts": [{"id": "r", "download_uris": [LINK]}],
        },
        ("secret", "download_uris"),
    ),
    (
        "referrals",
        {
            "id": "r",
            "products": [
                {"cash": {"accounts": [{"instructions": {"bank_account_number": NUMBER}}]}},
                {"applicant": {"ssn": "123-45-6789", "ein": "98-7654321"}},
            ],
        },
        (NUMBER, "6789", "7654321"),
    ),
)
CARD, IBAN = "4242424242424242", "DE89370400440532013000"
SIGNED = "https://files.example/a?X-Amz-Date=1&X-Amz-Signature=5ecret5ecret"
UNFORESEEN = {
    "bankDetails": {"accountNumber": NUMBER, "Routing-Number": 987654321098},
    "bank_account_number": NUMBER,
    "novelty": [{"card_number": CARD, "cvv": "9173", "deeper": {"SSN": "123-45-6789"}}],
    "accessToken": "5ecret5ecret",
    "apiKey": {"value": "5ecret5ecret"},
    "note": f"paid with 4242 4242 4242 4242, exp 12/27, from {IBAN} by {SIGNED}",
    "plain": 4242424242424242,
    "iban": "de89 3704 0044 0532 0130 00",
    "link": "https:\\/\\/files.example/a?sig=5ecret5ecret",
}
TELLTALES = (NUMBER, "987654321098", CARD, "4242 4242 4242", "9173", "123-45-6789", "5ecret5ecret")
TELLTALES += (IBAN, "3704 0044", "37040044")
LISTED = [name for name, stream in STREAMS.items() if stream.parent is None]


@pytest.mark.parametrize("name", LISTED)
def test_secrets_are_recognised_in_any_stream_whatever_they_are_called(name: str) -> None:
    stream = STREAMS[name]
    ids = {column.path: "x" for column in stream.columns if column.name in stream.key}
    texts = {
        column.path: f"see {CARD}"
        for column in stream.columns
        if column.kind is Kind.TEXT and "." not in column.path and "id" not in column.name
    }
    for item in ({**ids, **UNFORESEEN}, {**ids, **texts}, {**ids, "metadata": UNFORESEEN}):
        raw = json.dumps(item).replace("\\\\/", "\\/").encode()
        frame = normalise(stream, [raw])
        assert len(frame.rows) == 1
        held = frame.rows.to_csv() + str(frame.misfits)
        assert not [secret for secret in TELLTALES if secret in held]


def test_what_is_no_secret_stays_as_it_is() -> None:
    plain = {
        "id": CARD,
        "card_id": CARD,
        "amount": {"amount": int(CARD), "currency": "USD"},
        "description": "order 4242424242424241 of 2026-03-10, +4242424242424242, 12345678901234",
        "merchant": {"raw_descriptor": "STORE 12345 SEATTLE WA", "mcc": "5812", "country": "USA"},
        "card_metadata": {
            "uuid": "40000000-4000-4000-8000-400000000000",
            "tokens_used": 5,
            "last_four": "4242",
            "has_token": True,
            "span": "protein",
            "link": "https://files.example/a?id=4&page=2",
        },
        "card_transaction_operation_reference_id": CARD,
    }
    text = json.dumps(plain)
    frame = normalise(STREAMS["card_transactions"], [text.encode()])
    assert list(frame.rows["_raw"]) == [text]
    assert list(frame.rows["amount_minor"]) == [int(CARD)]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("4242-4242-4242-4242", "…4242"),
        ("to 378282246310005 today", "to …0005 today"),
        ("order 12 4242 4242 4242 4242 34", "order 12 …4242 34"),
        ("4242424242424241", "4242424242424241"),
        ("GB82 WEST 1234 5698 7654 32 is it", "…5432 is it"),
        ("GB83WEST12345698765432", "GB83WEST12345698765432"),
        ("https://a:5ecret@b.example/", "https://…@b.example/"),
        ("?id=1&Signature=abc%2F&x=2", "?id=1&Signature=…&x=2"),
        ("Authorization: Bearer abcdefghijkl.mn", "Authorization: Bearer …"),
    ],
)
def test_values_are_recognised_within_texts(text: str, clean: str) -> None:
    assert scrubbed(text) == clean


def test_brex_words_are_scrubbed_before_they_are_logged() -> None:
    body = json.dumps({"type": "BAD", "message": f"no card {CARD}"}).encode()
    assert CARD not in str(classify(ErrorResponse(400, body, None, None), "GET /v2/cards"))


def test_an_events_body_is_stored_without_secrets_and_with_its_ids() -> None:
    body = json.dumps({"event_type": "USER_UPDATED", "user_id": CARD, "pan": CARD, "memo": CARD})
    assert json.loads(storable(body)) == {
        "event_type": "USER_UPDATED",
        "user_id": CARD,
        "pan": "4242",
        "memo": "…4242",
    }
    plain = '{"event_type": "USER_UPDATED",  "user_id": "u"}'
    assert storable(plain) == plain


LINKED = {"id": "b", "bank_details": {"name": "Bank", "account_number": NUMBER}}


@pytest.mark.parametrize(("table", "item", "secrets"), HELD)
def test_nothing_sensitive_is_stored(rig: Any, table: str, item: Any, secrets: Any) -> None:
    rig.world.collection(table).add(item)
    rig.world.collection(table).add({**item, "id": "broken", **BROKEN})
    rig.sync(table)
    tables = [t.name for t in STREAMS[table].tables()]
    held = [text for t in tables for (text,) in rig.rows(f"SELECT t::text FROM brex.{t} t")]
    held += [text for (text,) in rig.rows("SELECT q::text FROM brex_sync.quarantine q")]
    assert len(held) >= 2
    assert rig.one("SELECT count(*) FROM brex_sync.quarantine") >= 1
    for secret in secrets:
        assert not any(secret in text for text in held), secret


def test_the_last_four_characters_stay(rig: Any) -> None:
    rig.world.collection("vendors").add(VENDOR)
    rig.sync("vendors")
    first, second, third = rig.one("SELECT payment_accounts FROM brex.vendors")
    assert first["details"] == DETAILS | {"account_number": "9012", "routing_number": "1098"}
    assert second["details"]["iban"] == "9012"
    assert third["details"]["deeper"] == [{"account_number": "9012"}]


@pytest.mark.parametrize("escaped", ["account_\\u006eumber", "\\u0061ccount_number"])
def test_a_name_in_escapes_hides_nothing(escaped: str) -> None:
    text = json.dumps(LINKED).replace("account_number", escaped).encode()
    frame = normalise(STREAMS["linked_accounts"], [text])
    assert "account_number" not in text.decode()
    assert NUMBER not in frame.rows.to_csv()
    assert "9012" in frame.rows.to_csv()


def test_text_that_is_no_object_is_not_kept_where_it_may_hold_a_number() -> None:
    frame = normalise(STREAMS["vendors"], [json.dumps([VENDOR]).encode()])
    assert NUMBER not in str(frame.rejected)
