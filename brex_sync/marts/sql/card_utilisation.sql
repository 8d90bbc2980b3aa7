/*
description: >-
  Every card with the limit that rules it and how much of that is used. Brex keeps the limit in one of
  three places: on the card, on the spend limit that the card draws on, or on its user. The last two
  are shared by all cards that draw on them, so used amounts must not be added up over cards. What
  Brex calls used counts pending payments, and its periods are the limit's; what was spent this month
  is from spend.
grain: One row per card.
key: [connection, card_id]
sources: [cards, spend_limits, budgets, user_limits, people, spend]
stored: false
columns:
  connection: The connection.
  card_id: Brex's identifier of the card.
  card_name: Name given to the card.
  last_four: Last four digits of the card number.
  card_type: VIRTUAL or PHYSICAL.
  status: ACTIVE, SHIPPED, LOCKED, TERMINATED and others as Brex adds them.
  user_id: The user who holds the card.
  person: Name of that user. Personal data.
  department_id: Department of that user, as it is now.
  department: Name of that department.
  limit_source: >-
    Where the limit is: card (limit_type CARD), spend_limit (the card draws on one that has a limit),
    user (the user's monthly limit); null where there is none.
  limit_period: >-
    monthly, quarterly, yearly, weekly, one time, or as Brex names it; null where there is no limit.
  limit_amount: >-
    The limit per period; of a spend limit with granted increases and what rolled over. Null where
    there is none.
  limit_amount_minor: The same in the currency's smallest unit, exact.
  limit_amount_currency: ISO 4217 currency of the limit; null where there is none.
  available_amount: What is left of the limit in this period, as Brex says; null where it does not.
  available_amount_minor: The same in the currency's smallest unit, exact.
  available_amount_currency: ISO 4217 currency of it; null where it is not known.
  used_amount: What is used of the limit in this period; null where it is not known.
  used_amount_minor: The same in the currency's smallest unit, exact.
  used_amount_currency: ISO 4217 currency of it; null where it is not known.
  used_fraction: Used amount over limit, 1 being all of it; null where it is not known.
  cards_on_limit: Number of cards, not terminated, that share this limit; null where there is none.
  spent_this_month: >-
    What was spent with the card since the first of this month (UTC), in US dollars, refunds taken
    off; null where there are lines and none has an amount in US dollars.
  spent_this_month_currency: USD.
  lines_this_month: Number of lines of spend in it.
  lines_without_usd: Those of them that Brex gives no amount in US dollars for.
  expires_on: Last day on which the card is valid.
  lock_after_date: Day (UTC) after which the card locks itself.
  budget_id: The budget that the card's spend limit draws on.
  budget: Name of that budget.
  spend_limit_id: The spend limit that the card draws on.
  spend_limit: Name of that spend limit.
ties:
  cards_are_there_once:
    description: There are as many rows as cards.
    query: >-
      SELECT m.n, c.n FROM (SELECT count(*) AS n FROM card_utilisation) m,
      (SELECT count(*) AS n FROM cards WHERE _deleted_at IS NULL) c WHERE m.n <> c.n
  spent_this_month_is_spend:
    description: What was spent with all cards this month is what spend has of them.
    query: >-
      SELECT m.lines, s.lines, m.spent, s.spent FROM
      (SELECT sum(lines_this_month) AS lines, sum(spent_this_month) AS spent FROM card_utilisation) m,
      (SELECT count(*) AS lines, sum(amount_usd) AS spent FROM spend WHERE counts
      AND spend_month = date_trunc('month', now() AT TIME ZONE 'UTC')::date
      AND card_id IN (SELECT id FROM cards WHERE _deleted_at IS NULL)) s
      WHERE coalesce(m.lines, 0) <> s.lines OR m.spent IS DISTINCT FROM s.spent
*/
WITH this_month AS (
    SELECT
        card_id,
        count(*)::int AS lines,
        (count(*) - count(amount_usd))::int AS without_usd,
        sum(amount_usd) AS spent
    FROM spend
    WHERE counts
      AND card_id IS NOT NULL
      AND spend_month = date_trunc('month', now() AT TIME ZONE 'UTC')::date
    GROUP BY card_id
),
spend_limit AS (
    SELECT
        s.id,
        s.period_recurrence_type AS period,
        limited.amount + CASE WHEN rolls_over THEN current_period_balance_rollover_amount ELSE 0 END
            AS amount,
        limited.amount_minor
            + CASE WHEN rolls_over THEN current_period_balance_rollover_amount_minor ELSE 0 END
            AS amount_minor,
        limited.currency,
        current_period_balance_amount_spent AS spent,
        current_period_balance_amount_spent_minor AS spent_minor,
        coalesce(current_period_balance_amount_spent_currency, 'USD') AS spent_currency
    FROM spend_limits s
    CROSS JOIN LATERAL (
        SELECT *
        FROM (
            VALUES
                (1, authorization_settings_limit_with_increases,
                 authorization_settings_limit_with_increases_minor,
                 authorization_settings_limit_with_increases_currency),
                (2, authorization_settings_base_limit, authorization_settings_base_limit_minor,
                 authorization_settings_base_limit_currency)
        ) given (rank, amount, amount_minor, named)
        CROSS JOIN LATERAL (SELECT coalesce(named, 'USD') AS currency) c
        WHERE amount_minor IS NOT NULL
        ORDER BY rank
        LIMIT 1
    ) limited
    CROSS JOIN LATERAL (
        SELECT coalesce(
            current_period_balance_rollover_amount_minor IS NOT NULL
            AND coalesce(current_period_balance_rollover_amount_currency, 'USD') = limited.currency,
            false
        ) AS rolls_over
    ) r
    WHERE s._deleted_at IS NULL
),
limits AS (
    SELECT
        'card' AS source,
        1 AS rank,
        id AS holder,
        spend_controls_spend_duration AS period,
        spend_controls_spend_limit AS amount,
        spend_controls_spend_limit_minor AS amount_minor,
        coalesce(spend_controls_spend_limit_currency, 'USD') AS currency,
        spend_controls_spend_available AS available,
        spend_controls_spend_available_minor AS available_minor,
        coalesce(spend_controls_spend_available_currency, 'USD') AS available_currency
    FROM cards
    WHERE limit_type = 'CARD' AND spend_controls_spend_limit_minor IS NOT NULL
    UNION ALL
    SELECT
        'spend_limit',
        2,
        id,
        period,
        amount,
        amount_minor,
        currency,
        amount - spent,
        amount_minor - spent_minor,
        spent_currency
    FROM spend_limit
    UNION ALL
    SELECT
        'user',
        3,
        user_id,
        'MONTHLY',
        monthly_limit,
        monthly_limit_minor,
        coalesce(monthly_limit_currency, 'USD'),
        monthly_available,
        monthly_available_minor,
        coalesce(monthly_available_currency, 'USD')
    FROM user_limits
    WHERE _deleted_at IS NULL AND monthly_limit_minor IS NOT NULL
),
ruled AS (
    SELECT DISTINCT ON (c.id)
        c.*,
        l.source,
        l.holder,
        l.period,
        l.amount,
        l.amount_minor,
        l.currency,
        -- What is left is of use only in the limit's currency.
        CASE WHEN l.available_currency = l.currency THEN l.available END AS available,
        CASE WHEN l.available_currency = l.currency THEN l.available_minor END AS available_minor
    FROM cards c
    CROSS JOIN LATERAL (
        VALUES
            ('card', c.id),
            ('spend_limit', c.budget_id),
            ('user', CASE WHEN c.limit_type IS DISTINCT FROM 'CARD' THEN c.owner_user_id END)
    ) may (source, holder)
    LEFT JOIN limits l ON l.source = may.source AND l.holder = may.holder
    WHERE c._deleted_at IS NULL
    ORDER BY c.id, l.rank
),
shared AS (
    SELECT source, holder, count(*) FILTER (WHERE status IS DISTINCT FROM 'TERMINATED') AS cards
    FROM ruled
    GROUP BY source, holder
)
SELECT
    {connection}::text AS connection,
    r.id AS card_id,
    r.card_name,
    r.last_four,
    r.card_type,
    r.status,
    r.owner_user_id AS user_id,
    p.name AS person,
    p.department_id,
    p.department,
    r.source AS limit_source,
    CASE r.period
        WHEN 'PER_WEEK' THEN 'weekly'
        WHEN 'PER_MONTH' THEN 'monthly'
        WHEN 'PER_QUARTER' THEN 'quarterly'
        WHEN 'PER_YEAR' THEN 'yearly'
        ELSE replace(lower(r.period), '_', ' ')
    END AS limit_period,
    r.amount AS limit_amount,
    r.amount_minor AS limit_amount_minor,
    r.currency AS limit_amount_currency,
    r.available AS available_amount,
    r.available_minor AS available_amount_minor,
    CASE WHEN r.available_minor IS NOT NULL THEN r.currency END AS available_amount_currency,
    r.amount - r.available AS used_amount,
    r.amount_minor - r.available_minor AS used_amount_minor,
    CASE WHEN r.available_minor IS NOT NULL THEN r.currency END AS used_amount_currency,
    round((r.amount - r.available) / nullif(r.amount, 0), 4) AS used_fraction,
    CASE WHEN r.source IS NOT NULL THEN h.cards::int END AS cards_on_limit,
    CASE WHEN t.lines IS NULL THEN 0 ELSE t.spent END AS spent_this_month,
    'USD' AS spent_this_month_currency,
    coalesce(t.lines, 0) AS lines_this_month,
    coalesce(t.without_usd, 0) AS lines_without_usd,
    CASE
        WHEN r.expiration_date_month BETWEEN 1 AND 12
            AND r.expiration_date_year BETWEEN 1900 AND 9998
        THEN (make_date(r.expiration_date_year::int, r.expiration_date_month::int, 1)
            + interval '1 month - 1 day')::date
    END AS expires_on,
    r.spend_controls_lock_after_date AS lock_after_date,
    s.parent_budget_id AS budget_id,
    b.name AS budget,
    s.id AS spend_limit_id,
    s.name AS spend_limit
FROM ruled r
LEFT JOIN shared h ON h.source = r.source AND h.holder = r.holder
LEFT JOIN people p ON p.user_id = r.owner_user_id
LEFT JOIN this_month t ON t.card_id = r.id
LEFT JOIN spend_limits s ON s.id = r.budget_id AND s._deleted_at IS NULL
LEFT JOIN budgets b ON b.budget_id = s.parent_budget_id AND b._deleted_at IS NULL
