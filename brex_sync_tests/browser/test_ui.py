"""The Dagster UI as a person sees it, in Chromium. Screenshots land in docs/images."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from brex_sync_tests.e2e.conftest import Up, up
from brex_sync_tests.e2e.test_up import first_run

sync_api = pytest.importorskip("playwright.sync_api", reason="installed by make browser-test")

__all__ = ["up"]
IMAGES = Path(__file__).parents[2] / "docs" / "images"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def page(up: Up) -> Iterator["sync_api.Page"]:
    up.await_run(first_run(up))
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        yield context.new_page()
        browser.close()


def look(page: "sync_api.Page", name: str) -> None:
    page.wait_for_timeout(2500)
    page.screenshot(path=IMAGES / f"{name}.png")


def test_the_asset_graph_shows_tables_and_views(page: "sync_api.Page", up: Up) -> None:
    page.goto(f"{up.url}/locations/brex_sync/jobs/brex_sync")
    page.get_by_text("card_transactions").first.wait_for(timeout=60_000)
    look(page, "graph")
    for name in ("users", "cards", "accounts", "transactions"):
        assert page.get_by_text(name, exact=True).count() > 0, name


def test_the_first_run_is_green(page: "sync_api.Page", up: Up) -> None:
    page.goto(f"{up.url}/runs/{first_run(up)}")
    page.get_by_text("Success").first.wait_for(timeout=60_000)
    look(page, "run")


def test_a_table_shows_rows_columns_and_spend(page: "sync_api.Page", up: Up) -> None:
    page.goto(f"{up.url}/assets/brex/transactions")
    page.get_by_text("Card and cash transactions together").first.wait_for(timeout=60_000)
    look(page, "transactions")
    assert page.get_by_text("posted_at_date").count() > 0


def test_checks_are_shown_as_passed(page: "sync_api.Page", up: Up) -> None:
    page.goto(f"{up.url}/assets/brex/card_transactions?view=checks")
    page.get_by_text("rows_match_the_api").first.wait_for(timeout=60_000)
    look(page, "checks")
