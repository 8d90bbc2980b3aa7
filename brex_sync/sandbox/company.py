"""Everything else a company keeps at Brex: expenses, budgets, vendors, trips, books."""

import random
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from brex_sync.sandbox.collection import encode
from brex_sync.sandbox.people import ADDRESS

if TYPE_CHECKING:
    from brex_sync.sandbox.world import World

EXPENSES = 4_000


def fill(world: "World", rng: random.Random, first: date) -> None:
    """Keeps the books."""
    _expenses(world, rng, first)
    _budgets(world, rng)
    _payments(world, rng)
    _fields(world)
    _travel(world, rng)
    _accounting(world, rng)
    _integrations(world)


def _usd(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


def _moment(day: date, seconds: int = 0) -> str:
    return (datetime.combine(day, time(9)) + timedelta(seconds=seconds)).isoformat() + "Z"


def _expenses(world: "World", rng: random.Random, first: date) -> None:
    span = (world.today - first).days + 1
    rows = []
    for i in range(EXPENSES):
        day = world.today - timedelta(days=i * span // EXPENSES)
        amount = rng.randrange(500, 400_000)
        kind = rng.choice(("CARD", "CARD", "CARD", "REIMBURSEMENT", "BILLPAY"))
        rows.append(
            {
                "id": f"expense_{EXPENSES - i:06d}",
                "updated_at": _moment(day, -i % 3600),
                "dashboard_url": f"https://dashboard.brex.com/expenses/{EXPENSES - i:06d}",
                "memo": rng.choice((None, "Team lunch", "Büro", "Conference")),
                "expense_type": kind,
                "status": rng.choice(("DRAFT", "SUBMITTED", "APPROVED", "SETTLED")),
                "payment_status": rng.choice(("NOT_STARTED", "PROCESSING", "CLEARED")),
                "category": rng.choice((None, "RESTAURANTS", "RECURRING_SOFTWARE_AND_SAAS")),
                "user_id": f"cuuser_{i % 64:05d}",
                "location_id": None,
                "department_id": f"dept_{i % 6:04d}",
                "merchant_id": f"merch_{i % 12:04d}",
                "budget_id": f"budget_{i % 8:04d}",
                "original_amount": _usd(amount),
                "billing_amount": _usd(amount),
                "budget_amount": None if i % 7 == 0 else _usd(amount),
                "purchased_amount": _usd(amount),
                "usd_equivalent_amount": _usd(amount),
                "purchased_at": None if kind == "BILLPAY" else _moment(day - timedelta(days=2)),
                "receipts": [{"id": f"receipt_{i:06d}", "download_uris": None}] if i % 2 else [],
            }
        )
    world.collection("expenses").fill(
        (str(item["id"]), str(item["updated_at"]), encode(item)) for item in rows
    )


def _budgets(world: "World", rng: random.Random) -> None:
    owners = ["cuuser_00000", "cuuser_00001"]
    for i in range(8):
        amount = rng.randrange(10, 500) * 100_000
        shared = {
            "account_id": "cuacc_northwind",
            "name": f"Budget {i}",
            "description": None if i % 2 else f"For team {i}",
            "parent_budget_id": None if i < 2 else "budget_0000",
            "owner_user_ids": owners,
            "start_date": "2026-01-01",
            "end_date": None,
        }
        world.collection("budgets").add(
            shared
            | {
                "budget_id": f"budget_{i:04d}",
                "period_recurrence_type": rng.choice(("MONTHLY", "QUARTERLY", "YEARLY")),
                "amount": _usd(amount),
                "spend_budget_status": "ARCHIVED" if i == 7 else "ACTIVE",
                "limit_type": rng.choice(("HARD", "SOFT")),
            }
        )
        balance = {"start_date": "2026-11-01", "end_date": "2026-12-01"}
        world.collection("spend_limits").add(
            shared
            | {
                "id": f"spend_limit_{i:04d}",
                "status": "ACTIVE",
                "period_recurrence_type": "PER_MONTH",
                "start_time_utc": None,
                "end_time_utc": None,
                "authorization_settings": {
                    "base_limit": _usd(amount),
                    "limit_buffer_percentage": None,
                    "authorization_type": "HARD",
                    "rollover_refresh_rate": "OFF",
                    "limit_with_increases": _usd(amount),
                },
                "expense_visibility": "SHARED",
                "authorization_visibility": "PUBLIC",
                "merchant_category_controls": None,
                "transaction_limit": None,
                "limit_increase_setting": "ENABLED",
                "spend_type": "BUDGET_PROVISIONED_CARDS_ONLY",
                "auto_transfer_cards_setting": "DISABLED",
                "auto_create_limit_cards_setting": "DISABLED",
                "member_user_ids": [f"cuuser_{j:05d}" for j in range(i, i + 4)],
                "expense_policy_id": "policy_0001",
                "current_period_balance": balance | {"amount_spent": _usd(amount // 4)},
            }
        )
        world.collection("budgets_v1").add(
            shared
            | {
                "budget_id": f"spend_limit_{i:04d}",
                "creator_user_id": "cuuser_00000",
                "member_user_ids": owners,
                "period_type": "MONTHLY",
                "limit": _usd(amount),
                "budget_status": "APPROVED",
                "limit_type": "HARD",
                "spend_type": "BUDGET_PROVISIONED_CARDS_ONLY",
                "current_period_balance": balance | {"current_spend": _usd(amount // 4)},
                "limit_visibility": "SHARED",
                "budget_type": "SPEND_LIMIT",
            }
        )
    for i in range(3):
        world.collection("budget_programs").add(
            {
                "id": f"program_{i:04d}",
                "name": f"Wellness {i}",
                "description": None,
                "budget_blueprints": [],
                "existing_budget_ids": ["budget_0001"],
                "budget_program_status": "BUDGET_PROGRAM_STATUS_ACTIVE",
                "creator_user_id": "cuuser_00000",
                "created_at": "2025-05-01",
                "updated_at": "2026-02-01",
            }
        )


def _payments(world: "World", rng: random.Random) -> None:
    for i in range(40):
        details = {"type": "ACH", "payment_instrument_id": f"pdinstl_{i:05d}"}
        details |= {"routing_number": "121145349", "account_number": f"{rng.randrange(10**9):010d}"}
        world.collection("vendors").add(
            {
                "id": f"pdcont_{i:05d}",
                "company_name": f"Supplier {i}",
                "email": None if i % 3 else f"billing{i}@supplier.example",
                "phone": None,
                "payment_accounts": [{"details": details}] if i % 4 else [],
            }
        )
    for i in range(60):
        day = world.today - timedelta(days=i * 3)
        world.collection("transfers").add(
            {
                "id": f"dptx_{i:05d}",
                "counterparty": None,
                "description": None if i % 5 == 0 else f"Invoice {2000 + i}",
                "payment_type": rng.choice(("ACH", "DOMESTIC_WIRE", "CHEQUE")),
                "amount": _usd(rng.randrange(10_000, 5_000_000)),
                "process_date": day.isoformat(),
                "originating_account": {"type": "BREX_CASH", "id": "dpacc_operating"},
                "status": "PROCESSED" if i else "PROCESSING",
                "cancellation_reason": None,
                "estimated_delivery_date": None,
                "creator_user_id": "cuuser_00000",
                "created_at": day.isoformat(),
                "display_name": f"Supplier {i % 40}",
                "external_memo": "Thanks",
            }
        )
    world.collection("linked_accounts").add(
        {
            "id": "bank_0001",
            "bank_details": {"name": "First Bank", "type": "CHECKING"},
            "brex_account_id": None,
            "last_four": "4411",
            "available_balance": None,
            "current_balance": {
                "amount": _usd(1_250_000),
                "as_of_date": world.today.isoformat(),
            },
        }
    )


def _fields(world: "World") -> None:
    for i, name in enumerate(("Project", "Class", "Region")):
        field = f"field_{i:04d}"
        stamp = {"updated_at": "2026-03-01T12:00:00Z", "is_disabled": False}
        world.collection("fields").add(
            {"brex_id": field, "name": name, "remote_id": None, "group": "ACCOUNTING"} | stamp
        )
        for j in range(12):
            value = {"brex_id": f"{field}_{j:03d}", "field_id": field, "value": f"{name} {j}"}
            world.collection("field_values").add(
                value | {"value_id": f"v{j}", "remote_id": None} | stamp, field
            )


def _travel(world: "World", rng: random.Random) -> None:
    for i in range(25):
        day = world.today - timedelta(days=24 - i)
        trip = f"trip_{i:05d}"
        stamps = {"created_at": _moment(day), "updated_at": _moment(day, 60), "version": 1 + i % 3}
        world.collection("trips").add(
            {
                "id": trip,
                "name": f"Offsite {i}",
                "booker_user_id": f"cuuser_{i:05d}",
                "status": "UPCOMING",
                "traveler": {
                    "type": "EMPLOYEE",
                    "name": {"first_name": "Zoë", "last_name": "Chen"},
                    "user_id": f"cuuser_{i:05d}",
                },
                "starts_at": _moment(day + timedelta(days=9)),
                "ends_at": None,
            }
            | stamps
        )
        world.collection("bookings").open_list(trip)
        for j in range(rng.randrange(3)):
            world.collection("bookings").add(
                {
                    "id": f"booking_{i:05d}_{j}",
                    "trip_id": trip,
                    "type": "LODGING",
                    "status": "CONFIRMED",
                    "source": "BREX_TRAVEL",
                    "booking_data": {
                        "type": "LODGING",
                        "lodging_details": {"display_name": "Hotel Krone"},
                        "reservation_details": {
                            "check_in_time": {"local_time": "2026-04-01T15:00:00"},
                            "checkout_time": {"local_time": "2026-04-03T11:00:00"},
                        },
                    },
                }
                | stamps,
                trip,
            )


def _accounting(world: "World", rng: random.Random) -> None:
    for i in range(200):
        day = world.today - timedelta(days=199 - i)
        amount = {"amount": rng.randrange(100, 90_000), "currency": "USD"}
        world.collection("accounting_records").add(
            {
                "id": f"accr_{i:05d}",
                "amount": amount,
                "type": "CARD_EXPENSE_POST",
                "review_status": rng.choice(("PREPARE", "REVIEW", "READY_FOR_EXPORT", "EXPORTED")),
                "source_id": None,
                "source_type": "CARD",
                "erp_posting_date": _moment(day),
                "updated_at": _moment(day, i),
                "version": 1,
                "posted_at": _moment(day),
                "line_items": [
                    {
                        "id": f"arli_{i:05d}_{side}",
                        "type": side,
                        "amount": amount,
                        "accounting_field_values": [],
                    }
                    for side in ("DEBIT", "CREDIT")
                ],
            }
        )


def _integrations(world: "World") -> None:
    world.collection("referrals").add(
        {
            "id": "referral_0001",
            "referral_signup_url": "https://brex.example/signup/0001",
            "expires_at": "2027-01-01T00:00:00Z",
            "customer_email": None,
            "status": "UNCLAIMED",
            "products": [],
            "business_address": ADDRESS,
        }
    )
    world.collection("webhooks").add(
        {
            "id": "wsub_0001",
            "url": "https://hooks.northwind.example/brex",
            "event_types": ["USER_UPDATED"],
            "status": "ACTIVE",
        }
    )
    world.collection("webhook_secrets").add({"secret": "c2FuZGJveA==", "status": "ACTIVE"})
