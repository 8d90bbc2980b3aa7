"""Brex's Team API: people and their cards."""

from brex_sync.streams.declare import (
    Reference,
    Stream,
    address,
    boolean,
    date,
    integer,
    json,
    money,
    personal,
    text,
)

USERS = Stream(
    name="users",
    group="team",
    description="Everyone in the company's Brex account, those who left included.",
    path="/v2/users",
    item_path="/v2/users/{id}",
    hidden={"status[]": ("DELETED", "ARCHIVED")},
    scope="users.readonly",
    columns=(
        text("id", "Brex's identifier of the user."),
        personal("first_name", "First name."),
        personal("last_name", "Last name."),
        personal("email", "E-mail address."),
        text(
            "status", "INVITED, ACTIVE, DISABLED, ARCHIVED, DELETED and others as Brex adds them."
        ),
        text("manager_id", "The user this user reports to."),
        text("department_id", "Department."),
        text("location_id", "Location."),
        text("title_id", "Job title."),
        text("cost_center_id", "Cost center."),
        text("legal_entity_id", "Legal entity that employs the user."),
        text("remote_display_id", "Identifier in the company's identity provider or HR system."),
        json("metadata", "The company's own attributes, a map of texts."),
        json("custom_fields", "Values of custom fields, a list of key and value."),
    ),
    references=(Reference("manager_id", "users"),),
)

CARDS = Stream(
    name="cards",
    group="team",
    description="Every card, virtual and physical, with its owner, limits and state. "
    "Card numbers are never read.",
    path="/v2/cards",
    item_path="/v2/cards/{id}",
    scope="cards.readonly",
    columns=(
        text("id", "Brex's identifier of the card."),
        text("owner.type", "Kind of owner; USER today."),
        text("owner.user_id", "The user who holds the card."),
        text("status", "ACTIVE, SHIPPED, LOCKED or TERMINATED, and others as Brex adds them."),
        text("last_four", "Last four digits of the card number."),
        text("card_name", "Name given to the card."),
        text("card_type", "VIRTUAL or PHYSICAL."),
        text("limit_type", "CARD: the card has limits of its own; USER: the user's limit rules."),
        money("spend_controls.spend_limit", "Limit of the card per period."),
        money("spend_controls.spend_available", "What is left of the limit in this period."),
        text("spend_controls.spend_duration", "MONTHLY, QUARTERLY, YEARLY or ONE_TIME."),
        text("spend_controls.reason", "Why the limit was set."),
        date("spend_controls.lock_after_date", "Day (UTC) after which the card locks itself."),
        json("spend_controls.allowed_merchant_details", "The only merchants allowed, if any."),
        json("spend_controls.blocked_merchant_details", "Merchants refused, if any."),
        *address("billing_address", "the card's billing address"),
        *address("mailing_address", "the address the card was sent to"),
        integer("expiration_date.month", "Month of expiry, 1 to 12."),
        integer("expiration_date.year", "Year of expiry, four digits."),
        boolean("has_been_transferred", "Moved from another account; spends only where it did."),
        text("budget_id", "Budget or spend limit the card draws on."),
        text("created_at", "When the card was made, as Brex writes it."),
        json("metadata", "The company's own attributes, a map of texts."),
    ),
    references=(Reference("owner_user_id", "users"),),
)
