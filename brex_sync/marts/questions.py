"""What the company's page asks the marts. Amounts are Decimals, or None where nothing is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeAlias

import sqlalchemy as sa

from brex_sync.marts.session import schema_of

NOBODY_S = "-"
"""In place of a department's name: what belongs to none."""
HISTORY = timedelta(days=90)
"""How far back the cash position is shown."""
NEAR = "0.8"
"""The part of a limit from which a card is near it."""
ENDED = "TERMINATED"
"""The status of a card that can spend no more."""
Answer: TypeAlias = Sequence[sa.Row[Any]]


@dataclass(frozen=True, slots=True)
class Days:
    """Days from `first` to `last`, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about: a span of a month, the one before it to compare with, and filters.

    `department` is a name, or NOBODY_S; `person` is a user's id. Without `currency`, sums are of
    the USD equivalents, and `unknown` counts the lines that have none.
    """

    connection: str
    this: Days
    before: Days
    department: str | None = None
    person: str | None = None
    currency: str | None = None

    @property
    def measured(self) -> str:
        """The column that is summed."""
        return "amount" if self.currency else "amount_usd"


def today(db: sa.Connection) -> date:
    """The day by which the marts count: the server's, in UTC."""
    found: date = db.execute(sa.text("SELECT (now() AT TIME ZONE 'UTC')::date")).scalar_one()
    return found


def departments(db: sa.Connection, connection: str) -> list[str]:
    """The names of the departments that people are in."""
    sql = "SELECT DISTINCT department FROM {m}.people WHERE department IS NOT NULL ORDER BY 1"
    return [row.department for row in _rows(db, connection, sql)]


def people(db: sa.Connection, connection: str) -> Answer:
    """`user_id` and `name` of everybody, by name."""
    return _rows(db, connection, "SELECT user_id, name FROM {m}.people ORDER BY name, user_id")


def currencies(db: sa.Connection, question: Question) -> list[str]:
    """The currencies of the spend of both spans."""
    sql = (
        "SELECT DISTINCT amount_currency FROM {m}.spend "
        "WHERE spend_date BETWEEN :before_first AND :this_last ORDER BY 1"
    )
    return [row.amount_currency for row in _asked(db, question, sql)]


def spend_by_group(db: sa.Connection, question: Question) -> Answer:
    """Spend of both spans, summed in one pass by department, category, merchant and day, and over
    all.

    `grouped_by` says by which; `amount`, `lines`, `unknown` are of this span, `previous`,
    `previous_lines`, `previous_unknown` of the one before; `on_day` is of the day, in either month.
    """
    x = question.measured
    this = "spend_date BETWEEN :this_first AND :this_last"
    before = "spend_date BETWEEN :before_first AND :before_last"
    sql = f"""
        SELECT CASE GROUPING(department, category, merchant, spend_date)
                WHEN 7 THEN 'department' WHEN 11 THEN 'category' WHEN 13 THEN 'merchant'
                WHEN 14 THEN 'day' ELSE 'all' END AS grouped_by,
            coalesce(department, category, merchant) AS name, spend_date AS day,
            sum({x}) FILTER (WHERE {this}) AS amount,
            count(*) FILTER (WHERE {this}) AS lines,
            count(*) FILTER (WHERE {this} AND {x} IS NULL) AS unknown,
            sum({x}) FILTER (WHERE {before}) AS previous,
            count(*) FILTER (WHERE {before}) AS previous_lines,
            count(*) FILTER (WHERE {before} AND {x} IS NULL) AS previous_unknown,
            sum({x}) AS on_day
        FROM {{m}}.spend
        WHERE counts AND spend_date BETWEEN :before_first AND :this_last
            {_narrowed(question, "department", "person", "currency")}
        GROUP BY GROUPING SETS ((department), (category), (merchant), (spend_date), ())
        ORDER BY amount DESC NULLS LAST, previous DESC NULLS LAST, name
    """
    return _asked(db, question, sql)


def cash_days(db: sa.Connection, question: Question) -> Answer:
    """Each cash account's days up to the span's last, newest last."""
    sql = f"""
        SELECT cash_account_id, account, amount_currency, day, inflow, outflow, closing, is_certain,
            balance_source
        FROM {{m}}.cash_daily WHERE day BETWEEN :since AND :this_last
            {_narrowed(question, "currency")}
        ORDER BY account, cash_account_id, day
    """
    return _asked(db, question, sql, since=question.this.last - HISTORY)


def cards_near_limit(db: sa.Connection, question: Question) -> Answer:
    """Cards in use that have used NEAR of their limit or more, the fullest first."""
    sql = f"""
        SELECT card_id, card_name, last_four, person, department, limit_source, limit_period,
            limit_amount, limit_amount_currency, used_amount, used_fraction, expires_on
        FROM {{m}}.card_utilisation
        WHERE used_fraction >= {NEAR} AND status IS DISTINCT FROM '{ENDED}'
            {_narrowed(question, "department", "person", "limit_currency")}
        ORDER BY used_fraction DESC, card_name, card_id
    """
    return _asked(db, question, sql)


def budgets(db: sa.Connection, question: Question) -> Answer:
    """The periods of budgets and spend limits that hold the span's last day, the fullest first."""
    sql = f"""
        SELECT budget_id, kind, name, parent_budget_id, path, period_start, period_end,
            limit_amount, limit_amount_currency, spent_amount, spent_amount_currency, used_fraction,
            lines_without_amount
        FROM {{m}}.budget_performance
        WHERE period_start <= :this_last AND (period_end IS NULL OR period_end >= :this_last)
            {_narrowed(question, "limit_currency")}
        ORDER BY used_fraction DESC NULLS LAST, path, budget_id
    """
    return _asked(db, question, sql)


def subscriptions(db: sa.Connection, question: Question, since: date) -> Answer:
    """Likely subscriptions that are new, or have changed their price, since a day."""
    sql = f"""
        SELECT merchant, amount_currency, cadence, first_seen, last_seen, last_amount,
            price_change, price_changed_on, first_seen >= :since AS is_new
        FROM {{m}}.merchants
        WHERE is_subscription AND (first_seen >= :since OR price_changed_on >= :since)
            AND first_seen <= :this_last {_narrowed(question, "currency")}
        ORDER BY greatest(first_seen, price_changed_on) DESC, merchant, amount_currency
    """
    return _asked(db, question, sql, since=since)


def receipts_missing(db: sa.Connection, question: Question) -> Answer:
    """Missing receipts by person, of lines up to the span's last day."""
    x = question.measured
    sql = f"""
        SELECT user_id, person, department, count(*) AS lines, sum({x}) AS amount,
            count(*) FILTER (WHERE {x} IS NULL) AS unknown, min(spend_date) AS oldest
        FROM {{m}}.missing_receipts WHERE spend_date <= :this_last
            {_narrowed(question, "department", "person", "currency")}
        GROUP BY user_id, person, department ORDER BY lines DESC, person, user_id
    """
    return _asked(db, question, sql)


def pending_spend(db: sa.Connection, question: Question) -> Answer:
    """Spend that is not settled, by its kind; reimbursements are asked for apart."""
    x = question.measured
    sql = f"""
        SELECT kind, count(*) AS lines, sum({x}) AS amount, min(spend_date) AS oldest,
            count(*) FILTER (WHERE {x} IS NULL) AS unknown
        FROM {{m}}.spend WHERE stage = 'pending' AND counts AND kind <> 'reimbursement'
            {_narrowed(question, "department", "person", "currency")}
        GROUP BY kind ORDER BY kind
    """
    return _asked(db, question, sql)


def open_reimbursements(db: sa.Connection, question: Question) -> Answer:
    """Reimbursements that were submitted and are not paid, by state."""
    x = question.measured
    sql = f"""
        SELECT state, count(*) AS lines, sum({x}) AS amount, min(submitted_on) AS oldest,
            count(*) FILTER (WHERE {x} IS NULL) AS unknown
        FROM {{m}}.reimbursements WHERE state IN ('submitted', 'approved', 'paying')
            {_narrowed(question, "department", "person", "currency")}
        GROUP BY state ORDER BY state
    """
    return _asked(db, question, sql)


def waiting_approvals(db: sa.Connection, question: Question) -> Answer:
    """Expenses that wait for a reviewer's decision next, the longest waiting first."""
    x = question.measured
    sql = f"""
        SELECT reviewer_id, reviewer, count(*) AS lines, sum({x}) AS amount,
            count(*) FILTER (WHERE {x} IS NULL) AS unknown, max(days_pending) AS days
        FROM {{m}}.approvals WHERE is_next {_narrowed(question, "department", "person", "currency")}
        GROUP BY reviewer_id, reviewer ORDER BY days DESC NULLS LAST, reviewer, reviewer_id
    """
    return _asked(db, question, sql)


def open_payables(db: sa.Connection, question: Question) -> Answer:
    """Bills that are not paid, and transfers under way, the earliest due first."""
    sql = f"""
        SELECT kind, bill_id, transfer_id, vendor, invoice_number, due_date, process_date, status,
            amount, amount_currency, amount_unit_known, dashboard_url
        FROM {{m}}.payables WHERE is_open {_narrowed(question, "currency")}
        ORDER BY kind, coalesce(due_date, process_date), vendor, bill_id, transfer_id
    """
    return _asked(db, question, sql)


def close_items(db: sa.Connection, question: Question, since: date) -> Answer:
    """The close checklist of the months from the one that begins on `since` to the span's."""
    sql = """
        SELECT month, item, open, is_done, closed_on FROM {m}.close_checklist
        WHERE month BETWEEN :since AND :this_first ORDER BY sort, item, month
    """
    return _asked(db, question, sql, since=since)


def statements(db: sa.Connection, question: Question) -> Answer:
    """How many statements there are, and how many do not tie, by the kind of account."""
    sql = """
        SELECT account_kind, count(*) AS statements,
            count(*) FILTER (WHERE ties IS NOT TRUE) AS broken
        FROM {m}.statement_reconciliation GROUP BY account_kind ORDER BY account_kind
    """
    return _asked(db, question, sql)


def upkeep(db: sa.Connection, connection: str) -> Answer:
    """How each mart is: `fault` says why it is not up to date, `checks` counts what is checked of
    its rows, `broken` what does not hold. None where no mart was ever made."""
    if db.scalar(sa.text("SELECT to_regclass('brex_sync.marts')")) is None:
        return []
    sql = """
        SELECT mart, fault, refreshed_at,
            (SELECT count(*) FROM jsonb_object_keys(ties)) AS checks,
            ARRAY(SELECT e.key FROM jsonb_each(ties) e WHERE (e.value ->> 'broken')::bigint > 0
                ORDER BY e.key) AS broken
        FROM brex_sync.marts WHERE connection = :of ORDER BY mart
    """
    return _rows(db, connection, sql, of=connection)


def _narrowed(question: Question, *by: str) -> str:
    """The filters of a question, for a mart that knows these of them."""
    department = (
        "department IS NULL" if question.department == NOBODY_S else "department = :department"
    )
    conditions = {
        "department": question.department and department,
        "person": question.person and "user_id = :person",
        "currency": question.currency and "amount_currency = :currency",
        "limit_currency": question.currency and "limit_amount_currency = :currency",
    }
    return " ".join(f"AND {conditions[one]}" for one in by if conditions[one])


def _asked(db: sa.Connection, question: Question, sql: str, **more: Any) -> Answer:
    values = {
        "this_first": question.this.first,
        "this_last": question.this.last,
        "before_first": question.before.first,
        "before_last": question.before.last,
        "department": question.department,
        "person": question.person,
        "currency": question.currency,
        **more,
    }
    return _rows(db, question.connection, sql, **values)


def _rows(db: sa.Connection, connection: str, sql: str, **values: Any) -> Answer:
    statement = sa.text(sql.replace("{m}", f'"{schema_of(connection)}"'))
    return db.execute(statement, {k: v for k, v in values.items() if f":{k}" in sql}).all()
