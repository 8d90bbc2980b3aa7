SELECT
    'card'::text AS account_kind,
    t.id,
    NULL::text AS cash_account_id,
    t.posted_at_date,
    t.initiated_at_date,
    t.type,
    t.description,
    t.amount,
    t.amount_minor,
    t.amount_currency,
    t.merchant_raw_descriptor,
    t.merchant_mcc,
    t.merchant_country,
    t.card_id,
    c.card_name,
    c.last_four AS card_last_four,
    c.owner_user_id AS user_id,
    nullif(concat_ws(' ', u.first_name, u.last_name), '') AS cardholder,
    u.email AS cardholder_email,
    t.expense_id,
    NULL::text AS transfer_id,
    t._changed_at
FROM "{schema}".card_transactions t
LEFT JOIN "{schema}".cards c ON c.id = t.card_id
LEFT JOIN "{schema}".users u ON u.id = c.owner_user_id
WHERE t._deleted_at IS NULL
UNION ALL
SELECT
    'cash',
    id,
    cash_account_id,
    posted_at_date,
    initiated_at_date,
    type,
    description,
    amount,
    amount_minor,
    amount_currency,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    transfer_id,
    _changed_at
FROM "{schema}".cash_transactions
WHERE _deleted_at IS NULL
