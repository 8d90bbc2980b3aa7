"""What a webhook subscription may name: types of events, and a URL."""

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

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
