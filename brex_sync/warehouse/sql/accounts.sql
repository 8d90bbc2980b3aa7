SELECT
    'card'::text AS account_kind,
    id,
    NULL::text AS name,
    status,
    current_balance,
    current_balance_minor,
    current_balance_currency,
    available_balance,
    available_balance_minor,
    available_balance_currency,
    account_limit,
    NULL::text AS account_number,
    NULL::boolean AS is_primary,
    _changed_at
FROM "{schema}".card_accounts
WHERE _deleted_at IS NULL
UNION ALL
SELECT
    'cash',
    id,
    name,
    status,
    current_balance,
    current_balance_minor,
    current_balance_currency,
    available_balance,
    available_balance_minor,
    available_balance_currency,
    NULL,
    account_number,
    "primary",
    _changed_at
FROM "{schema}".cash_accounts
WHERE _deleted_at IS NULL
