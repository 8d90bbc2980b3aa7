"""Brex's Transactions API: the accounts and their statements."""

from brex_sync.streams.columns import bank_number, boolean, date, money, text
from brex_sync.streams.declare import Paging, Parent, Reference, Shape, Statement, Stream

_STATEMENT = (
    text("id", "Brex's identifier of the statement."),
    money("start_balance", "Balance at the start of the period."),
    money("end_balance", "Balance at the end of the period."),
    date("period.start_date", "First day (UTC) of the period."),
    date("period.end_date", "Day (UTC) before which the period ends."),
)

CARD_ACCOUNTS = Stream(
    name="card_accounts",
    group="accounts",
    description="The company's card accounts with their balances and limits.",
    path="/v2/accounts/card",
    scope="accounts.card.readonly",
    paging=Paging(limit=None, shape=Shape.ARRAY),
    columns=(
        text("id", "Brex's identifier of the account."),
        text("status", "ACTIVE, and others as Brex adds them."),
        money("current_balance", "What the company owes on the account."),
        money("available_balance", "What can still be spent."),
        money("account_limit", "The account's credit limit."),
        date("current_statement_period.start_date", "First day (UTC) of the open statement."),
        date("current_statement_period.end_date", "Day (UTC) before which the statement ends."),
    ),
    snapshot=("current_balance", "available_balance", "account_limit"),
)

CASH_ACCOUNTS = Stream(
    name="cash_accounts",
    group="accounts",
    description="The company's cash accounts with their balances.",
    path="/v2/accounts/cash",
    item_path="/v2/accounts/cash/{id}",
    scope="accounts.cash.readonly",
    paging=Paging(limit=None),
    columns=(
        text("id", "Brex's identifier of the account."),
        text("name", "Name of the account."),
        text("description", "What the company says of the account."),
        text("status", "ACTIVE, and others as Brex adds them."),
        money("current_balance", "Balance, pending movements included."),
        money("available_balance", "Balance that can be used now."),
        bank_number("account_number", "Bank account number."),
        bank_number("routing_number", "Bank routing number."),
        boolean("primary", "Whether this is the company's one primary account."),
    ),
    snapshot=("current_balance", "available_balance"),
)

CARD_STATEMENTS = Stream(
    name="card_statements",
    group="accounts",
    description="Finalised statements of the primary card account.",
    path="/v2/accounts/card/primary/statements",
    scope="statements.card.readonly",
    columns=_STATEMENT,
    statement=Statement("card_transactions"),
)

CASH_STATEMENTS = Stream(
    name="cash_statements",
    group="accounts",
    description="Finalised statements of every cash account.",
    path="/v2/accounts/cash/{id}/statements",
    scope="statements.cash.readonly",
    parent=Parent("cash_accounts", into="cash_account_id"),
    key=("cash_account_id", "id"),
    columns=_STATEMENT,
    statement=Statement("cash_transactions"),
    references=(Reference("cash_account_id", "cash_accounts"),),
)
