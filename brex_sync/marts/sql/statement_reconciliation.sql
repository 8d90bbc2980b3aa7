/*
description: >-
  Every finalised statement beside the transactions of its period, and whether they explain it: what
  was owed or held at the start, plus the transactions, is what was owed or held at the end. Brex
  gives card statements of the primary card account only, which is in one currency, and does not say
  to which card account a transaction belongs: transactions in that currency count.
grain: One row per statement.
key: [connection, account_kind, account_id, statement_id]
sources: [card_statements, card_transactions, cash_accounts, cash_statements, cash_transactions]
stored: true
columns:
  connection: The connection.
  account_kind: card or cash.
  account_id: Brex's identifier of the cash account; primary for the primary card account.
  account: Name of the cash account; Primary card account for that.
  statement_id: Brex's identifier of the statement.
  period_start: First day (UTC) of the period.
  period_end: Day (UTC) before which the period ends.
  amount_currency: >-
    ISO 4217 currency of the row's amounts; an end balance in another one leaves the difference null.
  start_balance: Balance at the start, owed for cards, held for cash; null where Brex gives none.
  start_balance_minor: The same in the currency's smallest unit, exact.
  transactions_amount: >-
    Sum of the transactions posted in the period; of cards, purchases positive, of cash, received
    positive.
  transactions_amount_minor: The same in the currency's smallest unit, exact.
  end_balance: Balance at the end; null where Brex gives none.
  end_balance_minor: The same in the currency's smallest unit, exact.
  difference: >-
    What the transactions do not explain: the end, less the start and the transactions; null where
    a balance is not known.
  difference_minor: The same in the currency's smallest unit, exact.
  transactions: Number of transactions posted in the period.
  transactions_without_amount: Those of them that are in no sum, as Brex gives no amount.
  ties: Whether the difference is nothing; null where a balance is not known.
ties:
  statements_tie:
    description: The transactions of every statement's period explain its balances.
    query: >-
      SELECT account_kind, account_id, statement_id, difference_minor FROM statement_reconciliation
      WHERE ties IS NOT TRUE
  statements_follow:
    description: Every statement starts with what the one before ended with.
    query: >-
      SELECT account_kind, account_id, statement_id, start_balance_minor, before FROM (
      SELECT *, lag(end_balance_minor) OVER w AS before, lag(period_end) OVER w = period_start AS
      follows FROM statement_reconciliation
      WINDOW w AS (PARTITION BY account_kind, account_id, amount_currency ORDER BY period_start)
      ) statements WHERE follows AND start_balance_minor IS DISTINCT FROM before
  statements_are_there_once:
    description: There are as many rows as statements.
    query: >-
      SELECT m.n, c.n + s.n FROM (SELECT count(*) AS n FROM statement_reconciliation) m,
      (SELECT count(*) AS n FROM card_statements WHERE _deleted_at IS NULL) c,
      (SELECT count(*) AS n FROM cash_statements WHERE _deleted_at IS NULL) s WHERE m.n <> c.n + s.n
*/
WITH statement AS (
    SELECT
        'card' AS account_kind,
        'primary' AS account_id,
        'Primary card account' AS account,
        id,
        period_start_date,
        period_end_date,
        start_balance,
        start_balance_minor,
        start_balance_currency,
        end_balance,
        end_balance_minor,
        end_balance_currency
    FROM card_statements
    WHERE _deleted_at IS NULL
    UNION ALL
    SELECT
        'cash',
        s.cash_account_id,
        coalesce(a.name, s.cash_account_id),
        s.id,
        s.period_start_date,
        s.period_end_date,
        s.start_balance,
        s.start_balance_minor,
        s.start_balance_currency,
        s.end_balance,
        s.end_balance_minor,
        s.end_balance_currency
    FROM cash_statements s
    LEFT JOIN cash_accounts a ON a.id = s.cash_account_id
    WHERE s._deleted_at IS NULL
),
movement AS (
    SELECT 'card' AS account_kind, 'primary' AS account_id, posted_at_date AS day,
           coalesce(amount_currency, 'USD') AS currency, amount, amount_minor
    FROM card_transactions
    WHERE _deleted_at IS NULL
    UNION ALL
    SELECT 'cash', cash_account_id, posted_at_date, coalesce(amount_currency, 'USD'), amount,
           amount_minor
    FROM cash_transactions
    WHERE _deleted_at IS NULL
),
daily AS (
    SELECT
        account_kind,
        account_id,
        day,
        currency,
        sum(amount) AS amount,
        sum(amount_minor) AS amount_minor,
        count(*) AS transactions,
        count(*) FILTER (WHERE amount_minor IS NULL) AS without_amount
    FROM movement
    GROUP BY account_kind, account_id, day, currency
),
compared AS (
    SELECT
        s.*,
        b.currency,
        t.*,
        CASE WHEN b.end_currency = b.currency THEN s.end_balance END - s.start_balance - t.moved
            AS difference,
        CASE WHEN b.end_currency = b.currency THEN s.end_balance_minor END
            - s.start_balance_minor - t.moved_minor AS difference_minor
    FROM statement s
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN s.start_balance_minor IS NOT NULL
                THEN coalesce(s.start_balance_currency, 'USD')
                ELSE coalesce(s.end_balance_currency, 'USD')
            END AS currency,
            coalesce(s.end_balance_currency, 'USD') AS end_currency
    ) b
    CROSS JOIN LATERAL (
        SELECT
            coalesce(sum(d.amount), 0) AS moved,
            coalesce(sum(d.amount_minor), 0)::bigint AS moved_minor,
            coalesce(sum(d.transactions), 0)::int AS transactions,
            coalesce(sum(d.without_amount), 0)::int AS without_amount
        FROM daily d
        WHERE d.account_kind = s.account_kind
          AND d.account_id = s.account_id
          AND d.day >= s.period_start_date
          AND d.day < s.period_end_date
          AND d.currency = b.currency
    ) t
)
SELECT
    {connection}::text AS connection,
    account_kind,
    account_id,
    account,
    id AS statement_id,
    period_start_date AS period_start,
    period_end_date AS period_end,
    currency AS amount_currency,
    start_balance,
    start_balance_minor,
    moved AS transactions_amount,
    moved_minor AS transactions_amount_minor,
    end_balance,
    end_balance_minor,
    difference,
    difference_minor,
    transactions,
    without_amount AS transactions_without_amount,
    difference_minor = 0 AS ties
FROM compared
