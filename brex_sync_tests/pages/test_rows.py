"""Rows of marts: chosen, sorted, in pages, and as files that no spreadsheet runs."""

import csv
import io

import httpx
import pytest

from brex_sync.pages.csv_file import safe
from brex_sync_tests.pages.conftest import Visit


def parsed(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


@pytest.mark.parametrize(
    ("conditions", "lines"),
    [
        ({"line_id": ["l1", "l2"]}, {"l1", "l2"}),
        ({"amount.from": "50.25", "amount.to": "100"}, {"l1", "l2", "l6"}),
        ({"amount_usd.empty": "true"}, {"l4"}),
        ({"counts": "false"}, {"l5"}),
        ({"category.not": ["SOFTWARE", "MEALS"]}, {"l4"}),
        ({"category.empty": "false", "amount_currency": "EUR"}, {"l3"}),
        ({"merchant": '<b>Café</b> "quoted" \u202eevil'}, {"l2"}),
        ({"spend_date.to": "1999-01-01"}, set()),
        ({"updated_at.from": "2020-01-01T00:00:00Z", "stage": "refunded"}, {"l7"}),
        ({"line_id": "' OR true --"}, set()),
    ],
)
def test_conditions_choose_rows(visit: Visit, conditions: dict[str, str], lines: set[str]) -> None:
    rows = parsed(visit.get("/rows/spend.csv", **conditions))
    assert {row["line_id"] for row in rows} == lines
    number = f"of {len(lines)}" if lines else "0 rows"
    assert number in visit.page("/rows/spend", **conditions).text


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ({"colour": "red"}, "no column and no filter called"),
        ({"amount.like": "1"}, "no column and no filter called"),
        ({'"; DROP TABLE spend': "1"}, "no column and no filter called"),
        ({"amount": "much"}, "is no number"),
        ({"amount": "NaN"}, "is no number"),
        ({"amount": "1e999999"}, "is no number"),
        ({"spend_date": "yesterday"}, "is no date"),
        ({"counts": "maybe"}, "is no truth"),
        ({"spend_date.from": ["2026-01-01", "2026-01-02"]}, "is there twice"),
        ({"sort": "colour"}, "no column called"),
        ({"page": "0"}, "is no page"),
        ({"page": "1" * 30}, "is no page"),
        ({"connection": "nobody"}, "No connection is called"),
    ],
)
def test_conditions_that_are_none_are_told_in_one_sentence(
    visit: Visit, conditions: dict[str, str], told: str
) -> None:
    for path in ("/rows/spend", "/rows/spend.csv"):
        answer = visit.get(path, **conditions)
        assert answer.status_code == 400
        assert told in answer.text.replace("&#39;", "'")


@pytest.mark.parametrize("mart", ["nothing", "pg_class", "t", "brex.users"])
def test_only_marts_are_shown(visit: Visit, mart: str) -> None:
    assert visit.get(f"/rows/{mart}").status_code == 404


def test_sums_are_of_one_currency_each(visit: Visit) -> None:
    page = visit.page("/rows/spend", counts="true")
    assert "In EUR 10.00 EUR" in page.text
    assert "In USD 210.25 USD" in page.text
    assert "In XTS 7.00 XTS" in page.text
    assert "USD equivalent 230.25 USD" in page.text


def test_headings_sort_and_pages_go_on(visit: Visit) -> None:
    with visit.engine.begin() as db:
        db.exec_driver_sql(
            "CREATE TABLE brex_marts.numbers AS SELECT 'brex' AS connection, n FROM "
            "generate_series(1, 250) n"
        )
    first = visit.page("/rows/numbers", sort="-n")
    assert "Rows 1 to 100 of 250" in first.text
    assert "250" in first.texts
    last = visit.page(visit.page(first.links["Next page"]).links["Next page"])
    assert "Rows 201 to 250 of 250" in last.text
    assert "Next page" not in last.links
    assert "Page before" in last.links
    assert [a for t, a in first.tags if t == "th" and a.get("aria-sort") == "descending"]
    assert first.links["n"].endswith("sort=n")
    with visit.engine.begin() as db:
        db.exec_driver_sql("DROP TABLE brex_marts.numbers")


def test_a_download_has_every_row_and_column_and_no_formula(visit: Visit) -> None:
    rows = {row["line_id"]: row for row in parsed(visit.get("/rows/spend.csv"))}
    assert len(rows) == 7
    assert rows["l3"]["merchant"] == '\'=HYPERLINK("http://evil.example")'
    assert rows["l7"]["amount"] == "-20.00"
    assert rows["l4"]["amount_usd"] == ""
    assert rows["l1"]["amount_minor"] == "10000"


def test_a_panel_s_table_is_downloaded_with_the_filters_of_the_page(visit: Visit) -> None:
    page = visit.page(person="u1")
    [href] = [a["href"] for t, a in page.tags if a.get("aria-label") == "Top merchants as CSV"]
    rows = parsed(visit.get(str(href)))
    assert {row["Merchant"] for row in rows} == {"Slack", '\'=HYPERLINK("http://evil.example")'}
    assert [row["Change"] for row in rows if row["Merchant"] == "Slack"] == ["0.00"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-1+1", "'-1+1"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("-12.50", "-12.50"),
        ("+12", "+12"),
        ("-12.50 EUR", "'-12.50 EUR"),
        ("plain = text", "plain = text"),
        (None, ""),
        (["=1"], '["=1"]'),
    ],
)
def test_a_cell_is_no_formula(text: object, written: str) -> None:
    assert safe(text) == written
