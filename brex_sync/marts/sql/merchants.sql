/*
description: >-
  Whom the company pays, how regularly, and whether that is a subscription whose price has changed.
  Charges are the positive lines of spend that count, added up by day.
grain: One row per merchant and currency.
key: [connection, merchant, amount_currency]
sources: [spend]
stored: true
columns:
  connection: The connection.
  merchant: Name of the merchant, cleaned, as in spend.
  amount_currency: ISO 4217 currency of the amounts.
  first_seen: Day of the first line.
  last_seen: Day of the last line.
  lines: How many lines count, refunds included.
  amount: Their sum, refunds subtracted.
  amount_minor: The same in the currency's smallest unit, exact.
  amount_usd: Sum in US dollars of those lines that have an amount in US dollars.
  months: In how many months there is a line.
  people: How many people spent there.
  charges: On how many days something was charged.
  cadence: >-
    weekly, monthly, quarterly or yearly, where at least three of four intervals between charges are
    of that length, and there are at least two of them (yearly: one); else null.
  cadence_days: The middle one of the intervals between charges, in days, where there is a cadence.
  is_subscription: >-
    Whether there is a cadence, none of the last four charges is more than twice another, and the
    next one is not overdue by more than half an interval on the last day that spend knows of.
  last_amount: The last charge.
  last_amount_minor: The same in the currency's smallest unit, exact.
  previous_amount: The charge before.
  previous_amount_minor: The same in the currency's smallest unit, exact.
  price_change: Of a subscription, by how much the price last changed; null if it never did.
  price_changed_on: Day of the first charge at the price that it has changed to.
  next_expected: When the next charge of a subscription is to be expected.
  mcc: Merchant category code of the last line that has one.
  mcc_name: What the code is for.
  category: Brex's category of the last line that has one.
ties:
  merchants_sum_to_spend:
    description: Per currency, lines and amounts are those of the lines in spend that have a merchant.
    query: >-
      SELECT amount_currency, s.lines AS in_spend, m.lines, s.amount_minor AS spent, m.amount_minor FROM (
        SELECT amount_currency, count(*) AS lines, sum(amount_minor) AS amount_minor
        FROM spend WHERE counts AND merchant IS NOT NULL GROUP BY 1) s
      FULL JOIN (
        SELECT amount_currency, sum(lines) AS lines, sum(amount_minor) AS amount_minor
        FROM merchants GROUP BY 1) m USING (amount_currency)
      WHERE (s.lines, s.amount_minor) IS DISTINCT FROM (m.lines, m.amount_minor)
*/
WITH counted AS (
    SELECT * FROM spend WHERE counts AND merchant IS NOT NULL
),
totals AS (
    SELECT
        connection,
        merchant,
        amount_currency,
        min(spend_date) AS first_seen,
        max(spend_date) AS last_seen,
        count(*)::int AS lines,
        sum(amount) AS amount,
        sum(amount_minor)::bigint AS amount_minor,
        sum(amount_usd) AS amount_usd,
        count(DISTINCT spend_month)::int AS months,
        count(DISTINCT user_id)::int AS people
    FROM counted
    GROUP BY connection, merchant, amount_currency
),
kinds AS (
    SELECT DISTINCT ON (merchant, amount_currency)
        merchant,
        amount_currency,
        first_value(mcc) OVER (latest ORDER BY mcc IS NULL, spend_date DESC, line_id) AS mcc,
        first_value(mcc_name) OVER (latest ORDER BY mcc IS NULL, spend_date DESC, line_id)
            AS mcc_name,
        first_value(category) OVER (latest ORDER BY category IS NULL, spend_date DESC, line_id)
            AS category
    FROM counted
    WINDOW latest AS (PARTITION BY merchant, amount_currency)
    ORDER BY merchant, amount_currency
),
charges AS (
    SELECT
        merchant,
        amount_currency,
        spend_date AS day,
        sum(amount) AS amount,
        sum(amount_minor)::bigint AS amount_minor
    FROM counted
    WHERE amount_minor > 0
    GROUP BY merchant, amount_currency, spend_date
),
placed AS (
    SELECT
        c.*,
        row_number() OVER back AS place,
        lead(c.amount) OVER back AS before,
        lead(c.amount_minor) OVER back AS before_minor,
        c.day - lead(c.day) OVER back AS gap
    FROM charges c
    WINDOW back AS (PARTITION BY c.merchant, c.amount_currency ORDER BY c.day DESC)
),
rhythm AS (
    SELECT
        merchant,
        amount_currency,
        count(*)::int AS charges,
        count(gap) AS gaps,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY gap) AS middle,
        count(*) FILTER (WHERE gap BETWEEN 6 AND 8) AS weekly,
        count(*) FILTER (WHERE gap BETWEEN 26 AND 35) AS monthly,
        count(*) FILTER (WHERE gap BETWEEN 84 AND 98) AS quarterly,
        count(*) FILTER (WHERE gap BETWEEN 351 AND 379) AS yearly,
        max(amount) FILTER (WHERE place = 1) AS last_amount,
        max(amount_minor) FILTER (WHERE place = 1) AS last_amount_minor,
        max(amount) FILTER (WHERE place = 2) AS previous_amount,
        max(amount_minor) FILTER (WHERE place = 2) AS previous_amount_minor,
        max(amount_minor) FILTER (WHERE place <= 4)
            <= 2 * min(amount_minor) FILTER (WHERE place <= 4) AS is_steady,
        max(day) AS last_day,
        min(place) FILTER (WHERE amount_minor <> before_minor) AS changed
    FROM placed
    GROUP BY merchant, amount_currency
),
paced AS (
    SELECT
        r.*,
        CASE
            WHEN r.gaps >= 2 AND r.weekly * 4 >= r.gaps * 3 THEN 'weekly'
            WHEN r.gaps >= 2 AND r.monthly * 4 >= r.gaps * 3 THEN 'monthly'
            WHEN r.gaps >= 2 AND r.quarterly * 4 >= r.gaps * 3 THEN 'quarterly'
            WHEN r.gaps >= 1 AND r.yearly * 4 >= r.gaps * 3 THEN 'yearly'
        END AS cadence
    FROM rhythm r
)
SELECT
    t.connection,
    t.merchant,
    t.amount_currency,
    t.first_seen,
    t.last_seen,
    t.lines,
    t.amount,
    t.amount_minor,
    t.amount_usd,
    t.months,
    t.people,
    coalesce(r.charges, 0) AS charges,
    r.cadence,
    CASE WHEN r.cadence IS NOT NULL THEN r.middle END AS cadence_days,
    s.subscribed AS is_subscription,
    r.last_amount,
    r.last_amount_minor,
    r.previous_amount,
    r.previous_amount_minor,
    CASE WHEN s.subscribed THEN c.amount - c.before END AS price_change,
    CASE WHEN s.subscribed THEN c.day END AS price_changed_on,
    CASE
        WHEN NOT s.subscribed THEN NULL
        WHEN r.cadence = 'weekly' THEN r.last_day + 7
        WHEN r.cadence = 'monthly' THEN (r.last_day + interval '1 month')::date
        WHEN r.cadence = 'quarterly' THEN (r.last_day + interval '3 months')::date
        ELSE (r.last_day + interval '1 year')::date
    END AS next_expected,
    k.mcc,
    k.mcc_name,
    k.category
FROM totals t
JOIN kinds k ON k.merchant = t.merchant AND k.amount_currency = t.amount_currency
LEFT JOIN paced r ON r.merchant = t.merchant AND r.amount_currency = t.amount_currency
CROSS JOIN LATERAL (
    SELECT coalesce(
        r.cadence IS NOT NULL
        AND r.is_steady
        AND (SELECT max(spend_date) FROM spend WHERE counts) <= r.last_day + r.middle * 3 / 2,
        false
    ) AS subscribed
) s
LEFT JOIN placed c
    ON c.merchant = t.merchant
    AND c.amount_currency = t.amount_currency
    AND c.place = r.changed
