"""Webhook events: what happened, as Brex words it, and the secrets it is signed with."""

import base64
import hashlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from ipaddress import ip_address
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from brex_sync.sandbox.world.collection import Item, encode

if TYPE_CHECKING:
    from brex_sync.sandbox.world import World

COMPANY = "cuacc_northwind"
ATTRIBUTES = ("status", "manager_id", "department_id", "location_id")
"""Of a user: what a change of is an event."""
READY = "READY_FOR_EXPORT"
EventType = Literal[
    "REFERRAL_CREATED", "REFERRAL_ACTIVATED", "REFERRAL_APPLICATION_STATUS_CHANGED",
    "TRANSFER_PROCESSED", "TRANSFER_FAILED", "EXPENSE_PAYMENT_UPDATED", "USER_UPDATED",
    "EMBEDDED_CARD_TRANSACTION_UPDATED", "EMBEDDED_CARD_UPDATED", "EMBEDDED_ACCOUNT_UPDATED",
    "EMBEDDED_CARD_SHIPPING_UPDATED", "EMBEDDED_DISPUTE_UPDATED",
    "PARTNERSHIP_INTEGRATION_CONNECTION_UPDATED", "EMBEDDED_CARD_AUTHORIZATION",
    "EMBEDDED_FRAUD_ALERT", "EMBEDDED_BILLING_GROUP_UPDATED", "EMBEDDED_LEGAL_ENTITY_UPDATED",
    "EMBEDDED_BILLING_STATEMENT_UPDATED", "EMBEDDED_USER_STATUS_UPDATED",
    "ACCOUNTING_RECORD_READY_FOR_EXPORT",
]  # fmt: skip


class DeliveryMode(StrEnum):
    """How an event travels."""

    PLAIN = "plain"
    DROPPED = "dropped"
    """It is never sent."""
    DOUBLED = "doubled"
    """It is sent twice, under one id."""
    REORDERED = "reordered"
    """It waits up to `late` seconds, and others overtake it."""
    DELAYED = "delayed"
    """It is sent `late` seconds late."""


@dataclass(slots=True)
class Conduct:
    """How events are sent.

    `dropped`, `doubled`, `reordered` and `delayed` are the shares of events, 0 to 1, that meet that
    fate; `seed` decides which. An event goes out up to `tries` times, after waits of `first_wait`
    seconds growing by `growth`. `both` signs with a secret that is being revoked, too.
    """

    dropped: float = 0.0
    doubled: float = 0.0
    reordered: float = 0.0
    delayed: float = 0.0
    late: float = 1.0
    seed: int = 7
    first_wait: float = 1.0
    growth: float = 2.0
    tries: int = 8
    both: bool = True

    def fate(self, number: int) -> DeliveryMode:
        """The fate of the event of that number."""
        drawn = random.Random(f"{self.seed} {number}").random()
        for share, fate in (
            (self.dropped, DeliveryMode.DROPPED),
            (self.doubled, DeliveryMode.DOUBLED),
            (self.reordered, DeliveryMode.REORDERED),
            (self.delayed, DeliveryMode.DELAYED),
        ):
            if drawn < share:
                return fate
            drawn -= share
        return DeliveryMode.PLAIN


@dataclass(frozen=True, slots=True)
class SandboxEvent:
    """Something that happened: `id` is the Webhook-Id, `body` the JSON that is sent."""

    id: str
    type: str
    body: bytes
    fate: DeliveryMode


@dataclass(frozen=True, slots=True)
class Attempt:
    """An event sent, or not, to a subscription: the status answered, or the `error` met."""

    event_id: str
    subscription_id: str
    number: int
    status: int | None
    error: str

    @property
    def accepted(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


@dataclass
class Events:
    """What happened in a world, and what became of the news.

    `emitted` holds every event, `waiting` those not yet on their way, `attempts` each sending.
    `wake` is called, from whatever thread, when something happens.
    """

    world: "World"
    conduct: Conduct = field(default_factory=Conduct)
    emitted: list[SandboxEvent] = field(default_factory=list)
    waiting: deque[SandboxEvent] = field(default_factory=deque)
    attempts: list[Attempt] = field(default_factory=list)
    wake: Callable[[], None] = lambda: None
    _one_by_one: Lock = field(default_factory=Lock)

    def emit(self, event_type: str, **fields: Any) -> SandboxEvent:
        """Makes something happen: `fields` are those of the event's body."""
        body = encode({"event_type": event_type, **fields})
        with self._one_by_one:
            number = len(self.emitted) + 1
            fate = self.conduct.fate(number)
            event = SandboxEvent(f"msg_{self.world.seed}_{number:06d}", event_type, body, fate)
            self.emitted.append(event)
            self.waiting.append(event)
        self.wake()
        return event

    def ensure_secret(self) -> None:
        """Makes a secret where there is none to sign with."""
        if not self.secrets("ACTIVE"):
            self.rotate_secret()

    def rotate_secret(self, prefix: str = "") -> str:
        """A new secret, say with `whsec_` before it; the one before is about to be revoked."""
        secrets = self.world.collection("webhook_secrets")
        self.revoke_old_secrets()
        for old in self.secrets("ACTIVE"):
            secrets.edit(old, status="PENDING_REVOKE")
        key = hashlib.sha256(f"{self.world.seed} secret {len(secrets)}".encode()).digest()[:24]
        secret = prefix + base64.b64encode(key).decode()
        secrets.add({"secret": secret, "status": "ACTIVE"})
        return secret

    def revoke_old_secrets(self) -> None:
        """Revokes for good what was about to be revoked."""
        for old in self.secrets("PENDING_REVOKE"):
            self.world.collection("webhook_secrets").edit(old, status="REVOKED")

    def secrets(self, *states: str) -> list[str]:
        """The secrets in these states, the newest first."""
        items = self.world.collection("webhook_secrets").items()
        return [item["secret"] for item in items if item["status"] in states]

    def watch(self) -> None:
        """From now on, what changes in the world is an event where Brex has one for it."""
        for name, watcher in (
            ("users", _user_changed),
            ("transfers", _transfer_changed),
            ("accounting_records", _record_changed),
        ):
            self.world.collection(name).watchers.append(partial(watcher, self))

    def purchase(self, expense_id: str, version: int = 1, status: str = "PENDING") -> SandboxEvent:
        """A card purchase was authorised, or declined, days before it is settled."""
        item = self.world.collection("expenses").get(expense_id) or {}
        payment = self.world.collection("expense_payments").get(expense_id) or {}
        merchant = self.world.collection("merchants").get(str(item.get("merchant_id"))) or {}
        declined = status == "DECLINED"
        return self.emit(
            "EXPENSE_PAYMENT_UPDATED",
            expense_id=expense_id,
            payment_status=status,
            payment_type="DECLINED" if declined else "PURCHASE",
            company_id=COMPANY,
            purchased_at=item.get("purchased_at"),
            amount=item.get("billing_amount"),
            original_amount=item.get("original_amount"),
            billing_amount=item.get("billing_amount"),
            payment_description=merchant.get("raw_descriptor") or "Purchase",
            card_id=payment.get("paymentInstrument", {}).get("id") or "ncard_00000",
            merchant={name: merchant.get(name) for name in ("raw_descriptor", "mcc", "country")},
            payment_status_reason="EXCEEDED_CARD_LIMIT" if declined else "APPROVED",
            payment_authorization_code=None if declined else f"{len(self.emitted) % 10**6:06d}",
            version=version,
        )


def is_loopback(url: str) -> bool:
    """Whether a URL is of this machine."""
    _, host = scheme_and_host(url)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def scheme_and_host(url: str) -> tuple[str, str]:
    """What a URL begins with; empty where it is none."""
    try:
        parts = urlsplit(url)
        return (parts.scheme, parts.hostname or "") if parts.port != 0 else ("", "")
    except ValueError:
        return "", ""


def _user_changed(events: Events, before: Item | None, after: Item) -> None:
    if before is None:
        return
    changed = [name.upper() for name in ATTRIBUTES if before.get(name) != after.get(name)]
    if changed:
        ids = {"user_id": after["id"], "company_id": COMPANY}
        events.emit("USER_UPDATED", **ids, updated_attributes=changed)


def _transfer_changed(events: Events, before: Item | None, after: Item) -> None:
    status = after.get("status")
    if status in ("PROCESSED", "FAILED") and (before or {}).get("status") != status:
        ids = {"transfer_id": after["id"], "company_id": COMPANY}
        payment = {"payment_type": after.get("payment_type"), "return_for_id": None}
        events.emit(f"TRANSFER_{status}", **ids, **payment)


def _record_changed(events: Events, before: Item | None, after: Item) -> None:
    if after.get("review_status") == READY and (before or {}).get("review_status") != READY:
        ids = {"accountingRecordIds": [after["id"]], "companyId": COMPANY}
        events.emit("ACCOUNTING_RECORD_READY_FOR_EXPORT", **ids)
