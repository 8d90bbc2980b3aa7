"""The report: one file, which needs nothing and nobody else."""

import stat
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from brex_sync.cli import cli
from brex_sync.errors import BrexSyncError
from brex_sync_tests.pages.conftest import Shown, make_marts


@pytest.fixture
def report(
    database_url: str, clean_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Path]:
    """Writes a report by the command; its file."""
    make_marts(database_url)
    monkeypatch.setenv("BREX_SYNC_DATABASE_URL", database_url)

    def run(*words: str) -> Path:
        file = tmp_path / "report.html"
        result = CliRunner().invoke(cli, ["report", "-o", str(file), *words])
        if result.exception is not None:
            raise result.exception
        assert str(file.name) in result.output.replace("\n", "")
        return file

    return run


def test_a_report_has_the_page_s_numbers_in_one_file(report: Callable[..., Path]) -> None:
    file = report()
    html = file.read_text()
    page = Shown(html)
    assert "150.25 USD" in page.text
    assert "1 line without USD amount" in page.text
    assert "&lt;script&gt;" in html
    assert len(html) < 2_000_000
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.glob("report*")] == [file.name]


def test_a_report_fetches_nothing_and_leads_to_brex_alone(report: Callable[..., Path]) -> None:
    page = Shown(report().read_text())
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "img", "iframe", "form", "select"}
    assert "style" in tags
    assert all(
        href.startswith(("#", "https://dashboard.brex.com/")) for href in page.links.values()
    )


def test_a_report_is_of_the_month_that_is_named(
    report: Callable[..., Path], engine: sa.Engine
) -> None:
    with engine.connect() as db:
        today: date = db.execute(sa.text("SELECT (now() AT TIME ZONE 'UTC')::date")).scalar_one()
    past = date(today.year - (today.month == 1), (today.month - 2) % 12 + 1, 1)
    page = Shown(report("--month", f"{past:%Y-%m}").read_text())
    assert f"brex, {past:%B %Y}" in page.text
    assert "80.00 USD" in page.text
    assert "150.25 USD" not in page.text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--month", "2999-01"], "has not begun"),
        (["--month", "October"], "is not a month"),
        (["--connection", "nobody"], "no connection is called"),
    ],
)
def test_a_report_that_cannot_be_made_says_why(
    report: Callable[..., Path], words: list[str], told: str
) -> None:
    with pytest.raises(BrexSyncError, match=told):
        report(*words)


def test_a_folder_that_is_not_there_is_told(report: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(BrexSyncError, match="cannot be written"):
        report("-o", str(tmp_path / "nowhere" / "report.html"))
