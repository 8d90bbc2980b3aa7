/*
description: >-
  What the company spends, each amount once. A line is an expense, a part of a split expense (the
  whole is left out then), or a card transaction that belongs to no expense here. Payments to Brex
  are no spend. Spent money is positive; what came back (refunds, chargebacks, clawbacks, rewards)
  is negative. Sum `amount` where `counts`, and never over several currencies.
grain: One row per amount that counts once.
key: [connection, line_id]
sources: [expenses, expense_line_items, expense_receipts, expense_approval_steps, card_transactions,
  cards, users, departments, locations, cost_centers, legal_entities, spend_limits, budgets, people,
  merchant_categories]
stored: true
indexes: [[spend_date], [spend_month], [expense_id], [user_id], [kind], [receipt_missing]]
columns:
  connection: The connection.
  line_id: "`expense:` or `transaction:`, and Brex's identifier of it."
  source: expense or card_transaction, what the line is made of.
  kind: card, reimbursement, bill, clawback, fee, refund, reward or other.
  stage: >-
    Where the money is. By the payment status: settled, refunded, declined, or pending. Where nothing
    was paid, by the status: void (also CANCELED), draft, or pending (handed in or approved);
    unknown where Brex says neither. A voided expense whose payment has cleared is settled, as the
    money is gone.
  counts: Whether it is spend; true for pending, settled and refunded lines.
  spend_date: >-
    Day (UTC) of the purchase; of what has none, such as bills, the first there is of the days it
    was paid, handed in, approved, completed, or last changed.
  spend_month: First day of the month of spend_date.
  posted_date: Day on which the card transaction was settled, or else the payment was posted.
  amount: Amount in the currency of the account; where Brex gives none, in that of the purchase.
  amount_minor: The same in the currency's smallest unit, exact.
  amount_currency: ISO 4217 currency of the amount.
  amount_usd: Amount in US dollars; null where it is in another currency and Brex gives no equivalent.
  original_amount: Amount in the currency of the purchase.
  original_amount_minor: The same in the currency's smallest unit, exact.
  original_amount_currency: ISO 4217 currency of original_amount.
  merchant: >-
    Name of the merchant, cleaned: without the prefix of a payment provider, without numbers of
    stores, orders and telephones, and without the legal form.
  merchant_raw: The merchant as the card network names it.
  merchant_country: Merchant's country, ISO 3166-1 alpha-3.
  mcc: Merchant category code, ISO 18245.
  mcc_name: What the code is for.
  category: Brex's category, which is another classification than the code.
  user_id: The user who spent; of a card transaction without expense, the holder of the card.
  person: Name of that user. Personal data.
  department_id: Department of that user now; of a user who is not known here, that of the expense.
  department: Name of that department.
  location_id: Location, in the same way.
  location: Name of that location.
  cost_center_id: Cost center of that user now.
  cost_center: Name of that cost center.
  legal_entity_id: Legal entity that spends; where Brex names none, that of the user now.
  legal_entity: Name of that legal entity.
  department_then_id: Department of that user at the end of spend_date; null before the first sync.
  department_then: Name of that department.
  location_then: Name of the user's location then.
  cost_center_then: Name of the user's cost center then.
  legal_entity_then: Name of the user's legal entity then.
  card_id: The card that was used.
  card_name: Name given to the card.
  card_last_four: Last four digits of the card number.
  budget_id: Budget that it draws on, through its spend limit or by itself.
  budget: Name of the budget.
  spend_limit_id: Spend limit that it draws on.
  spend_limit: Name of the spend limit.
  memo: Memo.
  receipts_required: >-
    Whether a receipt is wanted: of card purchases and reimbursements that count, are positive, and
    were not voided.
  receipts: How many receipts it has; those of a split expense count for each part.
  receipt_missing: Whether one is wanted and there is none.
  approval_stage: none, pending, approved, rejected or unknown.
  status: Brex's status of the expense.
  payment_status: Brex's status of its payment.
  expense_id: The expense; null for a card transaction without one.
  parent_expense_id: The split expense it is a part of; the outermost where a part was split again.
  transaction_id: The card transaction; null where there is none or several.
  transactions: How many card transactions belong to it, or to the expense it is a part of.
  trip_id: Trip it belongs to.
  submitted_at: When the expense was handed in.
  approved_at: When it was approved.
  completed_at: When its payment was posted; where Brex does not say, when it was completed.
  exported_at: When it was exported to the books.
  is_exported: Whether it was.
  updated_at: When Brex last changed the expense; null for a card transaction.
  dashboard_url: Where to see it at Brex.
ties:
  card_lines_equal_transactions:
    description: >-
      The card lines of an expense whose payment has cleared or was refunded are as much as the card
      transactions that name it, per currency, to the smallest unit.
    query: >-
      WITH lines AS (
        SELECT coalesce(parent_expense_id, expense_id) AS expense_id, amount_currency,
          sum(amount_minor) AS amount_minor
        FROM spend WHERE source = 'expense' AND kind IN ('card', 'refund')
        AND payment_status IN ('CLEARED', 'REFUNDED') GROUP BY 1, 2
      ), moved AS (
        SELECT t.expense_id, coalesce(t.amount_currency, 'USD') AS amount_currency,
          sum(t.amount_minor) AS amount_minor
        FROM card_transactions t WHERE t._deleted_at IS NULL AND t.type IS DISTINCT FROM 'COLLECTION'
        AND EXISTS (SELECT FROM expenses e WHERE e.id = t.expense_id AND e._deleted_at IS NULL)
        GROUP BY 1, 2
      )
      SELECT expense_id, amount_currency, lines.amount_minor AS lines, moved.amount_minor AS transactions
      FROM lines FULL JOIN moved USING (expense_id, amount_currency)
      WHERE lines.amount_minor IS DISTINCT FROM moved.amount_minor
  every_transaction_counts_once:
    description: >-
      Every card transaction that is no payment to Brex is a line, or names an expense that is, never
      both and never neither.
    query: >-
      WITH own AS (
        SELECT transaction_id AS id, count(*) AS lines FROM spend WHERE source = 'card_transaction' GROUP BY 1
      ), theirs AS (
        SELECT coalesce(parent_expense_id, expense_id) AS expense_id, count(*) AS lines
        FROM spend WHERE source = 'expense' GROUP BY 1
      )
      SELECT coalesce(t.id, own.id) AS id, own.lines AS as_itself, theirs.lines AS as_expense
      FROM (SELECT * FROM card_transactions WHERE _deleted_at IS NULL AND type IS DISTINCT FROM 'COLLECTION') t
      FULL JOIN own ON own.id = t.id
      LEFT JOIN theirs ON theirs.expense_id = t.expense_id
      WHERE t.id IS NULL OR own.lines > 1 OR (own.lines IS NULL) = (theirs.lines IS NULL)
  months_equal_transactions:
    description: >-
      Per month of posting and currency, settled card lines and transactions without expense are as
      much as all card transactions but the payments to Brex; without expenses that were posted in
      several months.
    query: >-
      WITH several AS (
        SELECT expense_id FROM card_transactions WHERE _deleted_at IS NULL AND expense_id IS NOT NULL
        GROUP BY 1 HAVING count(DISTINCT date_trunc('month', posted_at_date)) > 1
      ), lines AS (
        SELECT date_trunc('month', posted_date)::date AS month, amount_currency, sum(amount_minor) AS amount_minor
        FROM spend WHERE (source = 'card_transaction'
          OR kind IN ('card', 'refund') AND payment_status IN ('CLEARED', 'REFUNDED'))
        AND coalesce(parent_expense_id, expense_id, '') NOT IN (SELECT expense_id FROM several)
        GROUP BY 1, 2
      ), moved AS (
        SELECT date_trunc('month', posted_at_date)::date AS month, coalesce(amount_currency, 'USD') AS amount_currency,
          sum(amount_minor) AS amount_minor
        FROM card_transactions WHERE _deleted_at IS NULL AND type IS DISTINCT FROM 'COLLECTION'
        AND coalesce(expense_id, '') NOT IN (SELECT expense_id FROM several)
        GROUP BY 1, 2
      )
      SELECT month, amount_currency, lines.amount_minor AS lines, moved.amount_minor AS transactions
      FROM lines FULL JOIN moved USING (month, amount_currency)
      WHERE coalesce(lines.amount_minor, 0) <> coalesce(moved.amount_minor, 0)
  lines_are_leaves:
    description: Every expense is a line, but for split ones, whose parts are.
    query: >-
      WITH leaves AS (
        SELECT e.id FROM expenses e WHERE e._deleted_at IS NULL AND (e.status IS DISTINCT FROM 'SPLIT'
          OR e.id NOT IN (SELECT expense_id FROM expense_line_items WHERE _deleted_at IS NULL))
        UNION
        SELECT i.id FROM expense_line_items i JOIN expenses w ON w.id = i.expense_id
        WHERE i._deleted_at IS NULL AND w._deleted_at IS NULL AND w.status = 'SPLIT'
        AND NOT EXISTS (SELECT FROM expenses e WHERE e.id = i.id AND e._deleted_at IS NULL)
      )
      SELECT id, s.expense_id FROM leaves FULL JOIN (SELECT expense_id FROM spend WHERE source = 'expense') s
      ON s.expense_id = id WHERE id IS NULL OR s.expense_id IS NULL
  amounts_are_brex_s:
    description: >-
      Per type, currency and payment status the lines of expenses add up to what the leaves among
      the expenses say, clawbacks with the other sign; no join repeats or loses one.
    query: >-
      WITH leaves AS (
        SELECT e.expense_type, e.payment_status, e.billing_amount_minor, e.billing_amount_currency,
          e.original_amount_minor, e.original_amount_currency
        FROM expenses e WHERE e._deleted_at IS NULL AND (e.status IS DISTINCT FROM 'SPLIT'
          OR e.id NOT IN (SELECT expense_id FROM expense_line_items WHERE _deleted_at IS NULL))
        UNION ALL
        SELECT i.expense_type, i.payment_status, i.billing_amount_minor, i.billing_amount_currency,
          i.original_amount_minor, i.original_amount_currency
        FROM (SELECT DISTINCT ON (id) * FROM expense_line_items WHERE _deleted_at IS NULL ORDER BY id, expense_id) i
        JOIN expenses w ON w.id = i.expense_id AND w._deleted_at IS NULL AND w.status = 'SPLIT'
        WHERE NOT EXISTS (SELECT FROM expenses e WHERE e.id = i.id AND e._deleted_at IS NULL)
      ), wanted AS (
        SELECT coalesce(expense_type = 'CLAWBACK', false) AS back, payment_status,
          CASE WHEN billing_amount_minor IS NULL THEN coalesce(original_amount_currency, 'USD')
            ELSE coalesce(billing_amount_currency, 'USD') END AS amount_currency,
          count(*) AS n, sum(coalesce(billing_amount_minor, original_amount_minor)
            * CASE WHEN expense_type = 'CLAWBACK' THEN -1 ELSE 1 END) AS amount_minor
        FROM leaves GROUP BY 1, 2, 3
      ), found AS (
        SELECT kind = 'clawback' AS back, payment_status, amount_currency, count(*) AS n,
          sum(amount_minor) AS amount_minor
        FROM spend WHERE source = 'expense' GROUP BY 1, 2, 3
      )
      SELECT w.*, f.n AS lines, f.amount_minor AS found
      FROM wanted w FULL JOIN found f ON f.back = w.back AND f.amount_currency = w.amount_currency
        AND coalesce(f.payment_status, '') = coalesce(w.payment_status, '')
      WHERE (w.n, w.amount_minor) IS DISTINCT FROM (f.n, f.amount_minor)
  what_is_not_spent_does_not_count:
    description: What was declined, voided without being paid, or only drafted does not count, and all else does.
    query: >-
      SELECT line_id, stage, status, payment_status, counts FROM spend
      WHERE counts <> coalesce(CASE
        WHEN source = 'card_transaction' THEN true
        WHEN payment_status IN ('CLEARED', 'CREDITED', 'CASH_ADVANCE', 'REFUNDED', 'REFUNDING') THEN true
        WHEN payment_status IN ('DECLINED', 'CANCELED') OR status IN ('VOID', 'CANCELED') THEN false
        WHEN payment_status = 'PROCESSING' THEN true
        WHEN status = 'DRAFT' OR status IS NULL AND payment_status IS NULL THEN false
        ELSE true END, false)
  one_currency_an_amount:
    description: What is counted as US dollars is in US dollars, or is Brex's equivalent.
    query: >-
      SELECT s.line_id, s.amount_currency, s.amount, s.amount_usd FROM spend s
      LEFT JOIN expenses e ON s.source = 'expense' AND e.id = s.expense_id
      LEFT JOIN expense_line_items i ON s.source = 'expense' AND e.id IS NULL AND i.id = s.expense_id
      WHERE s.amount_currency IS NULL OR s.amount_usd IS NOT NULL
        AND s.amount_usd IS DISTINCT FROM CASE WHEN s.amount_currency = 'USD' THEN s.amount END
        AND abs(s.amount_usd) IS DISTINCT FROM
          abs(coalesce(e.usd_equivalent_amount, i.usd_equivalent_amount))
*/
WITH RECURSIVE parts AS (
    SELECT DISTINCT ON (i.id) i.id, i.expense_id AS whole
    FROM expense_line_items i
    JOIN expenses w ON w.id = i.expense_id AND w._deleted_at IS NULL
    WHERE i._deleted_at IS NULL AND w.status = 'SPLIT'
    ORDER BY i.id, i.expense_id
),
roots (id, whole, root) AS (
    SELECT p.id, p.whole, p.whole FROM parts p
    WHERE NOT EXISTS (SELECT FROM parts above WHERE above.id = p.whole)
    UNION
    SELECT p.id, p.whole, r.root FROM roots r JOIN parts p ON p.whole = r.id
),
leaves AS (
    SELECT
        e.id, r.whole, coalesce(r.root, e.id) AS root, e.expense_type, e.status, e.payment_status,
        e.category, e.memo, e.original_amount, e.original_amount_minor, e.original_amount_currency,
        e.billing_amount, e.billing_amount_minor, e.billing_amount_currency,
        e.usd_equivalent_amount, e.purchased_at, e.payment_posted_at, e.submitted_at,
        e.approved_at, e.completion_date, e.exported_at, e.updated_at, e._first_seen_at,
        e.user_id, e.user_first_name, e.user_last_name, e.department_id, e.department_name,
        e.location_id, e.location_name, e.budget_id, e.budget_name,
        e.merchant_raw_descriptor, e.merchant_mcc, e.merchant_country,
        e.payment_payment_instrument_type, e.payment_payment_instrument_id,
        e.spending_entity_id, e.spending_entity_display_name, e.trip_id, e.dashboard_url,
        NULL::jsonb AS receipts_inside
    FROM expenses e
    LEFT JOIN roots r ON r.id = e.id
    WHERE e._deleted_at IS NULL
      AND (
          e.status IS DISTINCT FROM 'SPLIT'
          OR e.id NOT IN (SELECT p.whole FROM parts p)
      )
    UNION ALL
    SELECT
        i.id, r.whole, r.root, i.expense_type, i.status, i.payment_status,
        i.category, i.memo, i.original_amount, i.original_amount_minor, i.original_amount_currency,
        i.billing_amount, i.billing_amount_minor, i.billing_amount_currency,
        i.usd_equivalent_amount, i.purchased_at, i.payment_posted_at, i.submitted_at,
        i.approved_at, i.completion_date, i.exported_at, i.updated_at, i._first_seen_at,
        i.user_id, i.user_first_name, i.user_last_name, i.department_id, i.department_name,
        i.location_id, i.location_name, i.budget_id, i.budget_name,
        i.merchant_raw_descriptor, i.merchant_mcc, i.merchant_country,
        i.payment_payment_instrument_type, i.payment_payment_instrument_id,
        i.spending_entity_id, i.spending_entity_display_name, i.trip_id, i.dashboard_url,
        i.receipts
    FROM roots r
    JOIN expense_line_items i ON i.expense_id = r.whole AND i.id = r.id
    WHERE NOT EXISTS (SELECT FROM expenses e WHERE e.id = r.id AND e._deleted_at IS NULL)
),
moved AS (
    SELECT
        t.expense_id, count(*)::int AS transactions, min(t.id) AS transaction_id,
        min(t.posted_at_date) AS posted_date, min(t.card_id) AS card_id
    FROM card_transactions t
    WHERE t._deleted_at IS NULL AND t.expense_id IS NOT NULL
    GROUP BY t.expense_id
),
receipts AS (
    SELECT r.expense_id, count(*)::int AS receipts
    FROM expense_receipts r WHERE r._deleted_at IS NULL GROUP BY r.expense_id
),
steps AS (
    SELECT
        s.expense_id,
        bool_or(s.status IN ('REJECTED', 'DENIED', 'DECLINED')) AS rejected,
        bool_or(s.resolved_at IS NULL) AS pending
    FROM expense_approval_steps s WHERE s._deleted_at IS NULL GROUP BY s.expense_id
),
lines AS (
    SELECT
        'expense:' || e.id AS line_id,
        'expense' AS source,
        CASE
            WHEN e.expense_type = 'CARD'
            THEN CASE
                WHEN e.payment_status IN ('REFUNDED', 'REFUNDING') OR e.billing_amount_minor < 0
                THEN 'refund' ELSE 'card'
            END
            WHEN e.expense_type = 'REIMBURSEMENT' THEN 'reimbursement'
            WHEN e.expense_type = 'BILLPAY' THEN 'bill'
            WHEN e.expense_type = 'CLAWBACK' THEN 'clawback'
            ELSE 'other'
        END AS kind,
        CASE
            WHEN e.payment_status = 'DECLINED' THEN 'declined'
            WHEN e.payment_status IN ('REFUNDED', 'REFUNDING') THEN 'refunded'
            WHEN e.payment_status IN ('CLEARED', 'CREDITED', 'CASH_ADVANCE') THEN 'settled'
            WHEN e.status IN ('VOID', 'CANCELED') OR e.payment_status = 'CANCELED' THEN 'void'
            WHEN e.payment_status = 'PROCESSING' THEN 'pending'
            WHEN e.status = 'DRAFT' THEN 'draft'
            WHEN e.status = 'SETTLED' AND e.payment_status IS NULL THEN 'settled'
            WHEN e.status IS NULL AND e.payment_status IS NULL THEN 'unknown'
            ELSE 'pending'
        END AS stage,
        (coalesce(
            e.purchased_at, e.payment_posted_at, e.submitted_at, e.approved_at, e.completion_date,
            least(e.updated_at, e._first_seen_at)
        ) AT TIME ZONE 'UTC')::date AS spend_date,
        coalesce(m.posted_date, (e.payment_posted_at AT TIME ZONE 'UTC')::date) AS posted_date,
        a.sign * a.amount AS amount,
        a.sign * a.amount_minor AS amount_minor,
        a.amount_currency,
        a.sign * coalesce(
            e.usd_equivalent_amount, CASE WHEN a.amount_currency = 'USD' THEN a.amount END
        ) AS amount_usd,
        a.sign * e.original_amount AS original_amount,
        a.sign * e.original_amount_minor AS original_amount_minor,
        CASE
            WHEN e.original_amount_minor IS NOT NULL
            THEN coalesce(e.original_amount_currency, 'USD')
        END AS original_amount_currency,
        e.merchant_raw_descriptor AS merchant_raw,
        e.merchant_country,
        e.merchant_mcc AS mcc,
        e.category,
        e.user_id,
        nullif(concat_ws(' ', nullif(e.user_first_name, ''), nullif(e.user_last_name, '')), '')
            AS person,
        e.department_id,
        e.department_name AS department,
        e.location_id,
        e.location_name AS location,
        e.spending_entity_id AS legal_entity_id,
        e.spending_entity_display_name AS legal_entity,
        CASE
            WHEN e.payment_payment_instrument_type = 'CARD' THEN e.payment_payment_instrument_id
            ELSE m.card_id
        END AS card_id,
        e.budget_id AS drawn_id,
        e.budget_name AS drawn,
        e.memo,
        CASE
            WHEN e.whole IS NULL THEN coalesce(r.receipts, 0)
            ELSE (
                SELECT count(DISTINCT hung.id)::int
                FROM (
                    SELECT id FROM expense_receipts
                    WHERE expense_id IN (e.id, e.whole, e.root) AND _deleted_at IS NULL
                    UNION ALL
                    SELECT j.receipt ->> 'id'
                    FROM jsonb_array_elements(
                        CASE WHEN jsonb_typeof(e.receipts_inside) = 'array'
                        THEN e.receipts_inside END
                    ) j (receipt)
                ) hung
            )
        END AS receipts,
        CASE
            WHEN s.rejected THEN 'rejected'
            WHEN e.approved_at IS NOT NULL OR e.status IN ('APPROVED', 'SETTLED') THEN 'approved'
            WHEN s.pending OR e.submitted_at IS NOT NULL
                OR e.status IN ('SUBMITTED', 'OUT_OF_POLICY')
            THEN 'pending'
            WHEN e.status IS NULL THEN 'unknown'
            ELSE 'none'
        END AS approval_stage,
        e.status,
        e.payment_status,
        e.id AS expense_id,
        CASE WHEN e.whole IS NOT NULL THEN e.root END AS parent_expense_id,
        CASE WHEN m.transactions = 1 THEN m.transaction_id END AS transaction_id,
        coalesce(m.transactions, 0) AS transactions,
        e.trip_id,
        e.submitted_at,
        e.approved_at,
        coalesce(e.payment_posted_at, e.completion_date) AS completed_at,
        e.exported_at,
        e.updated_at,
        e.dashboard_url
    FROM leaves e
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN e.expense_type = 'CLAWBACK' THEN -1 ELSE 1 END AS sign,
            CASE WHEN e.billing_amount_minor IS NULL THEN e.original_amount ELSE e.billing_amount END
                AS amount,
            coalesce(e.billing_amount_minor, e.original_amount_minor) AS amount_minor,
            CASE
                WHEN e.billing_amount_minor IS NULL THEN coalesce(e.original_amount_currency, 'USD')
                ELSE coalesce(e.billing_amount_currency, 'USD')
            END AS amount_currency
    ) a
    LEFT JOIN moved m ON m.expense_id = e.root
    LEFT JOIN receipts r ON r.expense_id = e.id
    LEFT JOIN steps s ON s.expense_id = e.id
    UNION ALL
    SELECT
        'transaction:' || t.id,
        'card_transaction',
        CASE
            WHEN t.type IN ('REFUND', 'CHARGEBACK') THEN 'refund'
            WHEN t.type = 'REWARDS_CREDIT' THEN 'reward'
            WHEN t.type = 'BNPL_FEE' THEN 'fee'
            WHEN t.type = 'PURCHASE' OR t.card_id IS NOT NULL
            THEN CASE WHEN t.amount_minor < 0 THEN 'refund' ELSE 'card' END
            ELSE 'other'
        END,
        CASE WHEN t.type IN ('REFUND', 'CHARGEBACK') THEN 'refunded' ELSE 'settled' END,
        coalesce(
            t.initiated_at_date, t.posted_at_date, (t._first_seen_at AT TIME ZONE 'UTC')::date
        ),
        t.posted_at_date,
        t.amount,
        t.amount_minor,
        coalesce(t.amount_currency, 'USD'),
        CASE WHEN coalesce(t.amount_currency, 'USD') = 'USD' THEN t.amount END,
        NULL, NULL, NULL,
        t.merchant_raw_descriptor,
        t.merchant_country,
        t.merchant_mcc,
        NULL,
        c.owner_user_id,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        t.card_id,
        c.budget_id,
        NULL, NULL,
        0,
        'none',
        NULL, NULL, NULL, NULL,
        t.id,
        1,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM card_transactions t
    LEFT JOIN cards c ON c.id = t.card_id
    WHERE t._deleted_at IS NULL
      AND t.type IS DISTINCT FROM 'COLLECTION'
      AND NOT EXISTS (
          SELECT FROM expenses e WHERE e.id = t.expense_id AND e._deleted_at IS NULL
      )
),
descriptors AS (
    SELECT DISTINCT merchant_raw AS raw FROM lines WHERE merchant_raw IS NOT NULL
),
merchants_of AS (
    -- Each step has what the one before has left. A step that would leave nothing is not taken.
    SELECT d.raw, coalesce(nullif(n6.name, ''), nullif(n1.name, ''), d.raw) AS name
    FROM descriptors d
    CROSS JOIN LATERAL (SELECT btrim(regexp_replace(d.raw, '\s+', ' ', 'g')) AS name) n1
    CROSS JOIN LATERAL (
        -- Payment providers, who put themselves before the merchant.
        SELECT regexp_replace(
            n1.name, '^(SQ|TST|SP|PY|PP|PAYPAL|IN|DD|CKE|FSP|BT|ZSK|WPY|GOOGLE) ?\* ?(?=\S)',
            CASE WHEN n1.name ~* '^GOOGLE ?\*' THEN 'GOOGLE ' ELSE '' END, 'i'
        ) AS name
    ) n2
    CROSS JOIN LATERAL (
        -- What was bought, after the merchant's name and a star.
        SELECT regexp_replace(n2.name, '(\S) ?\*.*$', '\1') AS name
    ) n3
    CROSS JOIN LATERAL (
        -- Telephone numbers, numbers of stores and orders, at the end, as often as there are any.
        SELECT regexp_replace(
            n3.name,
            '( [+(]?[0-9][0-9() .-]{6,}| #? ?[A-Z]?[0-9]{2,}| #[0-9A-Z]+'
            || '| (?=[A-Z]*[0-9])(?=[0-9]*[A-Z])[0-9A-Z]{6,})+$',
            ''
        ) AS name
    ) n4
    CROSS JOIN LATERAL (
        SELECT regexp_replace(
            n4.name,
            ',? (INC|LLC|LTD|LIMITED|GMBH|CORP|CORPORATION|CO|SARL|SAS|AG|SA|BV|PLC|PTY)\.?$', '', 'i'
        ) AS name
    ) n5
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN n5.name ~* '^(AMZN|AMAZON)( MKTP.*| MARKETPLACE.*|\.COM.*)?$' THEN 'Amazon'
            WHEN n5.name ~* '^(AWS|AMAZON WEB SERVICES)\M' THEN 'Amazon Web Services'
            WHEN n5.name ~* '^FACEBK\M' THEN 'Facebook'
            WHEN n5.name ~* '^VZWRLSS\M' THEN 'Verizon Wireless'
            WHEN n5.name = upper(n5.name)
            THEN regexp_replace(initcap(n5.name), '([''’])S\M', '\1s', 'g')
            ELSE n5.name
        END AS name
    ) n6
)
SELECT
    {connection}::text AS connection,
    l.line_id,
    l.source,
    l.kind,
    l.stage,
    l.stage IN ('pending', 'settled', 'refunded') AS counts,
    l.spend_date,
    date_trunc('month', l.spend_date)::date AS spend_month,
    l.posted_date,
    l.amount,
    l.amount_minor,
    l.amount_currency,
    l.amount_usd,
    l.original_amount,
    l.original_amount_minor,
    l.original_amount_currency,
    n.name AS merchant,
    l.merchant_raw,
    l.merchant_country,
    l.mcc,
    mc.name AS mcc_name,
    l.category,
    l.user_id,
    coalesce(p.name, l.person) AS person,
    coalesce(p.department_id, l.department_id) AS department_id,
    CASE WHEN p.department_id IS NOT NULL THEN p.department ELSE coalesce(d.name, l.department) END
        AS department,
    coalesce(p.location_id, l.location_id) AS location_id,
    CASE WHEN p.location_id IS NOT NULL THEN p.location ELSE coalesce(o.name, l.location) END
        AS location,
    p.cost_center_id,
    p.cost_center,
    coalesce(l.legal_entity_id, p.legal_entity_id) AS legal_entity_id,
    CASE
        WHEN l.legal_entity_id IS NULL THEN p.legal_entity
        ELSE coalesce(le.display_name, l.legal_entity)
    END AS legal_entity,
    h.department_id AS department_then_id,
    d_then.name AS department_then,
    o_then.name AS location_then,
    c_then.name AS cost_center_then,
    le_then.display_name AS legal_entity_then,
    l.card_id,
    k.card_name,
    k.last_four AS card_last_four,
    coalesce(sl.parent_budget_id, b_own.budget_id) AS budget_id,
    CASE WHEN sl.id IS NOT NULL THEN b.name ELSE b_own.name END AS budget,
    CASE WHEN b_own.budget_id IS NULL OR sl.id IS NOT NULL THEN l.drawn_id END AS spend_limit_id,
    CASE
        WHEN b_own.budget_id IS NULL OR sl.id IS NOT NULL THEN coalesce(sl.name, l.drawn)
    END AS spend_limit,
    l.memo,
    needs.receipt AS receipts_required,
    l.receipts,
    needs.receipt AND l.receipts = 0 AS receipt_missing,
    l.approval_stage,
    l.status,
    l.payment_status,
    l.expense_id,
    l.parent_expense_id,
    l.transaction_id,
    l.transactions,
    l.trip_id,
    l.submitted_at,
    l.approved_at,
    l.completed_at,
    l.exported_at,
    l.exported_at IS NOT NULL AS is_exported,
    l.updated_at,
    l.dashboard_url
FROM lines l
CROSS JOIN LATERAL (
    SELECT coalesce(
        l.kind IN ('card', 'reimbursement')
        AND l.stage IN ('pending', 'settled')
        AND l.amount_minor > 0
        AND (l.status IN ('VOID', 'CANCELED')) IS NOT TRUE,
        false
    ) AS receipt
) needs
LEFT JOIN merchants_of n ON n.raw = l.merchant_raw
LEFT JOIN merchant_categories mc ON mc.mcc = l.mcc
LEFT JOIN people p ON p.user_id = l.user_id
LEFT JOIN departments d ON d.id = l.department_id AND d._deleted_at IS NULL
LEFT JOIN locations o ON o.id = l.location_id AND o._deleted_at IS NULL
LEFT JOIN legal_entities le ON le.id = l.legal_entity_id AND le._deleted_at IS NULL
LEFT JOIN {history}.users h
    ON h.id = l.user_id
    AND h._valid_from < (l.spend_date + 1)::timestamp AT TIME ZONE 'UTC'
    AND (h._valid_to IS NULL OR h._valid_to >= (l.spend_date + 1)::timestamp AT TIME ZONE 'UTC')
LEFT JOIN departments d_then ON d_then.id = h.department_id
LEFT JOIN locations o_then ON o_then.id = h.location_id
LEFT JOIN cost_centers c_then ON c_then.id = h.cost_center_id
LEFT JOIN legal_entities le_then ON le_then.id = h.legal_entity_id
LEFT JOIN cards k ON k.id = l.card_id AND k._deleted_at IS NULL
LEFT JOIN spend_limits sl ON sl.id = l.drawn_id AND sl._deleted_at IS NULL
LEFT JOIN budgets b ON b.budget_id = sl.parent_budget_id AND b._deleted_at IS NULL
LEFT JOIN budgets b_own ON b_own.budget_id = l.drawn_id AND b_own._deleted_at IS NULL
