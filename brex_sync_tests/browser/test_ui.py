"""The Dagster UI as a person sees it, in Chromium. Screenshots land in docs/images."""

from typing import Any

import pytest

from brex_sync_tests.browser.conftest import look
from brex_sync_tests.e2e.conftest import Up
from brex_sync_tests.e2e.test_up import first_run

pytestmark = pytest.mark.browser


def test_the_asset_graph_shows_groups_with_tables_and_views(page: Any, up: Up) -> None:
    page.goto(f"{up.url}/asset-groups")
    box = page.get_by_text("transactions", exact=True).last
    box.wait_for(timeout=60_000)
    for group in ("team", "accounts", "expenses"):
        assert page.get_by_text(group, exact=True).count() > 0, group
    box.dblclick()
    look(page, "graph")
    for name in ("card_transactions", "cash_transactions"):
        assert page.get_by_text(name, exact=True).count() > 0, name


def test_transactions_show_a_picture_of_spend(page: Any, up: Up) -> None:
    page.goto(f"{up.url}/assets/brex/card_transactions?view=events")
    page.get_by_text("[Show Markdown]").first.click(timeout=60_000)
    look(page, "spend")
    assert "█" in page.content()


def test_the_first_run_is_green(page: Any, up: Up) -> None:
    page.goto(f"{up.url}/runs/{first_run(up)}")
    page.get_by_text("Success").first.wait_for(timeout=60_000)
    look(page, "run")


def test_a_table_shows_rows_columns_and_spend(page: Any, up: Up) -> None:
    page.goto(f"{up.url}/assets/brex/transactions")
    page.get_by_text("Card and cash transactions together").first.wait_for(timeout=60_000)
    look(page, "transactions")
    assert page.get_by_text("posted_at_date").count() > 0


def test_checks_are_shown_as_passed(page: Any, up: Up) -> None:
    page.goto(f"{up.url}/assets/brex/card_transactions?view=checks")
    page.get_by_text("rows_match_the_api").first.wait_for(timeout=60_000)
    look(page, "checks")
