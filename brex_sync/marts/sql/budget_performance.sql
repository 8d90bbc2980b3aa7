/*
description: >-
  What was spent of every budget and spend limit in every one of its periods, beside what may be spent.
  Brex's expenses name a spend limit, whatever the field is called; spend limits name the budget they
  draw on, and budgets nest. A budget's spending is that of everything nested in it. Brex says what was
  spent of a spend limit in the current period only; the periods before are counted from spend.
grain: One row per budget or spend limit, and period that has begun.
key: [connection, kind, budget_id, period_start]
sources: [budgets, spend_limits, budget_daily]
stored: false
columns:
  connection: The connection.
  kind: budget or spend_limit.
  budget_id: Brex's identifier of the budget or spend limit.
  name: Its name.
  parent_budget_id: The budget that it is nested in; null at the top.
  parent: Name of that budget; null where it is not known.
  path: Names from the topmost budget down to this one, with slashes between.
  depth: How many budgets it is nested in; 0 at the top.
  owner_user_ids: Users who own it.
  status: ACTIVE, ARCHIVED, DELETED, EXPIRED and others as Brex adds them.
  period_type: >-
    weekly, monthly, quarterly, yearly, one time, or as Brex names it. What is none of these has one
    period.
  period_start: >-
    First day (UTC) of the period. Periods follow the calendar, or the current period that Brex gives.
    Where Brex gives no start, the first period begins with the first spending, or when the budget was
    first seen here.
  period_end: Last day (UTC) of the period; null where it has no end.
  is_current: Whether today (UTC) is in the period.
  limit_type: HARD, spending stops at the limit; SOFT, it does not; null where Brex does not say.
  limit_amount: >-
    What may be spent in the period, granted increases included; of a past period, as it was on its
    last day, or when it was first seen here. Null where there is no limit.
  limit_amount_minor: The same in the currency's smallest unit, exact.
  limit_amount_currency: ISO 4217 currency of the limit, and of what was spent; USD without a limit.
  spent_amount: >-
    What was spent in the period, refunds taken off, with all that is nested in it; null where there
    are lines and none has an amount in this currency.
  spent_amount_minor: The same in the currency's smallest unit, exact.
  spent_amount_currency: ISO 4217 currency of what was spent.
  spent_own: What of it was spent directly, not through what is nested.
  spent_own_minor: The same in the currency's smallest unit, exact.
  spent_own_currency: ISO 4217 currency of it.
  brex_spent_amount: >-
    What Brex says was spent of a spend limit in the current period; null for budgets and past periods.
  brex_spent_amount_minor: The same in the currency's smallest unit, exact.
  brex_spent_amount_currency: ISO 4217 currency of it.
  remaining_amount: Limit less spent amount; negative where more was spent.
  remaining_amount_minor: The same in the currency's smallest unit, exact.
  remaining_amount_currency: ISO 4217 currency of it.
  used_fraction: Spent amount over limit, 1 being all of it; null without a limit.
  lines: Number of lines of spend in the spent amount.
  lines_without_amount: Lines that are in no sum, as Brex gives no amount in this currency.
ties:
  own_spending_is_spend:
    description: >-
      What was spent directly in all periods of a budget or spend limit is what lines of spend say of
      the days from its first period until today or its end.
    query: >-
      SELECT p.kind, p.budget_id, p.spent, d.spent FROM (
      SELECT kind, budget_id, spent_own_currency AS currency, sum(spent_own_minor) AS spent,
      min(period_start) AS first, CASE WHEN count(*) = count(period_end) THEN max(period_end) END AS last
      FROM budget_performance GROUP BY 1, 2, 3) p LEFT JOIN LATERAL (
      SELECT sum(d.amount_minor) AS spent FROM budget_daily d WHERE d.kind = p.kind
      AND d.budget_id = p.budget_id AND d.amount_currency = p.currency AND d.day >= p.first
      AND (p.last IS NULL OR d.day <= p.last)) d ON true
      WHERE coalesce(p.spent, 0) <> coalesce(d.spent, 0)
  budgets_are_there:
    description: Every budget and spend limit that has begun is here.
    query: >-
      SELECT b.budget_id FROM (SELECT budget_id, start_date FROM budgets WHERE _deleted_at IS NULL
      UNION ALL SELECT id, start_date FROM spend_limits WHERE _deleted_at IS NULL) b
      WHERE b.start_date <= (now() AT TIME ZONE 'UTC')::date
      AND NOT EXISTS (SELECT FROM budget_performance p WHERE p.budget_id = b.budget_id)
  budgets_are_a_tree:
    description: No budget is nested in itself. Where one is, what is spent counts in all of the ring.
    query: >-
      WITH RECURSIVE up AS (SELECT budget_id, parent_budget_id, 1 AS level FROM budgets
      WHERE _deleted_at IS NULL UNION SELECT up.budget_id, b.parent_budget_id, up.level + 1 FROM up
      JOIN budgets b ON b.budget_id = up.parent_budget_id AND b._deleted_at IS NULL
      WHERE up.level < 100 AND up.parent_budget_id <> up.budget_id)
      SELECT DISTINCT budget_id FROM up WHERE parent_budget_id = budget_id
*/
WITH RECURSIVE today AS (
    SELECT (now() AT TIME ZONE 'UTC')::date AS day
),
node AS (
    SELECT
        'budget' AS kind,
        budget_id AS id,
        name,
        parent_budget_id,
        owner_user_ids,
        spend_budget_status AS status,
        period_recurrence_type AS period_type,
        start_date,
        end_date,
        limit_type,
        amount AS limit_amount,
        amount_minor AS limit_minor,
        coalesce(amount_currency, 'USD') AS currency,
        NULL::date AS current_start,
        NULL::numeric AS brex_spent,
        NULL::bigint AS brex_spent_minor,
        NULL::text AS brex_spent_currency,
        _first_seen_at
    FROM budgets
    WHERE _deleted_at IS NULL
    UNION ALL
    SELECT
        'spend_limit',
        id,
        name,
        parent_budget_id,
        owner_user_ids,
        status,
        period_recurrence_type,
        coalesce(start_date, (start_time_utc AT TIME ZONE 'UTC')::date),
        coalesce(end_date, (end_time_utc AT TIME ZONE 'UTC')::date),
        authorization_settings_authorization_type,
        coalesce(authorization_settings_limit_with_increases, authorization_settings_base_limit),
        coalesce(authorization_settings_limit_with_increases_minor,
                 authorization_settings_base_limit_minor),
        coalesce(CASE WHEN authorization_settings_limit_with_increases_minor IS NULL
                 THEN authorization_settings_base_limit_currency
                 ELSE authorization_settings_limit_with_increases_currency END, 'USD'),
        current_period_balance_start_date,
        current_period_balance_amount_spent,
        current_period_balance_amount_spent_minor,
        CASE WHEN current_period_balance_amount_spent_minor IS NOT NULL
            THEN coalesce(current_period_balance_amount_spent_currency, 'USD') END,
        _first_seen_at
    FROM spend_limits
    WHERE _deleted_at IS NULL
),
up AS (
    -- Every node with itself and each budget above it; one that comes again ends the way.
    SELECT
        kind,
        id,
        kind AS above_kind,
        id AS above_id,
        parent_budget_id AS next_id,
        ARRAY[kind || ':' || id] AS seen,
        ARRAY[coalesce(name, id)] AS names
    FROM node
    UNION ALL
    SELECT
        up.kind,
        up.id,
        n.kind,
        n.id,
        n.parent_budget_id,
        up.seen || ('budget:' || n.id),
        coalesce(n.name, n.id) || up.names
    FROM up
    JOIN node n ON n.kind = 'budget' AND n.id = up.next_id
    WHERE 'budget:' || n.id <> ALL (up.seen)
),
placed AS (
    SELECT DISTINCT ON (kind, id)
        kind,
        id,
        array_to_string(names, ' / ') AS path,
        cardinality(names) - 1 AS depth
    FROM up
    ORDER BY kind, id, cardinality(names) DESC
),
spent AS (
    -- What was spent of every node and day, by whether it was spent directly.
    SELECT
        n.kind,
        n.id,
        d.day,
        up.seen = ARRAY[d.kind || ':' || d.budget_id] AS is_own,
        sum(d.amount) AS amount,
        sum(d.amount_minor) AS minor,
        sum(d.lines) AS lines,
        sum(d.lines_without_amount) AS without_amount
    FROM budget_daily d
    JOIN up ON up.kind = d.kind AND up.id = d.budget_id
    JOIN node n ON n.kind = up.above_kind AND n.id = up.above_id AND n.currency = d.amount_currency
    GROUP BY n.kind, n.id, d.day, is_own
),
begun AS (
    SELECT
        n.*,
        coalesce(n.start_date, s.first_day, (n._first_seen_at AT TIME ZONE 'UTC')::date) AS first_day,
        CASE n.period_type
            WHEN 'PER_WEEK' THEN 'weekly'
            WHEN 'PER_MONTH' THEN 'monthly'
            WHEN 'PER_QUARTER' THEN 'quarterly'
            WHEN 'PER_YEAR' THEN 'yearly'
            ELSE replace(lower(n.period_type), '_', ' ')
        END AS period_name
    FROM node n
    LEFT JOIN (SELECT kind, id, min(day) AS first_day FROM spent GROUP BY kind, id) s
        ON s.kind = n.kind AND s.id = n.id
),
recurring AS (
    SELECT
        b.*,
        c.*,
        coalesce(b.current_start, date_trunc(c.unit, b.first_day)::date) AS anchor
    FROM begun b
    JOIN (
        VALUES
            ('weekly', 'week', '7 days'::interval, 7),
            ('monthly', 'month', '1 month', 28),
            ('quarterly', 'quarter', '3 months', 90),
            ('yearly', 'year', '1 year', 365)
    ) c (regular, unit, step, days)
        ON c.regular = b.period_name
),
period AS (
    SELECT
        r.kind,
        r.id,
        r.regular AS period_type,
        greatest((r.anchor + k * r.step)::date, r.first_day) AS period_start,
        least((r.anchor + (k + 1) * r.step)::date - 1, r.end_date) AS period_end
    FROM recurring r
    CROSS JOIN today
    CROSS JOIN generate_series(
        (least(r.first_day, r.anchor) - r.anchor) / r.days - 1, (today.day - r.anchor) / r.days + 1
    ) k
    WHERE (r.anchor + k * r.step)::date <= least(today.day, r.end_date)
      AND (r.anchor + (k + 1) * r.step)::date > r.first_day
      AND r.first_day <= least(today.day, r.end_date)
    UNION ALL
    SELECT b.kind, b.id, b.period_name, b.first_day, b.end_date
    FROM begun b
    CROSS JOIN today
    WHERE b.first_day <= today.day
      AND NOT EXISTS (SELECT FROM recurring r WHERE r.kind = b.kind AND r.id = b.id)
),
snapshot AS (
    SELECT 'budget' AS kind, budget_id AS id, day, amount, amount_minor AS minor
    FROM {history}.budgets_daily
    UNION ALL
    SELECT
        'spend_limit',
        id,
        day,
        coalesce(authorization_settings_limit_with_increases, authorization_settings_base_limit),
        coalesce(authorization_settings_limit_with_increases_minor,
                 authorization_settings_base_limit_minor)
    FROM {history}.spend_limits_daily
),
limited AS (
    -- The limits there were, each with the first day on which it was seen.
    SELECT kind, id, day, amount, minor
    FROM (
        SELECT *, lag(minor) OVER w IS DISTINCT FROM minor OR row_number() OVER w = 1 AS is_new
        FROM snapshot
        WINDOW w AS (PARTITION BY kind, id ORDER BY day)
    ) days
    WHERE is_new
),
performed AS (
    SELECT
        p.kind,
        p.id,
        p.period_type,
        p.period_start,
        p.period_end,
        today.day BETWEEN p.period_start AND coalesce(p.period_end, 'infinity') AS is_current,
        sum(s.amount) AS spent,
        sum(s.minor)::bigint AS spent_minor,
        sum(s.amount) FILTER (WHERE s.is_own) AS own,
        sum(s.minor) FILTER (WHERE s.is_own)::bigint AS own_minor,
        coalesce(sum(s.lines), 0)::int AS lines,
        coalesce(sum(s.lines) FILTER (WHERE s.is_own), 0)::int AS own_lines,
        coalesce(sum(s.without_amount), 0)::int AS without_amount
    FROM period p
    CROSS JOIN today
    LEFT JOIN spent s
        ON s.kind = p.kind
        AND s.id = p.id
        AND s.day BETWEEN p.period_start AND coalesce(p.period_end, 'infinity')
    GROUP BY p.kind, p.id, p.period_type, p.period_start, p.period_end, today.day
)
SELECT
    {connection}::text AS connection,
    n.kind,
    n.id AS budget_id,
    n.name,
    n.parent_budget_id,
    parent.name AS parent,
    placed.path,
    placed.depth,
    n.owner_user_ids,
    n.status,
    p.period_type,
    p.period_start,
    p.period_end,
    p.is_current,
    n.limit_type,
    l.amount AS limit_amount,
    l.minor AS limit_amount_minor,
    n.currency AS limit_amount_currency,
    t.spent AS spent_amount,
    t.spent_minor AS spent_amount_minor,
    n.currency AS spent_amount_currency,
    t.own AS spent_own,
    t.own_minor AS spent_own_minor,
    n.currency AS spent_own_currency,
    CASE WHEN p.is_current THEN n.brex_spent END AS brex_spent_amount,
    CASE WHEN p.is_current THEN n.brex_spent_minor END AS brex_spent_amount_minor,
    CASE WHEN p.is_current THEN n.brex_spent_currency END AS brex_spent_amount_currency,
    l.amount - t.spent AS remaining_amount,
    l.minor - t.spent_minor AS remaining_amount_minor,
    n.currency AS remaining_amount_currency,
    round(t.spent / nullif(l.amount, 0), 4) AS used_fraction,
    p.lines,
    p.without_amount AS lines_without_amount
FROM performed p
JOIN node n ON n.kind = p.kind AND n.id = p.id
JOIN placed ON placed.kind = p.kind AND placed.id = p.id
LEFT JOIN node parent ON parent.kind = 'budget' AND parent.id = n.parent_budget_id
CROSS JOIN LATERAL (
    -- Without lines nothing was spent; with lines that have no amount, nobody knows.
    SELECT
        CASE WHEN p.lines = 0 THEN 0 ELSE p.spent END AS spent,
        CASE WHEN p.lines = 0 THEN 0 ELSE p.spent_minor END AS spent_minor,
        CASE WHEN p.own_lines = 0 THEN 0 ELSE p.own END AS own,
        CASE WHEN p.own_lines = 0 THEN 0 ELSE p.own_minor END AS own_minor
) t
LEFT JOIN LATERAL (
    SELECT day, amount, minor
    FROM limited h
    WHERE NOT p.is_current AND h.kind = p.kind AND h.id = p.id
    ORDER BY h.day > p.period_end, abs(h.day - p.period_end)
    LIMIT 1
) was ON true
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN was.day IS NULL THEN n.limit_amount ELSE was.amount END AS amount,
        CASE WHEN was.day IS NULL THEN n.limit_minor ELSE was.minor END AS minor
) l
