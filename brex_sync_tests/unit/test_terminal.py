"""Texts of others on a terminal and in the UI: shown as they are written, and nothing more."""

import ast
import io
import json
import logging
import re
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

import brex_sync
from brex_sync.brex.error_responses import classify
from brex_sync.errors import ErrorResponse
from brex_sync.terminal import Terminal, say, say_json, show_crash
from brex_sync.texts import markdown, visible, visible_json

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[H",
    "\x9b31m",
    "\x90q\x9c",
    "a\rb",
    "a\x08b\x7f",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "line\u2028separator",
    "\U000e0041tag",
    "[bold red]x[/bold red]",
    "[link=http://evil.example]x[/link]",
    "[/]",
    "[",
    "\\[bold]x",
    ":skull:",
]
OWN = re.compile(r"\x1b\[[0-9;]*m")
"""The styles that rich writes itself."""
KEPT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printed(text: str, **options: object) -> str:
    file = io.StringIO()
    terminal = Terminal(file=file, width=200, force_terminal=True, color_system="standard")
    terminal.print(text, **options)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_printed_text_is_shown_as_it_is_written(text: str) -> None:
    for options in ({}, {"style": "red"}, {"highlight": False, "soft_wrap": True}):
        shown = OWN.sub("", printed(text, **options))
        assert shown == visible(text) + "\n"
        assert not KEPT.search(shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_so_is_one_in_a_table_in_rich_s_text_and_in_the_log(text: str) -> None:
    file = io.StringIO()
    terminal = Terminal(file=file, width=200, force_terminal=True, color_system="standard")
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    terminal.print(table)
    terminal.print(Text(text))
    logger = logging.getLogger("hostile")
    handler = RichHandler(console=terminal, show_path=False, show_time=False)
    logger.addHandler(handler)
    logger.warning("%s", text)
    logger.removeHandler(handler)
    shown = OWN.sub("", file.getvalue())
    assert shown.count(visible(text)) >= 3, "of bells and the like, rich itself drops some"
    assert not KEPT.search(shown)


def test_a_style_still_works() -> None:
    assert "\x1b[31m" in printed("x", style="red")


@given(st.text())
def test_no_text_works(text: str) -> None:
    assert not KEPT.search(OWN.sub("", printed(text)))


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner)))
def test_json_means_what_it_meant(value: object) -> None:
    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return
    assert json.loads(visible_json(text)) == value
    assert not KEPT.search(visible_json(text))


def test_another_program_gets_every_byte_and_a_terminal_none_that_works(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    say_json('{"name": "\x9b31m"}')
    assert capsys.readouterr().out == '{"name": "\x9b31m"}\n'
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    say_json('{"name": "\x9b31m"}')
    say("\x1b[31m")
    assert capsys.readouterr().out == '{"name": "\\u009b31m"}\n\\x1b[31m\n'


def test_a_crash_shows_what_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise RuntimeError("\x1b[31m[bold]x[/nothing]")
    except RuntimeError as error:
        show_crash(type(error), error, error.__traceback__)
    told = capsys.readouterr().err
    assert told.endswith("RuntimeError: \\x1b[31m[bold]x[/nothing]\n")
    assert "Traceback" in told


@pytest.mark.parametrize("body", [b'{"type":"X","message":"\\u001b[31mno"}', b"<h1>\x1b[31mno"])
def test_an_error_of_brex_holds_nothing_that_works(body: bytes) -> None:
    assert "\\x1b[31mno" in str(classify(ErrorResponse(400, body, None, None), "GET /v2/users"))


INERT = [
    "![x](http://evil.example/p.png)", "[x](javascript:alert(1))", "<img src=http://evil.example>",
    "<script>alert(1)</script>", "http://evil.example", "https://evil.example/x",
    "www.evil.example", "a@evil.example", "**bold**", "_it_ __b__", "`code`", "~~gone~~", "# title",
    "- item", "1. item", "1) item", "> quote", "| a | b |\n| - | - |",
    "a\n===", "a\n---", "&lt;", "\\*", "$x$", "***",
    "\x1b[31m", "+ item", "  * item", "[x]: http://evil.example",
]  # fmt: skip


@pytest.mark.parametrize("text", INERT)
def test_markdown_shows_a_text_as_it_is_written(text: str) -> None:
    page = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    tokens = page.parse(markdown(text))
    assert {token.type for token in tokens} == {"paragraph_open", "inline", "paragraph_close"}
    children = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in children} <= {"text", "text_special", "softbreak"}
    shown = "".join("\n" if c.type == "softbreak" else c.content for c in children)
    assert shown.split() == visible(text).split()


@pytest.mark.parametrize("text", ["http://evil.example", "https://a.b/c", "www.evil.example"])
def test_no_address_becomes_a_link(text: str) -> None:
    assert text not in markdown(text)


def test_an_ordinary_sentence_stays_as_it_is() -> None:
    told = "card_transactions: 3 of 300 rows (1 %) are missing; GET /v2/cards answered 403."
    assert markdown(told) == told


def test_there_is_one_door_to_the_terminal() -> None:
    """Nothing else prints, makes a console or asks; the sandbox is no text of others."""
    package = Path(brex_sync.__file__).parent
    allowed = {"terminal.py": {"print", "Console", "typer.confirm"}, "recovery.py": {"print"}}
    doors = {
        "print",
        "Console",
        "typer.echo",
        "typer.secho",
        "typer.confirm",
        "click.echo",
        "rprint",
    }
    for path in package.rglob("*.py"):
        if "sandbox" in path.parts:
            continue
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        assert not (calls & doors) - allowed.get(path.name, set()), path
