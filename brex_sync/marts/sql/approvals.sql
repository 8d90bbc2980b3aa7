/*
description: >-
  Who is to decide on which expense, and for how long they have been. Brex keeps the reviewers in a
  list inside each approval step; any of them may decide. Expenses that were declined or voided wait
  for nobody.
grain: One row per expense, approval step that is not decided, and reviewer who may decide.
key: [connection, expense_id, step, reviewer_id]
sources: [expense_approval_steps, spend, people]
stored: false
columns:
  connection: The connection.
  expense_id: Brex's identifier of the expense.
  step: Place of the step among the expense's steps, from 0.
  is_next: Whether it is the first step that is not decided; later ones wait for it.
  reviewer_id: The user who may decide; empty where Brex names nobody.
  reviewer: Name of that user; null where it is not known. Personal data.
  reviewers: Number of users who may decide on the step.
  status: Status of the step, as Brex says it.
  pending_since: >-
    When the step before was decided; of the first, when the expense was handed in, or, where Brex
    does not say, when the step was first seen here. Null where it waits for an earlier step.
  days_pending: Days (UTC) since then, until today.
  user_id: The user who spent.
  person: Name of that user. Personal data.
  department: Department of that user, as it is now.
  merchant: Merchant, as in spend.
  spend_date: Day (UTC) of the spending, as in spend.
  amount: Amount, as in spend. It repeats for every reviewer and step.
  amount_minor: The same in the currency's smallest unit, exact.
  amount_currency: ISO 4217 currency of the amount.
  amount_usd: Amount in US dollars, where Brex gives it.
  memo: Memo.
  dashboard_url: Where to see it at Brex, and decide.
ties:
  waiting_steps_are_here:
    description: Every step that is not decided, of an expense in spend that counts, is here.
    query: >-
      SELECT w.expense_id, w.position FROM expense_approval_steps w
      JOIN spend s ON s.expense_id = w.expense_id AND s.source = 'expense' AND s.stage NOT IN ('declined', 'void')
      AND (s.status IN ('VOID', 'CANCELED')) IS NOT TRUE WHERE w._deleted_at IS NULL AND w.status = 'PENDING' AND w.resolved_at IS NULL
      AND NOT EXISTS (SELECT FROM approvals a WHERE a.expense_id = w.expense_id AND a.step = w.position)
*/
WITH waiting AS (
    SELECT
        w.expense_id,
        w.position,
        w.status,
        w.pending_reviewers,
        w._first_seen_at,
        w.position = min(w.position) OVER (PARTITION BY w.expense_id) AS is_next,
        before.resolved_at AS before_resolved_at
    FROM expense_approval_steps w
    LEFT JOIN expense_approval_steps before
        ON before.expense_id = w.expense_id
        AND before.position = w.position - 1
        AND before._deleted_at IS NULL
    WHERE w._deleted_at IS NULL
      AND w.resolved_at IS NULL
      AND (w.status = 'PENDING' OR jsonb_path_exists(w.pending_reviewers, '$[*]'))
),
asked AS (
    -- Joined to spend before the reviewers are spread, while there are few rows to look up.
    SELECT
        w.*,
        s.submitted_at,
        s.user_id,
        s.person,
        s.department,
        s.merchant,
        s.spend_date,
        s.amount,
        s.amount_minor,
        s.amount_currency,
        s.amount_usd,
        s.memo,
        s.dashboard_url,
        r.reviewer_id,
        r.name,
        count(*) OVER (PARTITION BY w.expense_id, w.position)::int AS reviewers
    FROM waiting w
    JOIN spend s
        ON s.expense_id = w.expense_id
        AND s.source = 'expense'
        AND s.stage NOT IN ('declined', 'void')
        AND (s.status IN ('VOID', 'CANCELED')) IS NOT TRUE
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (1)
            coalesce(one.value ->> 'id', '') AS reviewer_id,
            nullif(concat_ws(' ', one.value ->> 'first_name', one.value ->> 'last_name'), '')
                AS name
        FROM (SELECT 1) step
        LEFT JOIN jsonb_array_elements(
            CASE WHEN jsonb_typeof(w.pending_reviewers) = 'array' THEN w.pending_reviewers END
        ) one (value) ON true
        ORDER BY 1, 2
    ) r
)
SELECT
    {connection}::text AS connection,
    a.expense_id,
    a.position::int AS step,
    a.is_next,
    a.reviewer_id,
    coalesce(reviewer.name, a.name) AS reviewer,
    CASE WHEN a.reviewer_id = '' THEN 0 ELSE a.reviewers END AS reviewers,
    a.status,
    since.at AS pending_since,
    CASE
        WHEN since.at IS NOT NULL
        THEN greatest((now() AT TIME ZONE 'UTC')::date - (since.at AT TIME ZONE 'UTC')::date, 0)
    END AS days_pending,
    a.user_id,
    a.person,
    a.department,
    a.merchant,
    a.spend_date,
    a.amount,
    a.amount_minor,
    a.amount_currency,
    a.amount_usd,
    a.memo,
    a.dashboard_url
FROM asked a
LEFT JOIN people reviewer ON reviewer.user_id = a.reviewer_id
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN a.is_next THEN coalesce(a.before_resolved_at, a.submitted_at, a._first_seen_at) END
            AS at
) since
