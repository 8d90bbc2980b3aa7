"""Writes about the books: fields, their values, and what became of an export."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from brex_sync.sandbox.error_replies import ErrorReply, Errors, bad_request, not_found
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.writes.declare import ReceivedWrite, Text, WriteEndpoint, sent


class NewField(msgspec.Struct):
    """A field to keep."""

    name: Text
    group: Literal["ACCOUNTING", "USER", "ERP", "TRAVEL"]
    remote_id: str | None = None
    is_disabled: bool | None = None


class NewValue(msgspec.Struct):
    """A value a field may have."""

    value: Text
    value_id: str | None = None
    remote_id: str | None = None
    is_disabled: bool | None = None


class NewValues(msgspec.Struct):
    """Values to add at once."""

    items: Annotated[list[NewValue], Meta(max_length=1000)]


class Success(msgspec.Struct):
    """Where an exported record is."""

    reference_id: str | None = None
    deep_link_url: str | None = None


class Failure(msgspec.Struct):
    """Why a record was not exported."""

    error_message: str


class Result(msgspec.Struct):
    """What became of one record: one of `success` and `failure`."""

    accounting_record_id: Text
    success: Success | None = None
    failure: Failure | None = None


class RecordResults(msgspec.Struct):
    """What became of records."""

    results: Annotated[list[Result], Meta(min_length=1)]


def add_field(call: ReceivedWrite) -> Item:
    """Keeps another field."""
    body = sent(call.body)
    key = call.world.new_id("field")
    field = {"brex_id": key, **body, "is_disabled": bool(body["is_disabled"])}
    field["updated_at"] = call.world.moment()
    call.world.collection("fields").add(field)
    call.world.collection("field_values").open_list(key)
    return field


def add_values(call: ReceivedWrite) -> Item:
    """Adds values to a field; a value it has is refused, and then all are."""
    call.item("fields")
    values = call.world.collection("field_values")
    wanted = [item.value for item in call.body.items]
    known = {item["value"] for item in values.items(call.id)}
    if len(set(wanted)) < len(wanted) or known & set(wanted):
        raise bad_request("A value of this field already exists")
    made: list[Item] = []
    for item in sent(call.body)["items"]:
        value = {"brex_id": call.world.new_id("field_value"), "field_id": call.id, **item}
        value |= {"is_disabled": bool(item["is_disabled"]), "updated_at": call.world.moment()}
        values.add(value, call.id)
        made.append(value)
    return {"items": made}


def take_results(call: ReceivedWrite) -> Item:
    """Marks the records that were exported; those that were not stay ready. All or none."""
    records = call.world.collection("accounting_records")
    results: list[Result] = call.body.results
    keys = [result.accounting_record_id for result in results]
    if len(set(keys)) < len(keys):
        raise ErrorReply(422, "DUPLICATE_ACCOUNTING_RECORD_IDS", "Accounting record ids repeat")
    for result in results:
        if (result.success is None) == (result.failure is None):
            raise bad_request("A result has either success or failure")
        record = records.get(result.accounting_record_id)
        if record is None:
            raise not_found(f"No accounting record {result.accounting_record_id}")
        if record["review_status"] != "READY_FOR_EXPORT":
            raise ErrorReply(
                422,
                "ACCOUNTING_RECORD_NOT_READY_FOR_EXPORT",
                f"{result.accounting_record_id} is not ready for export",
            )
    for result in results:
        if result.success is not None:
            _exported(call, result.accounting_record_id)
    return {"updated_accounting_record_ids": keys}


def _exported(call: ReceivedWrite, key: str) -> None:
    records = call.world.collection("accounting_records")
    record = records.get(key)
    if record is not None:
        version, now = record["version"] + 1, call.world.moment()
        records.edit(key, review_status="EXPORTED", version=version, updated_at=now)


BOOK_WRITES = (
    WriteEndpoint("POST", "/v1/fields", "fields.write", add_field, NewField, keyed=True),
    WriteEndpoint(
        "POST", "/v1/fields/{id}/values", "field_values.write", add_values, NewValues, keyed=True
    ),
    WriteEndpoint(
        "POST",
        "/v3/accounting/records/export-results",
        "accounting.record.write",
        take_results,
        RecordResults,
        errors=Errors.ACCOUNTING,
    ),
)
