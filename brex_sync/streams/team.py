"""Brex's Team API: the company, its people and their cards."""

from datetime import timedelta

from brex_sync.streams.columns import (
    Column,
    boolean,
    date,
    integer,
    json,
    money,
    personal,
    text,
    timestamp,
)
from brex_sync.streams.declare import ONE_OBJECT, Parent, Reference, RefreshPolicy, Stream


def _address(path: str, whose: str) -> tuple[Column, ...]:
    """The columns of a Brex Address object; `whose` ends the descriptions."""
    return (
        personal(f"{path}.line1", f"First address line of {whose}."),
        personal(f"{path}.line2", f"Second address line of {whose}."),
        text(f"{path}.city", f"City of {whose}."),
        text(f"{path}.state", f"State, province or region of {whose}."),
        text(f"{path}.country", f"Country of {whose}, ISO 3166-1 alpha-2."),
        text(f"{path}.postal_code", f"Postal code of {whose}."),
        personal(f"{path}.phone_number", f"Phone number of {whose}."),
    )


_PERSON = (
    text("id", "Brex's identifier of the user."),
    personal("first_name", "First name."),
    personal("last_name", "Last name."),
    personal("email", "E-mail address."),
    text("status", "INVITED, ACTIVE, DISABLED, ARCHIVED, DELETED and others as Brex adds them."),
    text("manager_id", "The user this user reports to."),
    text("department_id", "Department."),
    text("location_id", "Location."),
    text("title_id", "Job title."),
    text("cost_center_id", "Cost center."),
    text("legal_entity_id", "Legal entity that employs the user."),
    text("remote_display_id", "Identifier in the company's identity provider or HR system."),
    json("metadata", "The company's own attributes, a map of texts."),
    json("custom_fields", "Values of custom fields, a list of key and value."),
)

USERS = Stream(
    name="users",
    group="team",
    description="Everyone in the company's Brex account, those who left included.",
    path="/v2/users",
    item_path="/v2/users/{id}",
    extra_filters={"status[]": ("DELETED", "ARCHIVED")},
    scope="users.readonly",
    columns=_PERSON,
    references=(
        Reference("manager_id", "users"),
        Reference("department_id", "departments"),
        Reference("location_id", "locations"),
        Reference("title_id", "titles"),
    ),
    history=True,
)

CURRENT_USER = Stream(
    name="current_user",
    group="team",
    description="The user whose credential the sync reads with; one row.",
    path="/v2/users/me",
    scope="users.readonly",
    paging=ONE_OBJECT,
    columns=_PERSON,
)

DAILY = RefreshPolicy(max_age=timedelta(hours=23))
"""What is left of a limit moves with every purchase, and nothing of the user tells; asking for each
user in every run would be most of a run's requests. Once a day is what the daily table needs."""

USER_LIMITS = Stream(
    name="user_limits",
    group="team",
    description="What each user may spend per month, over all cards whose limit is the user's.",
    path="/v2/users/{id}/limit",
    scope="users.readonly",
    parent=Parent("users", into="user_id", refresh=DAILY),
    key=("user_id",),
    paging=ONE_OBJECT,
    columns=(
        money("monthly_limit", "Limit per month; null where the user has none."),
        money("monthly_available", "What is left of the limit this month."),
    ),
    references=(Reference("user_id", "users"),),
    history=True,
    snapshot=("monthly_limit", "monthly_available"),
)

COMPANY = Stream(
    name="company",
    group="team",
    description="The company that has the account; one row.",
    path="/v2/company",
    scope="companies.readonly",
    paging=ONE_OBJECT,
    columns=(
        text("id", "Brex's identifier of the company."),
        text("legal_name", "Legal name."),
        *_address("mailing_address", "the company"),
        text(
            "accountType",
            "BREX_CLASSIC or BREX_EMPOWER: decides which features there are.",
            also="account_type",
        ),
    ),
)

LEGAL_ENTITIES = Stream(
    name="legal_entities",
    group="team",
    description="The legal entities of the company.",
    path="/v2/legal_entities",
    item_path="/v2/legal_entities/{id}",
    scope="legal_entities.readonly",
    columns=(
        text("id", "Brex's identifier of the legal entity."),
        text("displayName", "Name."),
        text("status", "VERIFIED, IN_PROGRESS, REJECTED and others as Brex adds them."),
        boolean("isDefault", "Whether it is the company's default entity."),
        timestamp("createdAt", "When it was made."),
        *_address("billingAddress", "the legal entity"),
    ),
)


DEPARTMENTS = Stream(
    name="departments",
    group="team",
    description="The company's departments.",
    path="/v2/departments",
    item_path="/v2/departments/{id}",
    scope="departments.readonly",
    columns=(
        text("id", "Brex's identifier of the department."),
        text("name", "Name."),
        text("description", "Description."),
    ),
)

LOCATIONS = Stream(
    name="locations",
    group="team",
    description="Where people work.",
    path="/v2/locations",
    item_path="/v2/locations/{id}",
    scope="locations.readonly",
    columns=(
        text("id", "Brex's identifier of the location."),
        text("name", "Name."),
        text("description", "Description."),
    ),
)

TITLES = Stream(
    name="titles",
    group="team",
    description="Job titles.",
    path="/v2/titles",
    item_path="/v2/titles/{id}",
    scope="titles.readonly",
    columns=(text("id", "Brex's identifier of the title."), text("name", "Name.")),
)

COST_CENTERS = Stream(
    name="cost_centers",
    group="team",
    description="The company's cost centers.",
    path="/v2/cost_centers",
    scope="users.readonly",
    columns=(text("id", "Brex's identifier of the cost center."), text("name", "Name.")),
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
        *_address("billing_address", "the card's billing address"),
        *_address("mailing_address", "the address the card was sent to"),
        integer("expiration_date.month", "Month of expiry, 1 to 12."),
        integer("expiration_date.year", "Year of expiry, four digits."),
        boolean("has_been_transferred", "Moved from another account; spends only where it did."),
        text("budget_id", "Budget or spend limit the card draws on."),
        text("created_at", "When the card was made, as Brex writes it."),
        json("metadata", "The company's own attributes, a map of texts."),
    ),
    references=(Reference("owner_user_id", "users"),),
    history=True,
)
