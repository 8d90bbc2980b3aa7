"""Bank numbers are cut and links left out wherever they stand, in columns, `_raw`, quarantine."""

import json
from typing import Any

import pytest

from brex_sync.streams import STREAMS
from brex_sync.sync.normalise import normalise

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
