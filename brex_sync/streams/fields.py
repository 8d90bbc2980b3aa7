"""Brex's Fields API: custom and accounting fields, and the values one may choose from."""

from brex_sync.streams.columns import boolean, text, timestamp
from brex_sync.streams.declare import Parent, Reference, Stream

FIELDS = Stream(
    name="fields",
    group="fields",
    description="Fields that expenses, users and trips can be tagged with.",
    path="/v1/fields",
    item_path="/v1/fields/{id}",
    scope="fields.read",
    key=("brex_id",),
    columns=(
        text("brex_id", "Brex's identifier of the field."),
        text("name", "Name."),
        text("remote_id", "Identifier in the company's own system."),
        text("group", "ACCOUNTING, USER, ERP or TRAVEL."),
        text("integration_id", "Accounting integration a field of the group ERP belongs to."),
        boolean("is_disabled", "Whether it can no longer be chosen."),
        timestamp("updated_at", "When it was last changed."),
    ),
)

FIELD_VALUES = Stream(
    name="field_values",
    group="fields",
    description="The values of every field.",
    path="/v1/fields/{brex_id}/values",
    scope="field_values.read",
    parent=Parent("fields", into="field_id", column="brex_id"),
    key=("field_id", "brex_id"),
    columns=(
        text("brex_id", "Brex's identifier of the value."),
        text("value", "The value."),
        text("value_id", "The company's identifier of the value."),
        text("remote_id", "Identifier in the company's own system."),
        boolean("is_disabled", "Whether it can no longer be chosen."),
        timestamp("updated_at", "When it was last changed."),
    ),
    references=(Reference("field_id", "fields", to="brex_id"),),
)
