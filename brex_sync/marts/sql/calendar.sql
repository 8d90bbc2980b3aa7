/*
description: >-
  Every day from the first one that anything is dated on to the end of this year (UTC), so that days
  and months without a row can be shown as such.
grain: One row per day.
key: [connection, day]
sources: [expenses, card_transactions, cash_transactions, card_statements, cash_statements]
stored: false
columns:
  connection: The connection.
  day: The day.
  month: First day of its month.
  quarter: First day of its quarter.
  year: The year.
  iso_week: Monday of its week.
  day_of_month: Day of the month, from 1.
  days_in_month: How many days its month has.
  is_month_end: Whether it is the last day of its month.
ties:
  no_day_is_missing:
    description: There are as many days as between the first and the last.
    query: >-
      SELECT min(day), max(day), count(*) FROM calendar
      HAVING count(*) <> max(day) - min(day) + 1
*/
WITH today AS (
    SELECT (now() AT TIME ZONE 'UTC')::date AS day
),
first_days (day) AS (
    SELECT (min(least(purchased_at, payment_posted_at, updated_at)) AT TIME ZONE 'UTC')::date
    FROM expenses WHERE _deleted_at IS NULL
    UNION ALL
    SELECT min(least(posted_at_date, initiated_at_date)) FROM card_transactions
    WHERE _deleted_at IS NULL
    UNION ALL
    SELECT min(least(posted_at_date, initiated_at_date)) FROM cash_transactions
    WHERE _deleted_at IS NULL
    UNION ALL
    SELECT min(period_start_date) FROM card_statements WHERE _deleted_at IS NULL
    UNION ALL
    SELECT min(period_start_date) FROM cash_statements WHERE _deleted_at IS NULL
)
SELECT
    {connection}::text AS connection,
    d.day,
    date_trunc('month', d.day)::date AS month,
    date_trunc('quarter', d.day)::date AS quarter,
    extract(year FROM d.day)::int AS year,
    date_trunc('week', d.day)::date AS iso_week,
    extract(day FROM d.day)::int AS day_of_month,
    extract(day FROM date_trunc('month', d.day) + interval '1 month - 1 day')::int AS days_in_month,
    d.day = (date_trunc('month', d.day) + interval '1 month - 1 day')::date AS is_month_end
FROM today
CROSS JOIN LATERAL (
    SELECT generate_series(
        (SELECT least(min(f.day), today.day) FROM first_days f)::timestamp,
        date_trunc('year', today.day::timestamp) + interval '1 year - 1 day',
        interval '1 day'
    )::date AS day
) d
