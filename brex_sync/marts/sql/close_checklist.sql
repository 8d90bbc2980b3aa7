/*
description: >-
  What is still open before a month's books can be closed, and what came after they were: seven items
  for every one of the last 13 months, this one included, also where nothing is open. Lines belong to
  the month of their spending, statements to that of their last day.
grain: One row per month and item.
key: [connection, month, item]
sources: [spend, statement_reconciliation, late_changes]
stored: false
columns:
  connection: The connection.
  month: First day of the month.
  item: >-
    drafts, expenses not yet handed in; missing receipts; unapproved, handed in and not approved;
    pending, payments not settled; unexported, lines that count and are not in the books; statements
    that do not tie, or are not known to; late changes, rows that arrived or changed after the close.
  open: How many there are.
  amount_usd: >-
    Their amount in US dollars: of lines, the sum where Brex gives one; of late changes, now less
    before, of those in US dollars; of statements, the differences without sign, of those in US dollars.
    Null where none has one.
  is_done: Whether nothing is open.
  closed_on: Day (UTC) on which the month was closed (brex-sync close); null while it is open.
  sort: Place of the item in the list, from 1.
ties:
  every_month_has_every_item:
    description: There are seven rows for every one of 13 months.
    query: >-
      SELECT count(*), count(DISTINCT month) FROM close_checklist
      HAVING count(*) <> 91 OR count(DISTINCT month) <> 13
  missing_receipts_are_spend:
    description: Missing receipts are as many as spend has in the months shown.
    query: >-
      SELECT c.open, s.open FROM (SELECT sum(open) AS open, min(month) AS first, max(month) AS last
      FROM close_checklist WHERE item = 'missing receipts') c CROSS JOIN LATERAL (
      SELECT count(*) AS open FROM spend WHERE counts AND receipt_missing
      AND spend_month BETWEEN c.first AND c.last) s WHERE c.open <> s.open
*/
WITH month AS (
    SELECT (this.month - n * interval '1 month')::date AS month
    FROM (SELECT date_trunc('month', now() AT TIME ZONE 'UTC') AS month) this
    CROSS JOIN generate_series(0, 12) n
),
line AS (
    SELECT
        spend_month AS month,
        amount_usd,
        status = 'DRAFT' AND stage NOT IN ('declined', 'void') AS is_draft,
        counts AND receipt_missing AS is_without_receipt,
        counts AND approval_stage IN ('pending', 'rejected', 'unknown')
            AND status IS DISTINCT FROM 'DRAFT' AS is_unapproved,
        stage = 'pending' AS is_pending,
        counts AND NOT is_exported AS is_unexported
    FROM spend
    WHERE spend_month >= (SELECT min(month) FROM month)
),
lines AS (
    SELECT
        month,
        count(*) FILTER (WHERE is_draft) AS drafts,
        sum(amount_usd) FILTER (WHERE is_draft) AS drafts_usd,
        count(*) FILTER (WHERE is_without_receipt) AS without_receipt,
        sum(amount_usd) FILTER (WHERE is_without_receipt) AS without_receipt_usd,
        count(*) FILTER (WHERE is_unapproved) AS unapproved,
        sum(amount_usd) FILTER (WHERE is_unapproved) AS unapproved_usd,
        count(*) FILTER (WHERE is_pending) AS pending,
        sum(amount_usd) FILTER (WHERE is_pending) AS pending_usd,
        count(*) FILTER (WHERE is_unexported) AS unexported,
        sum(amount_usd) FILTER (WHERE is_unexported) AS unexported_usd
    FROM line
    GROUP BY month
),
statements AS (
    SELECT
        date_trunc('month', period_end - 1)::date AS month,
        count(*) AS untied,
        sum(abs(difference)) FILTER (WHERE amount_currency = 'USD') AS untied_usd
    FROM statement_reconciliation
    WHERE ties IS NOT TRUE
    GROUP BY 1
),
late AS (
    SELECT
        month,
        count(*) AS late,
        sum(coalesce(amount_now, 0) - coalesce(amount_before, 0)) FILTER (
            WHERE num_nonnulls(amount_now, amount_before) > 0
              AND coalesce(currency_now, 'USD') = 'USD'
              AND coalesce(currency_before, 'USD') = 'USD'
        ) AS late_usd
    FROM late_changes
    GROUP BY month
)
SELECT
    {connection}::text AS connection,
    m.month,
    i.item,
    coalesce(i.open, 0)::int AS open,
    i.amount_usd,
    coalesce(i.open, 0) = 0 AS is_done,
    c.closed_on,
    i.sort
FROM month m
LEFT JOIN lines l ON l.month = m.month
LEFT JOIN statements s ON s.month = m.month
LEFT JOIN late ON late.month = m.month
LEFT JOIN brex_sync.closes c ON c.month = m.month AND c.connection = {connection}
CROSS JOIN LATERAL (
    VALUES
        ('drafts', l.drafts, l.drafts_usd, 1),
        ('missing receipts', l.without_receipt, l.without_receipt_usd, 2),
        ('unapproved', l.unapproved, l.unapproved_usd, 3),
        ('pending', l.pending, l.pending_usd, 4),
        ('unexported', l.unexported, l.unexported_usd, 5),
        ('statements that do not tie', s.untied, s.untied_usd, 6),
        ('late changes', late.late, late.late_usd, 7)
) i (item, open, amount_usd, sort)
