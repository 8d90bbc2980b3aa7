/*
description: >-
  What every cash account held at the end of each day (UTC), from its first transaction or statement
  until today. Brex tells today's balance and, in statements, those of past months; the days between
  are walked back from the next balance that Brex gives, by the transactions posted since. So a
  statement that does not tie leaves a gap where its period begins, and no day outside the period is
  wrong because of it.
grain: One row per cash account and day.
key: [connection, cash_account_id, day]
sources: [cash_accounts, cash_statements, cash_transactions]
stored: false
columns:
  connection: The connection.
  cash_account_id: Brex's identifier of the account.
  account: Name of the account, or its identifier where it has none.
  amount_currency: ISO 4217 currency of all amounts in the row, that of the account's balance.
  day: Day (UTC) on which transactions were posted.
  opening: Balance before the day's transactions; null where no balance is known.
  opening_minor: The same in the currency's smallest unit, exact.
  movements: Sum of the day's transactions; received positive, paid negative.
  movements_minor: The same in the currency's smallest unit, exact.
  inflow: Sum of what was received; not negative.
  inflow_minor: The same in the currency's smallest unit, exact.
  outflow: Sum of what was paid; not negative.
  outflow_minor: The same in the currency's smallest unit, exact.
  closing: Balance after the day's transactions; null where no balance is known.
  closing_minor: The same in the currency's smallest unit, exact.
  transactions: Number of transactions posted on the day.
  transactions_without_amount: >-
    Those of them that are in no sum, as Brex gives no amount, or one in another currency.
  balance_source: >-
    today, the account's balance as Brex gives it now; statement, from a statement; walked back, from
    the next of these; walked forward, from the last statement, where the account has no balance.
  is_certain: >-
    False where the day has a transaction without amount, or where the balances that Brex gives before
    and after the day are not explained by the transactions between them.
ties:
  days_chain:
    description: Every day opens with what the day before closed with.
    query: >-
      SELECT cash_account_id, day, opening_minor, before FROM (
      SELECT *, lag(closing_minor) OVER (PARTITION BY cash_account_id ORDER BY day) AS before,
      row_number() OVER (PARTITION BY cash_account_id ORDER BY day) > 1 AS follows FROM cash_daily
      ) days WHERE follows AND opening_minor IS DISTINCT FROM before
  closing_is_the_balance:
    description: The last day closes with the account's balance.
    query: >-
      SELECT a.id, a.current_balance_minor, d.closing_minor FROM cash_accounts a LEFT JOIN (
      SELECT DISTINCT ON (cash_account_id) * FROM cash_daily ORDER BY cash_account_id, day DESC
      ) d ON d.cash_account_id = a.id WHERE a._deleted_at IS NULL
      AND a.current_balance_minor IS DISTINCT FROM d.closing_minor
  movements_are_transactions:
    description: The movements of an account add up to its transactions.
    query: >-
      SELECT a.id, t.total, d.total FROM cash_accounts a
      LEFT JOIN (SELECT t.cash_account_id, sum(t.amount_minor) AS total FROM cash_transactions t
      JOIN cash_accounts b ON b.id = t.cash_account_id WHERE t._deleted_at IS NULL
      AND coalesce(t.amount_currency, 'USD') = coalesce(b.current_balance_currency, 'USD')
      GROUP BY 1) t ON t.cash_account_id = a.id
      LEFT JOIN (SELECT cash_account_id, sum(movements_minor) AS total FROM cash_daily GROUP BY 1) d
      ON d.cash_account_id = a.id
      WHERE a._deleted_at IS NULL AND coalesce(t.total, 0) IS DISTINCT FROM d.total
*/
WITH account AS (
    SELECT
        id AS account_id,
        coalesce(name, id) AS account,
        coalesce(current_balance_currency, 'USD') AS currency,
        current_balance,
        current_balance_minor
    FROM cash_accounts
    WHERE _deleted_at IS NULL
),
movement AS (
    SELECT
        a.account_id,
        coalesce(t.posted_at_date, t.initiated_at_date) AS day,
        CASE WHEN coalesce(t.amount_currency, 'USD') = a.currency THEN t.amount END AS amount,
        CASE WHEN coalesce(t.amount_currency, 'USD') = a.currency THEN t.amount_minor END AS minor
    FROM cash_transactions t
    JOIN account a ON a.account_id = t.cash_account_id
    WHERE t._deleted_at IS NULL
),
moved AS (
    SELECT
        account_id,
        day,
        sum(amount) AS movements,
        sum(minor)::bigint AS movements_minor,
        sum(amount) FILTER (WHERE amount > 0) AS inflow,
        sum(minor) FILTER (WHERE minor > 0)::bigint AS inflow_minor,
        -sum(amount) FILTER (WHERE amount < 0) AS outflow,
        -sum(minor) FILTER (WHERE minor < 0)::bigint AS outflow_minor,
        count(*)::int AS transactions,
        count(*) FILTER (WHERE minor IS NULL)::int AS unknown
    FROM movement
    GROUP BY account_id, day
),
statement AS (
    SELECT s.cash_account_id AS account_id, b.day, b.balance, b.minor, b.rank
    FROM cash_statements s
    JOIN account a ON a.account_id = s.cash_account_id
    CROSS JOIN LATERAL (
        VALUES
            (s.period_end_date - 1, s.end_balance, s.end_balance_minor, s.end_balance_currency, 1),
            (s.period_start_date - 1, s.start_balance, s.start_balance_minor,
             s.start_balance_currency, 2)
    ) b (day, balance, minor, currency, rank)
    WHERE s._deleted_at IS NULL AND b.minor IS NOT NULL AND coalesce(b.currency, 'USD') = a.currency
),
span AS (
    -- The day before the first is there for the balance before it, and left out at the end.
    SELECT
        a.*,
        least(now.today, (SELECT min(s.day) + 1 FROM statement s WHERE s.account_id = a.account_id),
              (SELECT min(m.day) FROM moved m WHERE m.account_id = a.account_id)) - 1 AS day_before,
        greatest(now.today, (SELECT max(m.day) FROM moved m WHERE m.account_id = a.account_id))
            AS last_day
    FROM account a
    CROSS JOIN (SELECT (now() AT TIME ZONE 'UTC')::date AS today) now
),
known AS (
    SELECT
        account_id,
        day,
        (array_agg(balance ORDER BY rank))[1] AS balance,
        (array_agg(minor ORDER BY rank))[1] AS minor,
        min(minor) <> max(minor) AS is_disputed
    FROM (
        SELECT account_id, day, balance, minor, rank FROM statement
        UNION ALL
        SELECT account_id, last_day, current_balance, current_balance_minor, 0 FROM span
        WHERE current_balance_minor IS NOT NULL
    ) balances
    GROUP BY account_id, day
),
running AS (
    SELECT
        s.account_id,
        s.account,
        s.currency,
        s.day_before,
        s.last_day,
        d.at::date AS day,
        m.movements,
        m.movements_minor,
        m.inflow,
        m.inflow_minor,
        m.outflow,
        m.outflow_minor,
        m.transactions,
        m.unknown,
        k.is_disputed,
        k.minor IS NOT NULL AS is_known,
        sum(m.movements) OVER so_far AS total,
        sum(m.movements_minor) OVER so_far AS total_minor,
        k.balance - coalesce(sum(m.movements) OVER so_far, 0) AS base,
        k.minor - coalesce(sum(m.movements_minor) OVER so_far, 0) AS base_minor,
        count(k.minor) OVER (PARTITION BY s.account_id ORDER BY d.at DESC) AS balances_to_come
    FROM span s
    CROSS JOIN generate_series(s.day_before::timestamp, s.last_day::timestamp, '1 day') d (at)
    LEFT JOIN moved m ON m.account_id = s.account_id AND m.day = d.at::date
    LEFT JOIN known k ON k.account_id = s.account_id AND k.day = d.at::date
    WINDOW so_far AS (PARTITION BY s.account_id ORDER BY d.at)
),
segment AS (
    -- The days from after one known balance until the next.
    SELECT
        account_id,
        balances_to_come,
        max(base) AS base,
        max(base_minor) AS base_minor,
        lag(max(base)) OVER earlier AS base_before,
        lag(max(base_minor)) OVER earlier AS base_minor_before,
        coalesce(bool_or(is_disputed), false) AS is_disputed,
        coalesce(sum(unknown), 0) AS unknown
    FROM running
    GROUP BY account_id, balances_to_come
    WINDOW earlier AS (PARTITION BY account_id ORDER BY balances_to_come DESC)
),
balanced AS (
    SELECT
        r.*,
        s.base_minor AS to_next,
        coalesce(r.total, 0) + coalesce(s.base, s.base_before) AS closing,
        coalesce(r.total_minor, 0) + coalesce(s.base_minor, s.base_minor_before) AS closing_minor,
        CASE
            WHEN s.is_disputed THEN false
            WHEN s.base_minor IS NOT NULL AND s.base_minor_before IS NOT NULL
            THEN s.base_minor = s.base_minor_before AND coalesce(r.unknown, 0) = 0
            ELSE coalesce(s.base_minor, s.base_minor_before) IS NOT NULL AND s.unknown = 0
        END AS is_certain
    FROM running r
    JOIN segment s USING (account_id, balances_to_come)
)
SELECT
    {connection}::text AS connection,
    account_id AS cash_account_id,
    account,
    currency AS amount_currency,
    day,
    closing - coalesce(movements, 0) AS opening,
    (closing_minor - coalesce(movements_minor, 0))::bigint AS opening_minor,
    coalesce(movements, 0) AS movements,
    coalesce(movements_minor, 0) AS movements_minor,
    coalesce(inflow, 0) AS inflow,
    coalesce(inflow_minor, 0) AS inflow_minor,
    coalesce(outflow, 0) AS outflow,
    coalesce(outflow_minor, 0) AS outflow_minor,
    closing,
    closing_minor::bigint AS closing_minor,
    coalesce(transactions, 0) AS transactions,
    coalesce(unknown, 0) AS transactions_without_amount,
    CASE
        WHEN closing_minor IS NULL THEN NULL
        WHEN is_known AND day = last_day THEN 'today'
        WHEN is_known THEN 'statement'
        WHEN to_next IS NULL THEN 'walked forward'
        ELSE 'walked back'
    END AS balance_source,
    is_certain
FROM balanced
WHERE day > day_before
