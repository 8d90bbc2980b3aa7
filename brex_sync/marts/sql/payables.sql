/*
description: >-
  Bills, with vendor and due date, and transfers that are still to leave. Brex's bills are expenses of
  type BILLPAY, which have neither; both are in the accounting records of source BILL. A record names
  its bill or not; one that does not is put to a bill of the same amount, memo and day of approval or
  payment, one to one. Brex does not state the unit of a record's amount; it is taken from the newest
  records that name an expense, by comparing the two. Bills and transfers must not be added up
  together, as a transfer may pay a bill.
grain: One row per bill, and per transfer that is scheduled, pending or on its way.
key: [connection, payable_id]
sources: [spend, expenses, accounting_records, vendors, transfers]
stored: false
columns:
  connection: The connection.
  payable_id: >-
    The bill's expense, its record where it has no expense, or the transfer, with what it is before a
    colon.
  kind: bill or transfer.
  bill_id: The bill's expense; null where only its accounting record is known.
  accounting_record_id: The accounting record with vendor and due date; null where none is known.
  matched_by: >-
    How the record was found: named, the record names the expense; amount, memo and day; null where
    bill or record is alone.
  transfer_id: Brex's identifier of the transfer.
  vendor_id: Whom it is for, where it is a vendor.
  vendor: Name of the vendor; of a transfer to anyone else the name shown for it.
  invoice_number: Number of the invoice.
  amount: Amount to pay, positive; null where only a record is known and its unit is not.
  amount_minor: The same in the currency's smallest unit, exact.
  amount_currency: ISO 4217 currency of the amount.
  amount_usd: Amount in US dollars, where Brex gives it.
  amount_unit_known: >-
    Whether the amount is from the expense or transfer, or from a record whose unit could be told.
  bill_date: Day (UTC) of the bill, as in spend; of a transfer the day it was made.
  due_date: Day (UTC) on which the bill is due; null where Brex says none.
  process_date: Day (UTC) on which the transfer is to be processed; null where Brex says none.
  pay_on: The due date of a bill, the process date of a transfer.
  status: Status of the expense or transfer, as Brex says it.
  payment_status: Payment status of the expense, as Brex says it.
  is_paid: >-
    Whether it is paid; null where only a record is known, and no record of its payment.
  is_open: Whether it is neither known to be paid, nor voided, nor declined.
  paid_on: Day (UTC) on which it was paid; null where it is not, or Brex does not say when.
  days_overdue: >-
    Days (UTC) since the due date, where that is past and the bill is open; null otherwise.
  memo: Memo of the bill; description of the transfer.
  dashboard_url: Where to see the bill at Brex.
ties:
  bills_are_spend:
    description: Per currency, bills with an expense add up to spend's bills.
    query: >-
      SELECT s.*, p.* FROM (SELECT amount_currency, count(*) AS lines, sum(amount_minor) AS total
      FROM spend WHERE kind = 'bill' GROUP BY 1) s
      FULL JOIN (SELECT amount_currency, count(*) AS lines, sum(amount_minor) AS total
      FROM payables WHERE bill_id IS NOT NULL GROUP BY 1) p ON p.amount_currency = s.amount_currency
      WHERE s.lines IS DISTINCT FROM p.lines OR s.total IS DISTINCT FROM p.total
  records_are_there_once:
    description: Every accounting record of a bill is here at most once.
    query: >-
      SELECT accounting_record_id FROM payables WHERE accounting_record_id IS NOT NULL
      GROUP BY 1 HAVING count(*) > 1
  transfers_are_there_once:
    description: Every outgoing transfer to others that has not left is here once.
    query: >-
      SELECT t.id FROM transfers t LEFT JOIN payables p ON p.transfer_id = t.id
      WHERE t._deleted_at IS NULL AND t.status IN ('SCHEDULED', 'PENDING_APPROVAL', 'PROCESSING')
      AND t.amount_minor > 0 AND t.payment_type IS DISTINCT FROM 'BOOK_TRANSFER'
      AND t.counterparty_type IS DISTINCT FROM 'BOOK_TRANSFER'
      GROUP BY 1 HAVING count(p.transfer_id) <> 1
*/
WITH compared AS (
    -- Amounts that are the same in both units, such as yen, tell nothing.
    SELECT
        r.amount_amount = e.minor AS is_minor,
        r.amount_amount = e.amount AS is_major
    FROM (
        SELECT * FROM accounting_records
        WHERE _deleted_at IS NULL AND source_id IS NOT NULL AND amount_amount IS NOT NULL
        ORDER BY _changed_at DESC
        LIMIT 1000
    ) r
    JOIN expenses x ON x.id = r.source_id
    CROSS JOIN LATERAL (
        VALUES
            (x.usd_equivalent_amount, x.usd_equivalent_amount_minor,
             x.usd_equivalent_amount_currency),
            (x.billing_amount, x.billing_amount_minor, x.billing_amount_currency),
            (x.original_amount, x.original_amount_minor, x.original_amount_currency)
    ) e (amount, minor, currency)
    WHERE coalesce(e.currency, 'USD') = r.amount_currency AND e.amount <> e.minor
),
unit AS (
    SELECT
        CASE
            WHEN bool_or(is_minor) AND NOT bool_or(is_major) THEN 'minor'
            WHEN bool_or(is_major) AND NOT bool_or(is_minor) THEN 'major'
        END AS unit
    FROM compared
),
bill AS (
    SELECT
        s.*,
        (s.completed_at AT TIME ZONE 'UTC')::date AS completed_on,
        s.stage = 'settled' AS is_paid
    FROM spend s
    WHERE s.kind = 'bill'
),
record AS (
    SELECT
        r.*,
        (r.due_at AT TIME ZONE 'UTC')::date AS due_date,
        (r.posted_at AT TIME ZONE 'UTC')::date AS posted_on,
        coalesce(r.type, '') IN (
            'BILL_EXPENSE_PAYMENT', 'BILL_EXPENSE_CARD_PAYMENT', 'BILL_MONEY_MOVEMENT_PAYIN'
        ) AS is_payment,
        u.unit IS NOT NULL AS unit_known,
        CASE u.unit WHEN 'major' THEN r.amount_amount WHEN 'minor' THEN r.amount_amount * c.size END
            AS amount,
        CASE u.unit WHEN 'major' THEN r.amount_amount / c.size WHEN 'minor' THEN r.amount_amount END
            AS minor
    FROM accounting_records r
    CROSS JOIN unit u
    CROSS JOIN LATERAL (
        -- One smallest unit in major units, by ISO 4217.
        SELECT CASE
            WHEN r.amount_currency IN (
                'BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI',
                'VND', 'VUV', 'XAF', 'XOF', 'XPF'
            ) THEN 1
            WHEN r.amount_currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 0.001
            WHEN r.amount_currency IN ('CLF', 'UYW') THEN 0.0001
            ELSE 0.01
        END AS size
    ) c
    WHERE r._deleted_at IS NULL AND r.source_type = 'BILL'
),
named AS (
    SELECT DISTINCT ON (r.source_id) r.source_id AS expense_id, r.id AS record_id
    FROM record r
    JOIN bill b ON b.expense_id = r.source_id
    WHERE NOT r.is_payment
    ORDER BY r.source_id, r.version DESC, r.id
),
bill_left AS (
    SELECT
        b.expense_id,
        alike.*,
        row_number() OVER (PARTITION BY alike.currency, alike.minor, alike.memo, alike.day
                           ORDER BY b.expense_id) AS number
    FROM bill b
    CROSS JOIN LATERAL (
        SELECT b.amount_currency AS currency, b.amount_minor AS minor, coalesce(b.memo, '') AS memo,
               coalesce(b.posted_date, (b.approved_at AT TIME ZONE 'UTC')::date) AS day
    ) alike
    WHERE b.expense_id NOT IN (SELECT expense_id FROM named)
),
record_left AS (
    SELECT
        r.id AS record_id,
        alike.*,
        row_number() OVER (PARTITION BY alike.currency, alike.minor, alike.memo, alike.day
                           ORDER BY r.id) AS number
    FROM record r
    CROSS JOIN LATERAL (
        SELECT r.amount_currency AS currency, r.minor, coalesce(r.memo, '') AS memo,
               r.posted_on AS day
    ) alike
    WHERE r.source_id IS NULL AND NOT r.is_payment
),
matched AS (
    SELECT expense_id, record_id, 'named' AS matched_by FROM named
    UNION ALL
    SELECT b.expense_id, r.record_id, 'amount, memo and day'
    FROM bill_left b
    JOIN record_left r USING (currency, minor, memo, day, number)
),
paid AS (
    SELECT source_id, max(posted_on) AS paid_on FROM record
    WHERE is_payment AND source_id IS NOT NULL
    GROUP BY source_id
),
payable AS (
    SELECT
        CASE WHEN b.expense_id IS NULL THEN 'record:' || r.id ELSE 'expense:' || b.expense_id END
            AS payable_id,
        'bill' AS kind,
        b.expense_id AS bill_id,
        r.id AS accounting_record_id,
        m.matched_by,
        NULL::text AS transfer_id,
        r.vendor_id,
        coalesce(v.company_name, r.vendor_name) AS vendor,
        r.invoice_number,
        CASE WHEN b.expense_id IS NULL THEN r.amount ELSE b.amount END AS amount,
        CASE WHEN b.expense_id IS NULL THEN r.minor ELSE b.amount_minor END::bigint AS amount_minor,
        coalesce(b.amount_currency, r.amount_currency, 'USD') AS amount_currency,
        CASE
            WHEN b.expense_id IS NOT NULL THEN b.amount_usd
            WHEN r.amount_currency = 'USD' THEN r.amount
        END AS amount_usd,
        b.expense_id IS NOT NULL OR r.unit_known AS amount_unit_known,
        coalesce(b.spend_date, r.posted_on) AS bill_date,
        r.due_date,
        NULL::date AS process_date,
        r.due_date AS pay_on,
        b.status,
        b.payment_status,
        CASE
            WHEN p.paid_on IS NOT NULL THEN true
            WHEN b.expense_id IS NOT NULL THEN coalesce(b.is_paid, false)
        END AS is_paid,
        CASE WHEN b.is_paid THEN coalesce(b.completed_on, p.paid_on) ELSE p.paid_on END AS paid_on,
        coalesce(b.stage IN ('void', 'declined'), false) AS is_off,
        coalesce(b.memo, r.memo) AS memo,
        b.dashboard_url
    FROM bill b
    FULL JOIN matched m ON m.expense_id = b.expense_id
    FULL JOIN (SELECT * FROM record WHERE NOT is_payment) r ON r.id = m.record_id
    LEFT JOIN paid p ON p.source_id = coalesce(b.expense_id, r.source_id)
    LEFT JOIN vendors v ON v.id = r.vendor_id
    WHERE m.record_id IS NOT NULL
       OR b.expense_id IS NOT NULL
       OR r.source_id IS NULL
       OR r.source_id NOT IN (SELECT expense_id FROM named)
    UNION ALL
    SELECT
        'transfer:' || t.id,
        'transfer',
        NULL,
        NULL,
        NULL,
        t.id,
        v.id,
        coalesce(v.company_name, t.display_name),
        NULL,
        t.amount,
        t.amount_minor,
        coalesce(t.amount_currency, 'USD'),
        CASE WHEN coalesce(t.amount_currency, 'USD') = 'USD' THEN t.amount END,
        true,
        t.created_at,
        NULL,
        t.process_date,
        t.process_date,
        t.status,
        NULL,
        false,
        NULL,
        false,
        t.description,
        NULL
    FROM transfers t
    LEFT JOIN vendors v ON t.counterparty_type = 'VENDOR' AND v.id = t.counterparty_id
    WHERE t._deleted_at IS NULL
      AND t.status IN ('SCHEDULED', 'PENDING_APPROVAL', 'PROCESSING')
      AND (t.amount_minor > 0 OR t.amount_minor IS NULL)
      AND t.payment_type IS DISTINCT FROM 'BOOK_TRANSFER'
      AND t.counterparty_type IS DISTINCT FROM 'BOOK_TRANSFER'
)
SELECT
    {connection}::text AS connection,
    payable_id,
    kind,
    bill_id,
    accounting_record_id,
    matched_by,
    transfer_id,
    vendor_id,
    vendor,
    invoice_number,
    amount,
    amount_minor,
    amount_currency,
    amount_usd,
    amount_unit_known,
    bill_date,
    due_date,
    process_date,
    pay_on,
    status,
    payment_status,
    is_paid,
    is_open,
    paid_on,
    CASE WHEN is_open AND due_date < today.day THEN today.day - due_date END AS days_overdue,
    memo,
    dashboard_url
FROM payable
CROSS JOIN LATERAL (SELECT is_paid IS NOT TRUE AND NOT is_off AS is_open) o
CROSS JOIN (SELECT (now() AT TIME ZONE 'UTC')::date AS day) today
