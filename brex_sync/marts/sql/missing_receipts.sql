/*
description: >-
  Lines of spend that need a receipt and have none, with whom to ask. A receipt on a split expense
  counts for its parts; refunds, and what was declined or voided, need none.
grain: One row per line of spend without its receipt.
key: [connection, line_id]
sources: [spend, people]
stored: false
columns:
  connection: The connection.
  line_id: The line in spend.
  expense_id: Brex's identifier of the expense.
  user_id: The user who spent.
  person: Name of that user. Personal data.
  email: E-mail address of that user. Personal data.
  manager_id: That user's manager.
  manager: Name of that manager. Personal data.
  department_id: Department of that user, as it is now.
  department: Name of that department.
  spend_date: Day (UTC) of the spending, as in spend.
  days_missing: Days since then, until today (UTC).
  merchant: Merchant, as in spend.
  amount: Amount, as in spend.
  amount_minor: The same in the currency's smallest unit, exact.
  amount_currency: ISO 4217 currency of the amount.
  amount_usd: Amount in US dollars, where Brex gives it.
  memo: Memo.
  dashboard_url: Where to see it at Brex. A receipt is added there.
ties:
  lines_are_spend:
    description: Every line of spend whose receipt is missing is here, and nothing else.
    query: >-
      SELECT coalesce(s.line_id, m.line_id) FROM (SELECT * FROM spend WHERE counts AND receipt_missing)
      s FULL JOIN missing_receipts m ON m.line_id = s.line_id
      WHERE s.line_id IS NULL OR m.line_id IS NULL OR s.amount_minor IS DISTINCT FROM m.amount_minor
*/
SELECT
    s.connection,
    s.line_id,
    s.expense_id,
    s.user_id,
    s.person,
    p.email,
    p.manager_id,
    p.manager,
    s.department_id,
    s.department,
    s.spend_date,
    greatest((now() AT TIME ZONE 'UTC')::date - s.spend_date, 0) AS days_missing,
    s.merchant,
    s.amount,
    s.amount_minor,
    s.amount_currency,
    s.amount_usd,
    s.memo,
    s.dashboard_url
FROM spend s
LEFT JOIN people p ON p.user_id = s.user_id
WHERE s.counts AND s.receipt_missing
