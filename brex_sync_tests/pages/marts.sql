-- Marts of a small company, as tables: what the page reads, by the names that the marts have.
CREATE SCHEMA brex_marts;
SET search_path TO brex_marts;
CREATE FUNCTION t() RETURNS date LANGUAGE sql AS $$ SELECT (now() AT TIME ZONE 'UTC')::date $$;

CREATE TABLE people (connection text, user_id text, name text, email text, department text,
    is_active bool);
INSERT INTO people VALUES
    ('brex', 'u1', 'Ada Lovelace', 'ada@example.com', 'Engineering', true),
    ('brex', 'u2', 'Grace Hopper', 'grace@example.com', 'Sales & "Success"', true),
    ('brex', 'u3', '<script>alert(1)</script>', 'x@example.com', NULL, true);

CREATE TABLE spend (connection text, line_id text, source text, kind text, stage text, counts bool,
    spend_date date, spend_month date, posted_date date, amount numeric, amount_minor bigint,
    amount_currency text, amount_usd numeric, merchant text, category text, user_id text,
    person text, department text, card_id text, budget_id text, spend_limit_id text, memo text,
    updated_at timestamptz, dashboard_url text, status text, approval_stage text,
    receipt_missing bool, is_exported bool);
INSERT INTO spend
SELECT 'brex', l, 'expense', 'card', s, s <> 'declined', d, date_trunc('month', d)::date, d, a,
    (a * 100)::bigint, c, CASE WHEN c = 'XTS' THEN NULL WHEN c = 'EUR' THEN a * 2 ELSE a END, m, g,
    p.user_id, p.name, p.department, 'card1', CASE l WHEN 'l2' THEN 'b2' ELSE 'b1' END, 'limit1', 'memo', now(),
    'https://dashboard.brex.com/expenses/' || l, 'DRAFT', 'pending', true, false
FROM (VALUES
    ('l1', 'settled', date_trunc('month', t())::date, 100.00, 'USD', 'Slack', 'SOFTWARE', 'u1'),
    ('l2', 'settled', t(), 50.25, 'USD', E'<b>Café</b> "quoted" \u202Eevil', 'MEALS', 'u2'),
    ('l3', 'pending', t(), 10.00, 'EUR', '=HYPERLINK("http://evil.example")', 'MEALS', 'u1'),
    ('l4', 'settled', t(), 7.00, 'XTS', 'Nowhere', NULL, 'u3'),
    ('l5', 'declined', t(), 999.00, 'USD', 'Declined Inc', 'MEALS', 'u1'),
    ('l6', 'settled', (date_trunc('month', t()) - interval '1 month')::date, 80.00, 'USD', 'Slack',
        'SOFTWARE', 'u1'),
    ('l7', 'refunded', t(), -20.00, 'USD', 'Slack', 'SOFTWARE', 'u1')
) v (l, s, d, a, c, m, g, u) JOIN people p ON p.user_id = v.u;

CREATE TABLE merchants (connection text, merchant text, amount_currency text, first_seen date,
    last_seen date, lines int, amount numeric, amount_usd numeric, cadence text,
    is_subscription bool, last_amount numeric, price_change numeric, price_changed_on date,
    next_expected date);
INSERT INTO merchants VALUES
    ('brex', 'Slack', 'USD', t() - 100, t(), 4, 400, 400, 'monthly', true, 120, 20, t() - 10,
        t() + 20),
    ('brex', 'Old Tool', 'USD', t() - 900, t(), 30, 400, 400, 'monthly', true, 10, NULL, NULL, t());

CREATE TABLE cash_daily (connection text, cash_account_id text, account text, amount_currency text,
    day date, inflow numeric, outflow numeric, closing numeric, closing_minor bigint,
    balance_source text, is_certain bool);
INSERT INTO cash_daily
SELECT 'brex', 'c1', 'Operating', 'USD', d, 10, 5, 1000 + 5 * n, 100000 + 500 * n, 'statement', n <> 3
FROM generate_series(0, 90) n, LATERAL (SELECT t() - 90 + n AS d) x;

CREATE TABLE card_utilisation (connection text, card_id text, card_name text, last_four text,
    status text, user_id text, person text, department text, limit_source text, limit_period text,
    limit_amount numeric, limit_amount_currency text, used_amount numeric, used_fraction numeric,
    expires_on date);
INSERT INTO card_utilisation VALUES
    ('brex', 'card1', 'Cloud', '4242', 'ACTIVE', 'u1', 'Ada Lovelace', 'Engineering', 'card',
        'MONTHLY', 1000, 'USD', 950, 0.95, NULL),
    ('brex', 'card2', 'Travel', '1111', 'ACTIVE', 'u2', 'Grace Hopper', 'Sales & "Success"', 'card',
        'MONTHLY', 1000, 'USD', 100, 0.10, NULL);

CREATE TABLE budget_performance (connection text, budget_id text, kind text, name text,
    parent_budget_id text, path text, depth int, period_type text, period_start date, period_end date,
    is_current bool, limit_amount numeric, limit_amount_currency text, spent_amount numeric,
    spent_amount_currency text, used_fraction numeric,
    lines_without_amount int);
INSERT INTO budget_performance VALUES
    ('brex', 'b1', 'budget', 'Engineering', NULL, 'Engineering', 0, 'MONTHLY',
        date_trunc('month', t()), (date_trunc('month', t()) + interval '1 month - 1 day')::date,
        true, 1000, 'USD', 1200, 'USD', 1.2, 0),
    ('brex', 'b2', 'budget', 'People', 'b1', 'Engineering / People', 1, 'MONTHLY',
        date_trunc('month', t()), (date_trunc('month', t()) + interval '1 month - 1 day')::date,
        true, 1000, 'USD', 50.25, 'USD', 0.05, 0),
    ('brex', 'limit1', 'spend_limit', 'Cloud', 'b1', 'Engineering / Cloud', 1, 'MONTHLY',
        date_trunc('month', t()), (date_trunc('month', t()) + interval '1 month - 1 day')::date,
        true, NULL, NULL, 100, 'USD', NULL, 2);

CREATE TABLE missing_receipts (connection text, line_id text, user_id text, person text,
    email text, department text, spend_date date, days_missing int, merchant text, amount numeric,
    amount_currency text, amount_usd numeric, dashboard_url text);
INSERT INTO missing_receipts
SELECT connection, line_id, user_id, person, NULL, department, spend_date, 1, merchant, amount,
    amount_currency, amount_usd, dashboard_url
FROM spend WHERE line_id IN ('l1', 'l2', 'l4');

CREATE TABLE approvals (connection text, expense_id text, step int, is_next bool, reviewer_id text,
    reviewer text, days_pending int, user_id text, person text, department text, amount numeric,
    amount_currency text, amount_usd numeric, dashboard_url text);
INSERT INTO approvals VALUES
    ('brex', 'l1', 0, true, 'u2', 'Grace Hopper', 4, 'u1', 'Ada Lovelace', 'Engineering', 100,
        'USD', 100, 'javascript:alert(1)'),
    ('brex', 'l1', 1, false, 'u9', 'Later', NULL, 'u1', 'Ada Lovelace', 'Engineering', 100,
        'USD', 100, NULL);

CREATE TABLE reimbursements (connection text, expense_id text, user_id text, person text,
    department text, amount numeric, amount_currency text, amount_usd numeric, state text,
    submitted_on date);
INSERT INTO reimbursements VALUES
    ('brex', 'r1', 'u1', 'Ada Lovelace', 'Engineering', 30, 'USD', 30, 'approved', t() - 3);

CREATE TABLE payables (connection text, kind text, bill_id text, transfer_id text, vendor text,
    invoice_number text, amount numeric, amount_currency text, amount_unit_known bool,
    due_date date, process_date date, status text, is_open bool, dashboard_url text);
INSERT INTO payables VALUES
    ('brex', 'bill', 'bill1', NULL, 'Acme', 'INV-1', 500, 'USD', true, t() - 2, NULL, 'APPROVED',
        true, 'https://dashboard.brex.com/bills/1'),
    ('brex', 'bill', 'bill2', NULL, 'Beta', 'INV-2', NULL, 'USD', false, t() + 3, NULL, 'APPROVED',
        true, NULL),
    ('brex', 'bill', 'bill3', NULL, 'Paid Ltd', 'INV-3', 5, 'USD', true, t() - 9, NULL, 'SETTLED',
        false, NULL),
    ('brex', 'transfer', NULL, 'tr1', 'Acme', NULL, 250, 'USD', true, NULL, t() + 1, 'SCHEDULED',
        true, NULL);

CREATE TABLE close_checklist (connection text, month date, item text, open int,
    amount_usd numeric, is_done bool, closed_on date, sort int);
INSERT INTO close_checklist
SELECT 'brex', (date_trunc('month', t()) - make_interval(months => n))::date, i,
    CASE WHEN n = 2 THEN 0 ELSE 3 END, 1, n = 2,
    CASE WHEN n = 2 THEN t() - 20 END, s
FROM generate_series(0, 2) n,
    (VALUES ('drafts', 1), ('missing receipts', 2), ('unapproved', 3)) v (i, s);

CREATE TABLE statement_reconciliation (connection text, account_kind text, account_id text,
    statement_id text, period_start date, period_end date, ties bool);
INSERT INTO statement_reconciliation VALUES
    ('brex', 'card', 'a', 's1', t() - 60, t() - 30, true),
    ('brex', 'cash', 'c1', 's2', t() - 60, t() - 30, false);

CREATE TABLE IF NOT EXISTS brex_sync.marts (connection text, mart text, stored bool, reads text[],
    refreshed_at timestamptz, ties jsonb, fault text);
INSERT INTO brex_sync.marts (connection, mart, stored, reads, refreshed_at, ties, fault) VALUES
    ('brex', 'spend', true, '{}', now(), '{"key_is_unique": {"broken": 0, "rows": []},
        "lines_are_leaves": {"broken": 2, "rows": []}}', NULL),
    ('brex', 'payables', false, '{}', now(), '{"key_is_unique": {"broken": 0, "rows": []}}',
        'it reads spend, which is not up to date');
