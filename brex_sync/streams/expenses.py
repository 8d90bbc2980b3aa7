"""Brex's Expenses API: card expenses, reimbursements and bills, with all that hangs on them."""

from brex_sync.streams.columns import Column, boolean, json, money, personal, text, timestamp
from brex_sync.streams.declare import Child, Ledger, Paging, Reference, Stream, Window


def _user(path: str, who: str) -> tuple[Column, ...]:
    """The columns of a user shown inside an expense."""
    return (
        text(f"{path}.id", f"{who}."),
        personal(f"{path}.first_name", f"First name of {who.lower()}."),
        personal(f"{path}.last_name", f"Last name of {who.lower()}."),
        text(f"{path}.department_id", f"Department of {who.lower()}."),
        text(f"{path}.location_id", f"Location of {who.lower()}."),
    )


_EXPENSE = (
    text("id", "Brex's identifier of the expense."),
    text("expense_type", "CARD, REIMBURSEMENT, BILLPAY, CLAWBACK, UNSET and others."),
    text("status", "DRAFT, SUBMITTED, APPROVED, SPLIT, SETTLED, VOID and others."),
    text("payment_status", "CLEARED, PROCESSING, DECLINED, REFUNDED and others."),
    text("category", "Category of the merchant, as Brex sees it."),
    text("memo", "Memo."),
    money("original_amount", "Amount in the currency of the purchase."),
    money("billing_amount", "Amount in the currency of the account."),
    money("budget_amount", "Amount in the currency of the budget."),
    money("purchased_amount", "Amount at the time of the purchase."),
    money("usd_equivalent_amount", "Amount in US dollars."),
    timestamp("purchased_at", "When the purchase was made."),
    timestamp("payment_posted_at", "When the payment was posted."),
    timestamp("submitted_at", "When it was handed in."),
    timestamp("approved_at", "When it was approved."),
    timestamp("completion_date", "When it was completed."),
    timestamp("exported_at", "When it was exported to the books."),
    timestamp("updated_at", "When it was last changed."),
    text("user_id", "The user who spent."),
    personal("user.first_name", "First name of the user."),
    personal("user.last_name", "Last name of the user."),
    text("department_id", "Department."),
    text("department.name", "Name of the department."),
    text("location_id", "Location."),
    text("location.name", "Name of the location."),
    text("budget_id", "Budget or spend limit it draws on."),
    text("budget.name", "Name of the budget or spend limit."),
    text("merchant_id", "Merchant."),
    text("merchant.raw_descriptor", "Merchant as the card network names it."),
    text("merchant.mcc", "Merchant category code, ISO 18245."),
    text("merchant.country", "Merchant's country, ISO 3166-1 alpha-3."),
    text("payment.id", "Brex's identifier of the payment."),
    text("payment.paymentInstrument.type", "CARD, and others as Brex adds them."),
    text("payment.paymentInstrument.id", "What was paid with: a card where the type says so."),
    text("payment.statusReason", "Why the payment is in its state."),
    text("spending_entity_id", "Legal entity that spends."),
    text("spending_entity.display_name", "Name of the legal entity that spends."),
    text("spending_entity.status", "State of that entity's verification."),
    boolean("spending_entity.is_default", "Whether it is the account's default entity."),
    timestamp("spending_entity.created_at", "When that entity was made."),
    json("spending_entity.billing_address", "Billing address of that entity."),
    text("policy.id", "Policy that the expense is under."),
    text("policy.name", "Name of the policy."),
    text("billing_entity_id", "Legal entity that is billed."),
    text("integration_spending_entity_id", "The spending entity in the books."),
    text("integration_billing_entity_id", "The billed entity in the books."),
    text("trip_id", "Trip it belongs to."),
    text("booking_id", "Booking it belongs to."),
    json("address", "Where the purchase was made."),
    text("review.compliance_status", "Whether it keeps to the policy."),
    *_user("repayment.repayment_initiated_by", "Who asked for the repayment"),
    timestamp("repayment.repayment_initiation_date", "When repayment was asked for."),
    text("dashboard_url", "Where to see it at Brex."),
)
_SHOWN_TWICE = (
    "user.id",
    "user.department_id",
    "user.location_id",
    "department.id",
    "location.id",
    "budget.id",
    "spending_entity.id",
)

RECEIPTS = Child(
    name="expense_receipts",
    description="Receipts of every expense. Links to the files die in minutes and are never kept.",
    path="receipts",
    into="expense_id",
    own="id",
    columns=(text("id", "Brex's identifier of the receipt."),),
)

CUSTOM_FIELDS = Child(
    name="expense_custom_fields",
    description="Custom fields' values of every expense.",
    path="custom_fields",
    into="expense_id",
    columns=(
        text("key", "Key of the field."),
        text("value.value_type", "SINGLE_VALUE or LIST."),
        text("value.data_type", "STRING, DECIMAL, BOOLEAN, ENUM, DATE, MONEY and others."),
        json("value.data", "The value, or the list of values."),
    ),
)

APPROVAL_STEPS = Child(
    name="expense_approval_steps",
    description="Who approved, or is to approve, every expense, in order.",
    path="review.approval_steps",
    into="expense_id",
    columns=(
        text("status", "PENDING, APPROVED and others as Brex adds them."),
        *_user("reviewer", "Who decided"),
        *_user("copilot_reviewer", "Who decided in the reviewer's place"),
        json("pending_reviewers", "Users who may decide."),
        timestamp("resolved_at", "When it was decided."),
    ),
)

LINE_ITEMS = Child(
    name="expense_line_items",
    description="The parts of split expenses. Each may be an expense of its own as well: count "
    "either the parts or the whole.",
    path="expense_line_items",
    into="expense_id",
    own="id",
    ignored_fields=_SHOWN_TWICE,
    columns=(
        *_EXPENSE,
        json("receipts", "Receipts, without links."),
        json("custom_fields", "Custom fields' values."),
        json("review.approval_steps", "Who approved or is to approve it."),
        json("expense_line_items", "Parts of the part."),
    ),
)

EXPENSES = Stream(
    name="expenses",
    group="expenses",
    description="Card expenses, reimbursements and bills.",
    path="/v1/expenses",
    item_path="/v1/expenses/{id}",
    scope="expenses.card.readonly",
    paging=Paging(limit=100),
    window=Window(param="updated_at_start", until="updated_at_end", column="updated_at"),
    params={
        "expand[]": (
            "merchant",
            "location",
            "department",
            "budget",
            "user",
            "payment",
            "spending_entity",
            "policy",
        ),
        "load_custom_fields": ("true",),
    },
    drop=("download_uris",),
    ignored_fields=_SHOWN_TWICE,
    children=(LINE_ITEMS, CUSTOM_FIELDS, APPROVAL_STEPS, RECEIPTS),
    columns=_EXPENSE,
    references=(
        Reference("user_id", "users"),
        Reference("department_id", "departments"),
        Reference("location_id", "locations"),
    ),
    history=True,
    ledger=Ledger(dated="purchased_at", amount="billing_amount"),
)
