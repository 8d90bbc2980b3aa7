/*
description: >-
  What was spent of every spend limit and budget, day by day, without what is nested in it. A line of
  spend counts in the currency of the budgets: as it is where it is in that currency, else by what Brex
  gives in US dollars or in the budget's currency. It is what budget_performance adds up.
grain: >-
  One row per spend limit or budget that lines draw on, day, and currency that limits or budgets are
  in.
key: [connection, kind, budget_id, day, amount_currency]
sources: [spend, expenses, budgets, spend_limits]
stored: true
columns:
  connection: The connection.
  kind: spend_limit or budget.
  budget_id: Brex's identifier of the spend limit or budget that lines name.
  day: Day (UTC) of the spending, as in spend.
  amount: Sum of the lines that count; null where there is no amount in this currency for any.
  amount_minor: The same in the currency's smallest unit, exact.
  amount_currency: ISO 4217 currency.
  lines: Number of lines of spend that count.
  lines_without_amount: Those of them that are in no sum, as Brex gives no amount in this currency.
ties:
  lines_are_spend:
    description: In every currency, the lines are those of spend that count and name a budget.
    query: >-
      SELECT d.amount_currency, d.lines, s.lines FROM
      (SELECT amount_currency, sum(lines) AS lines FROM budget_daily GROUP BY 1) d,
      (SELECT count(*) AS lines FROM spend WHERE counts AND (spend_limit_id IS NOT NULL
      OR budget_id IS NOT NULL)) s WHERE d.lines <> s.lines
*/
WITH currency AS (
    SELECT coalesce(amount_currency, 'USD') AS currency
    FROM budgets
    WHERE _deleted_at IS NULL
    UNION
    SELECT coalesce(authorization_settings_base_limit_currency, 'USD')
    FROM spend_limits
    WHERE _deleted_at IS NULL
    UNION
    SELECT coalesce(authorization_settings_limit_with_increases_currency, 'USD')
    FROM spend_limits
    WHERE _deleted_at IS NULL
),
line AS (
    SELECT
        CASE WHEN s.spend_limit_id IS NULL THEN 'budget' ELSE 'spend_limit' END AS kind,
        coalesce(s.spend_limit_id, s.budget_id) AS budget_id,
        s.spend_date AS day,
        c.currency,
        given.amount,
        given.amount_minor
    FROM spend s
    CROSS JOIN currency c
    LEFT JOIN expenses e
        ON e.id = s.expense_id
        AND s.amount_currency <> c.currency
        AND (c.currency <> 'USD' OR s.amount_usd IS NULL)
        AND coalesce(e.budget_amount_currency, 'USD') = c.currency
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN s.amount < 0 THEN -1 ELSE 1 END AS sign,
            s.amount_currency = c.currency AS is_same,
            c.currency = 'USD' AND s.amount_usd IS NOT NULL AS is_usd
    ) how
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN is_same THEN s.amount
                WHEN is_usd THEN s.amount_usd
                ELSE sign * abs(e.budget_amount)
            END AS amount,
            CASE
                WHEN is_same THEN s.amount_minor
                WHEN is_usd THEN round(s.amount_usd * 100)::bigint
                ELSE sign * abs(e.budget_amount_minor)
            END AS amount_minor
    ) given
    WHERE s.counts AND (s.spend_limit_id IS NOT NULL OR s.budget_id IS NOT NULL)
)
SELECT
    {connection}::text AS connection,
    kind,
    budget_id,
    day,
    sum(amount) AS amount,
    sum(amount_minor)::bigint AS amount_minor,
    currency AS amount_currency,
    count(*)::int AS lines,
    (count(*) - count(amount_minor))::int AS lines_without_amount
FROM line
GROUP BY kind, budget_id, day, currency
