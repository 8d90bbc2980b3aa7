"""Brex's Accounting API: what is to be posted to the books, line by line.

Its Amount is a plain number, of which Brex does not say whether it is minor units.
"""

from brex_sync.streams.columns import (
    amount,
    integer,
    json,
    personal,
    text,
    timestamp,
)
from brex_sync.streams.declare import Child, Paging, Reference, Stream, Window

LINE_ITEMS = Child(
    name="accounting_record_line_items",
    description="Debits and credits of every accounting record. Amounts are positive.",
    path="line_items",
    into="accounting_record_id",
    own="id",
    columns=(
        text("id", "Brex's identifier of the line."),
        text("type", "CREDIT or DEBIT."),
        *amount("amount", "Amount."),
        *amount("original_amount", "Amount in the currency of the purchase."),
        text("memo", "Memo."),
        json("accounting_field_values", "The accounting fields' values."),
    ),
)

ACCOUNTING_RECORDS = Stream(
    name="accounting_records",
    group="accounting",
    description="Card expenses, reimbursements and bills as the books should have them.",
    path="/v3/accounting/records",
    item_path="/v3/accounting/records/{id}",
    scope="accounting.record.read",
    paging=Paging(limit=500),
    window=Window(param="updated_at[gte]", column="updated_at"),
    drop=("download_uris",),
    children=(LINE_ITEMS,),
    columns=(
        text("id", "Brex's identifier of the record."),
        *amount("amount", "Amount."),
        *amount("original_amount", "Amount in the currency of the purchase."),
        text("type", "What happened: CARD_EXPENSE_POST and others as Brex adds them."),
        text("review_status", "PREPARE, REVIEW, READY_FOR_EXPORT or EXPORTED."),
        text("source_type", "CARD, REIMBURSEMENT or BILL."),
        text("source_id", "What the record is made from: an expense or a bill."),
        timestamp("erp_posting_date", "When it is to be posted."),
        timestamp("posted_at", "When it was posted."),
        timestamp("due_at", "When it is due."),
        timestamp("updated_at", "When it was last changed."),
        integer("version", "Rises with every change."),
        text("invoice_number", "Number of the invoice."),
        text("memo", "Memo."),
        json("receipts", "Receipts, without links."),
        text("user.id", "The user, in this API's form of the identifier."),
        personal("user.first_name", "First name."),
        personal("user.last_name", "Last name."),
        personal("user.email", "E-mail address."),
        text("user.role", "Role."),
        text("user.status", "Status of the user."),
        text("user.manager_id", "The user's manager."),
        personal("user.manager_first_name", "First name of the manager."),
        personal("user.manager_last_name", "Last name of the manager."),
        text("user.manager_title_id", "Title of the manager."),
        text("user.manager_title_name", "Name of the manager's title."),
        text("user.department_id", "Department."),
        text("user.department_name", "Name of the department."),
        text("user.location_id", "Location."),
        text("user.location_name", "Name of the location."),
        text("user.title_id", "Title."),
        text("user.title_name", "Name of the title."),
        text("vendor.id", "The vendor."),
        text("vendor.name", "Name of the vendor."),
        personal("vendor.contact_name", "Whom to turn to there."),
        personal("vendor.email", "E-mail address of the vendor."),
        text("vendor.website", "Website of the vendor."),
        personal("vendor.phone", "Phone number of the vendor."),
    ),
    references=(Reference("vendor_id", "vendors"),),
)
