/*
description: >-
  What people paid themselves and are paid back, and what was claimed back from them, in one of eight
  states, which Brex spreads over two columns. Brex's clawbacks are positive; here, as in spend, they
  are negative, as that money comes back.
grain: One row per reimbursement or clawback; of a split one, one per part.
key: [connection, expense_id]
sources: [spend]
stored: false
columns:
  connection: The connection.
  expense_id: Brex's identifier of the expense.
  kind: reimbursement or clawback.
  user_id: The user who is paid back, or pays back.
  person: Name of that user. Personal data.
  department_id: Department of that user, as it is now.
  department: Name of that department.
  spend_date: Day (UTC) of the spending, as in spend.
  merchant: Merchant, as in spend.
  amount: Amount; a clawback is negative.
  amount_minor: The same in the currency's smallest unit, exact.
  amount_currency: ISO 4217 currency of the amount.
  amount_usd: Amount in US dollars, where Brex gives it.
  state: >-
    draft; submitted: waits for a decision; approved: is to be paid; paying: its payment is scheduled
    or on its way; paid; rejected: voided or cancelled, or the payment was refused; clawed back: a
    clawback, or a payment that was or is being returned; unknown: Brex says neither a status nor a
    payment status.
  submitted_on: Day (UTC) on which it was handed in.
  approved_on: Day (UTC) on which it was approved.
  paid_on: Day (UTC) on which it was paid; null where it is not paid, or Brex does not say when.
  days_waiting: >-
    Days from being handed in until it was paid, or until today (UTC) while it is submitted, approved
    or paying; null otherwise.
  status: Status, as Brex says it.
  payment_status: Payment status, as Brex says it.
  memo: Memo.
  dashboard_url: Where to see it at Brex.
ties:
  lines_are_spend:
    description: Per currency, the amounts add up to spend's reimbursements and clawbacks.
    query: >-
      SELECT s.*, r.* FROM (SELECT amount_currency, count(*) AS lines, sum(amount_minor) AS total
      FROM spend WHERE kind IN ('reimbursement', 'clawback') GROUP BY 1) s
      FULL JOIN (SELECT amount_currency, count(*) AS lines, sum(amount_minor) AS total
      FROM reimbursements GROUP BY 1) r ON r.amount_currency = s.amount_currency
      WHERE s.lines IS DISTINCT FROM r.lines OR s.total IS DISTINCT FROM r.total
*/
WITH claim AS (
    SELECT
        s.*,
        (s.submitted_at AT TIME ZONE 'UTC')::date AS submitted_on,
        (s.approved_at AT TIME ZONE 'UTC')::date AS approved_on,
        (s.completed_at AT TIME ZONE 'UTC')::date AS completed_on,
        CASE
            WHEN s.payment_status = 'DECLINED' THEN 'rejected'
            WHEN s.payment_status IN ('REFUNDING', 'REFUNDED') THEN 'clawed back'
            WHEN s.payment_status IN ('CLEARED', 'CREDITED', 'CASH_ADVANCE')
            THEN CASE WHEN s.kind = 'clawback' THEN 'clawed back' ELSE 'paid' END
            WHEN s.status IN ('VOID', 'CANCELED') OR s.payment_status = 'CANCELED' THEN 'rejected'
            WHEN s.kind = 'clawback' THEN 'clawed back'
            WHEN s.payment_status = 'PROCESSING' THEN 'paying'
            WHEN s.status = 'SETTLED' THEN 'paid'
            WHEN s.status = 'DRAFT' THEN 'draft'
            WHEN s.status = 'SUBMITTED' THEN 'submitted'
            WHEN s.status = 'OUT_OF_POLICY' AND s.approved_at IS NULL THEN 'submitted'
            WHEN s.payment_status = 'SCHEDULED' THEN 'paying'
            WHEN s.status IN ('APPROVED', 'OUT_OF_POLICY') THEN 'approved'
            ELSE 'unknown'
        END AS state
    FROM spend s
    WHERE s.kind IN ('reimbursement', 'clawback')
)
SELECT
    connection,
    expense_id,
    kind,
    user_id,
    person,
    department_id,
    department,
    spend_date,
    merchant,
    amount,
    amount_minor,
    amount_currency,
    amount_usd,
    state,
    submitted_on,
    approved_on,
    CASE WHEN state = 'paid' THEN completed_on END AS paid_on,
    CASE
        WHEN state = 'paid' THEN completed_on - submitted_on
        WHEN state IN ('submitted', 'approved', 'paying')
        THEN (now() AT TIME ZONE 'UTC')::date - submitted_on
    END AS days_waiting,
    status,
    payment_status,
    memo,
    dashboard_url
FROM claim
