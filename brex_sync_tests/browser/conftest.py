"""Chromium, and everything that `make up` starts, once for these tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brex_sync_tests.e2e.conftest import up
from brex_sync_tests.e2e.test_up import first_run

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


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def stranger(chromium: Any) -> Iterator[Any]:
    """A page of somebody who is not logged in."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def page(stranger: Any, up: Any) -> Any:
    """A page of somebody who followed the address that was printed, with a first run to see."""
    up.await_run(first_run(up))
    stranger.goto(f"{up.url}/?token={up.token}")
    return stranger


def look(page: Any, name: str) -> None:
    """Takes a picture for the documentation."""
    page.wait_for_timeout(2500)
    page.screenshot(path=IMAGES / f"{name}.png")
