/*
description: >-
  Spend that counts per month, with the month before. Every department, category and currency that
  has a line has a row for every month from the first line of all to the current one, so that a
  month without spend shows as 0.
grain: One row per month, department, category and currency.
key: [connection, month, department_id, category, amount_currency]
sources: [spend_totals]
stored: false
columns:
  connection: The connection.
  month: First day of the month of spend_date.
  department_id: Department as it is now; null for lines without one.
  department: Name of the department.
  category: Brex's category; null for lines without one.
  amount_currency: ISO 4217 currency of the amount.
  lines: How many lines count.
  amount: Their sum; 0 where there are none, null where none has an amount.
  amount_minor: The same in the currency's smallest unit, exact.
  amount_usd: Sum in US dollars of those lines that have an amount in US dollars.
  lines_without_usd: How many of the lines have no amount in US dollars.
  previous_amount: Amount of the month before; null in the first month of all.
  previous_amount_minor: The same in the currency's smallest unit, exact.
  previous_amount_usd: Amount in US dollars of the month before.
  change_amount: Amount less that of the month before.
  change_usd: The same in US dollars.
ties:
  months_sum_to_spend:
    description: Per currency, lines and amounts are those of spend.
    query: >-
      SELECT amount_currency, s.lines AS in_spend, m.lines, s.amount_minor AS spent, m.amount_minor FROM (
        SELECT amount_currency, count(*) AS lines, sum(amount_minor) AS amount_minor
        FROM spend WHERE counts GROUP BY 1) s
      FULL JOIN (
        SELECT amount_currency, sum(lines) AS lines, sum(amount_minor) AS amount_minor
        FROM spend_by_month GROUP BY 1) m USING (amount_currency)
      WHERE (s.lines, s.amount_minor) IS DISTINCT FROM (m.lines, m.amount_minor)
  no_month_is_missing:
    description: Every department, category and currency has as many months as there are.
    query: >-
      SELECT department_id, category, amount_currency, count(*) AS months FROM spend_by_month
      GROUP BY 1, 2, 3
      HAVING count(*) <> (SELECT count(DISTINCT month) FROM spend_by_month)
*/
WITH groups AS (
    SELECT connection, department_id, max(department) AS department, category, amount_currency
    FROM spend_totals
    GROUP BY connection, department_id, category, amount_currency
),
months AS (
    SELECT generate_series(
        (SELECT min(month) FROM spend_totals)::timestamp,
        greatest(
            date_trunc('month', now() AT TIME ZONE 'UTC'),
            (SELECT max(month) FROM spend_totals)::timestamp
        ),
        interval '1 month'
    )::date AS month
),
filled AS (
    SELECT
        g.connection,
        m.month,
        g.department_id,
        g.department,
        g.category,
        g.amount_currency,
        coalesce(t.lines, 0) AS lines,
        CASE WHEN t.lines IS NULL THEN 0 ELSE t.amount END AS amount,
        CASE WHEN t.lines IS NULL THEN 0 ELSE t.amount_minor END AS amount_minor,
        CASE WHEN t.lines IS NULL THEN 0 ELSE t.amount_usd END AS amount_usd,
        coalesce(t.lines_without_usd, 0) AS lines_without_usd
    FROM groups g
    CROSS JOIN months m
    LEFT JOIN spend_totals t
        ON t.month = m.month
        AND t.amount_currency = g.amount_currency
        AND coalesce(t.department_id, '') = coalesce(g.department_id, '')
        AND coalesce(t.category, '') = coalesce(g.category, '')
        AND (t.department_id IS NULL) = (g.department_id IS NULL)
        AND (t.category IS NULL) = (g.category IS NULL)
)
SELECT
    f.*,
    lag(f.amount) OVER months AS previous_amount,
    lag(f.amount_minor) OVER months AS previous_amount_minor,
    lag(f.amount_usd) OVER months AS previous_amount_usd,
    f.amount - lag(f.amount) OVER months AS change_amount,
    f.amount_usd - lag(f.amount_usd) OVER months AS change_usd
FROM filled f
WINDOW months AS (
    PARTITION BY f.connection, f.department_id, f.category, f.amount_currency ORDER BY f.month
)
