/*
description: >-
  Spend that counts, added up per month, department, category and currency, for what asks for totals
  alone. Months without a line are not here; they are in spend_by_month.
grain: One row per month, department, category and currency with a line in spend that counts.
key: [connection, month, department_id, category, amount_currency]
sources: [spend]
stored: true
columns:
  connection: The connection.
  month: First day of the month of spend_date.
  department_id: Department as it is now; null for lines without one.
  department: Name of the department.
  category: Brex's category; null for lines without one.
  amount_currency: ISO 4217 currency of the amount.
  lines: How many lines.
  amount: Their sum.
  amount_minor: The same in the currency's smallest unit, exact.
  amount_usd: Sum in US dollars of the lines that have an amount in US dollars; null if none has.
  lines_without_amount: How many of the lines have no amount.
  lines_without_usd: How many of the lines have no amount in US dollars.
ties:
  totals_are_spend:
    description: Per currency, lines and amounts are those of spend.
    query: >-
      SELECT amount_currency, s.*, t.* FROM (
        SELECT amount_currency, count(*) AS lines, sum(amount_minor) AS amount_minor, sum(amount_usd) AS usd
        FROM spend WHERE counts GROUP BY 1) s
      FULL JOIN (
        SELECT amount_currency, sum(lines) AS lines, sum(amount_minor) AS amount_minor, sum(amount_usd) AS usd
        FROM spend_totals GROUP BY 1) t USING (amount_currency)
      WHERE (s.lines, s.amount_minor, s.usd) IS DISTINCT FROM (t.lines, t.amount_minor, t.usd)
*/
SELECT
    connection,
    spend_month AS month,
    department_id,
    max(department) AS department,
    category,
    amount_currency,
    count(*)::int AS lines,
    sum(amount) AS amount,
    sum(amount_minor)::bigint AS amount_minor,
    sum(amount_usd) AS amount_usd,
    count(*) FILTER (WHERE amount_minor IS NULL)::int AS lines_without_amount,
    count(*) FILTER (WHERE amount_usd IS NULL)::int AS lines_without_usd
FROM spend
WHERE counts
GROUP BY connection, spend_month, department_id, category, amount_currency
