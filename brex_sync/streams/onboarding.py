"""Brex's Onboarding API: companies that a partner referred."""

from brex_sync.streams.columns import json, personal, text, timestamp
from brex_sync.streams.declare import Paging, Stream

REFERRALS = Stream(
    name="referrals",
    group="partners",
    description="Companies referred to Brex; only partners have any. Bank instructions and tax "
    "numbers are never kept.",
    path="/v1/referrals",
    item_path="/v1/referrals/{id}",
    scope="https://onboarding.brexapis.com/referrals",
    paging=Paging(limit=None),
    drop=("instructions", "ein", "ssn", "tax_id"),
    columns=(
        text("id", "Brex's identifier of the referral."),
        text("referral_signup_url", "Where the company signs up."),
        personal("customer_email", "E-mail address of who was referred."),
        text("status", "UNCLAIMED, ACTIVE, CLOSED or EXPIRED; Brex lists no expired ones."),
        timestamp("expires_at", "When the referral expires."),
        json("products", "What was applied for, with accounts opened, without bank details."),
    ),
)
