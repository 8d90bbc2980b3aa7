"""The company's page over HTTP: what it shows, where its numbers lead, and what it says plainly."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from brex_sync.pages.panels import PANELS
from brex_sync_tests.pages.conftest import Visit, make_marts


def section(html: str, key: str) -> str:
    """A panel's part of the page."""
    found = re.search(rf'<section class="panel" id="{key}".*?</section>', html, re.DOTALL)
    assert found, key
    return found[0]


def test_every_panel_is_there_with_a_table_or_a_sentence(visit: Visit) -> None:
    html = visit.get().text
    for key in PANELS:
        part = section(html, key)
        assert "<table" in part or "<svg" in part or 'class="empty"' in part
        assert part.count("<table") == part.count("<caption>")


def test_spend_is_summed_as_usd_equivalents_which_are_labelled_so(visit: Visit) -> None:
    part = section(visit.get().text, "spend")
    assert "150.25 USD" in part
    assert "USD equivalent" in part
    assert "1 line without USD amount" in part
    assert "80.00 USD" in part
    assert "999" not in part


def test_with_a_currency_only_its_amounts_are_summed(visit: Visit) -> None:
    part = section(visit.get(currency="EUR").text, "spend")
    assert "10.00 EUR" in part
    assert "USD" not in part


@pytest.mark.parametrize(
    ("filters", "sums"),
    [
        ({"department": "Engineering"}, "100.00 USD"),
        ({"department": 'Sales & "Success"'}, "50.25 USD"),
        ({"person": "u2"}, "50.25 USD"),
        ({"person": "u3", "currency": "XTS"}, "7.00 XTS"),
        ({"department": "-"}, "not known"),
    ],
)
def test_filters_narrow_what_is_summed(visit: Visit, filters: dict[str, str], sums: str) -> None:
    assert sums in section(visit.get(**filters).text, "spend")


def test_filters_that_are_chosen_stay_chosen_in_the_form(visit: Visit) -> None:
    page = visit.page(department="Engineering", person="u1", currency="USD")
    chosen = [attrs["value"] for tag, attrs in page.tags if tag == "option" and "selected" in attrs]
    assert set(chosen) >= {"brex", "Engineering", "u1", "USD"}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("month", "2026-13", "not a month"),
        ("month", "11/2026", "not a month"),
        ("month", "2999-01", "has not begun"),
        ("connection", "nobody", "No connection is called"),
        ("department", "<script>", "No department is called"),
        ("person", "u9", "No person has the id"),
        ("currency", "dollars", "not the code of a currency"),
        ("person", "a\x00b", "character in it that no name has"),
        ("person", "a" * 300, "more than 200 characters"),
        ("colour", "red", "No filter is called"),
    ],
)
def test_a_filter_that_is_none_is_told_in_one_sentence(
    visit: Visit, name: str, value: str, told: str
) -> None:
    answer = visit.get(**{name: value})
    assert answer.status_code == 400
    assert told in answer.text
    assert "<script>" not in answer.text
    assert "Traceback" not in answer.text


def test_every_sum_leads_to_rows_that_sum_up_to_it(visit: Visit) -> None:
    page = visit.page()
    rows = visit.page(page.links["150.25 USD"])
    assert "150.25 USD" in rows.text
    assert "1 line without USD amount" in rows.text
    assert "999" not in rows.text


@pytest.mark.parametrize("key", PANELS)
def test_every_link_of_a_panel_leads_somewhere(visit: Visit, key: str) -> None:
    part = section(visit.get().text, key)
    for href in {h.replace("&amp;", "&") for h in re.findall(r'href="(/[^"]*)"', part)}:
        answer = visit.get(href)
        assert answer.status_code == 200, (href, answer.text)
        assert "No row fits" not in answer.text or key in ("bills", "close"), href


def test_texts_of_others_are_shown_as_they_are_written(visit: Visit) -> None:
    answer = visit.get()
    assert "<script" not in answer.text
    assert "<b>" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    assert "&lt;b&gt;Café&lt;/b&gt; &#34;quoted&#34; \\u202eevil" in answer.text
    assert "\u202e" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_links_of_rows_go_to_brex_by_https_alone(visit: Visit) -> None:
    bills = visit.page("/rows/spend", line_id="l1")
    assert bills.links["open"] == "https://dashboard.brex.com/expenses/l1"
    approvals = visit.get("/rows/approvals").text
    assert "javascript:alert(1)" in approvals
    assert 'href="javascript' not in approvals


def test_the_page_needs_no_script_and_nothing_from_elsewhere(visit: Visit) -> None:
    page = visit.page()
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "img", "object", "embed"}
    assert all("style" not in attrs for _, attrs in page.tags)
    style = [a["href"] for t, a in page.tags if t == "link"]
    assert style == ["/page.css"]
    assert visit.get("/page.css").headers["content-type"].startswith("text/css")
    assert "url(" not in visit.get("/page.css").text


def test_what_a_screen_reader_needs_is_there(visit: Visit) -> None:
    page = visit.page()
    tags = [tag for tag, _ in page.tags]
    assert tags.count("main") == tags.count("h1") == 1
    assert all("scope" in attrs for tag, attrs in page.tags if tag == "th")
    drawn = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert all(a.get("role") == "img" or a.get("aria-hidden") == "true" for a in drawn)
    assert all(a["aria-label"] for a in drawn if a.get("role") == "img")
    assert page.links["Skip to the numbers"] == "#content"


def test_what_is_not_known_to_be_right_is_said(visit: Visit) -> None:
    html = visit.get().text
    assert "1 balance of these 90 days not certain" in section(html, "cash")
    assert "1 bill with an amount of unknown unit" in section(html, "bills")
    assert "1 of 2" in section(html, "sureness")
    assert "Nothing has been synced yet" in html


def test_a_subscription_that_costs_more_is_shown_with_both_prices(visit: Visit) -> None:
    part = section(visit.get().text, "subscriptions")
    assert "120.00 USD" in part
    assert "100.00 USD" in part
    assert "price +20 % on" in part
    assert "Old Tool" not in part


def test_a_budget_leads_to_the_lines_of_what_is_nested_in_it_too(visit: Visit) -> None:
    page = visit.page()
    assert "budget id is b1 or b2" in visit.page(page.links["1,200.00 USD"]).text
    assert "budget id is b2" in visit.page(page.links["50.25 USD"]).text


def test_checks_of_marts_that_fail_are_named(visit: Visit) -> None:
    part = section(visit.get().text, "sureness")
    assert "2 of 3" in part
    assert "spend fails lines_are_leaves" in part
    assert "payables is not up to date: it reads spend" in part
    assert "/assets/brex_marts/spend?view=checks" in part


def test_dagster_s_pages_are_linked_under_the_name_we_were_reached_by(visit: Visit) -> None:
    page = visit.page()
    assert page.links["Dagster"] == "http://127.0.0.1:3000/"
    users = page.links["users"] if "users" in page.links else page.links["card_accounts"]
    assert urlsplit(users).path.startswith("/assets/brex/")
    assert parse_qs(urlsplit(users).query) == {"view": ["checks"]}


def test_without_marts_the_page_says_what_is_missing_and_why(new_visit: Visit) -> None:
    answer = new_visit.get()
    assert answer.status_code == 200
    assert "Nothing has been synced yet" in answer.text
    assert "the mart spend is made once a first sync has ended" in section(answer.text, "spend")
    assert new_visit.get("/rows/spend").status_code == 404
    assert new_visit.get("/panels/spend.csv").status_code == 404
    assert new_visit.get("/panels/nothing.csv").status_code == 404
    assert new_visit.get(connection="brex_uk").status_code == 200


def test_a_mart_that_cannot_be_read_costs_no_more_than_its_panel(new_visit: Visit) -> None:
    make_marts(new_visit.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    with new_visit.engine.begin() as db:
        db.exec_driver_sql("ALTER TABLE brex_marts.payables DROP COLUMN vendor")
    html = new_visit.get().text
    assert "This cannot be read now. Postgres: column" in section(html, "bills")
    assert "150.25 USD" in section(html, "spend")
    assert "Ada Lovelace" in section(html, "receipts")


def test_empty_marts_are_told_from_missing_ones(new_visit: Visit) -> None:
    make_marts(new_visit.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    with new_visit.engine.begin() as db:
        for table in ("spend", "cash_daily", "payables", "merchants", "approvals", "people"):
            db.exec_driver_sql(f"TRUNCATE brex_marts.{table}")
    html = new_visit.get().text
    assert "0.00 USD" in section(html, "spend")
    assert "Nothing was spent in either month." in section(html, "departments")
    assert "There is no cash account." in section(html, "cash")
    assert "No bill is unpaid." in section(html, "bills")
    assert "No expense waits for approval." in section(html, "approvals")
