SELECT
    c.month,
    c.closed_on,
    '{source}'::text AS source,
    t.{own_key} AS id,
    {parent}::text AS parent_id,
    CASE
        WHEN NOT known.there THEN 'arrived'
        WHEN t._deleted_at IS NOT NULL THEN 'deleted'
        WHEN date_trunc('month', {dated_before}::timestamp)::date <> c.month THEN 'moved in'
        WHEN date_trunc('month', {dated_now}::timestamp)::date <> c.month THEN 'moved out'
        ELSE 'changed'
    END AS change,
    t._changed_at AS changed_at,
    {dated_before} AS dated_before,
    CASE WHEN t._deleted_at IS NULL THEN {dated_now} END AS dated_now,
    before.{amount} AS amount_before,
    CASE WHEN t._deleted_at IS NULL THEN t.{amount} END AS amount_now,
    before.{amount}_minor AS amount_before_minor,
    CASE WHEN t._deleted_at IS NULL THEN t.{amount}_minor END AS amount_now_minor,
    before.{amount}_currency AS currency_before,
    CASE WHEN t._deleted_at IS NULL THEN t.{amount}_currency END AS currency_now
FROM brex_sync.closes c
CROSS JOIN LATERAL (
    -- What came with the first sync was late only if that was before the close.
    SELECT greatest(
        (c.closed_on + 1)::timestamp AT TIME ZONE 'UTC',
        (
            SELECT min(r.noted_at) FROM brex_sync.run_streams r
            WHERE r.connection = '{schema}' AND r.stream = '{source}' AND r.state = 'finished'
        )
    ) AS moment
) late
JOIN "{schema}"."{source}" t ON t._changed_at >= late.moment
LEFT JOIN LATERAL (
    SELECT v.*
    FROM "{schema}_history"."{source}" v
    WHERE ({same_key})
      AND v._valid_from < late.moment
      AND (v._valid_to IS NULL OR v._valid_to >= late.moment)
) before ON true
CROSS JOIN LATERAL (
    SELECT before._valid_from IS NOT NULL OR (
        t._first_seen_at < late.moment
        AND NOT EXISTS (SELECT FROM "{schema}_history"."{source}" v WHERE ({same_key}))
    ) AS there
) known
WHERE c.connection = '{schema}'
  AND (known.there OR t._deleted_at IS NULL)
  AND (t._deleted_at IS NOT NULL OR before._raw IS DISTINCT FROM t._raw)
  AND c.month IN (
      date_trunc('month', {dated_before}::timestamp)::date,
      CASE
          WHEN t._deleted_at IS NULL OR before._valid_from IS NULL
          THEN date_trunc('month', {dated_now}::timestamp)::date
      END
  )
