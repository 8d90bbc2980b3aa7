"""Untrusted text made safe to show: it is displayed literally."""

import re

_WORKS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but for tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # which turn the direction of what follows
    "\u2028\u2029\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_MARKDOWN = re.compile(
    r"[\\`*\[\]<>|~#!&$]"
    r"|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])"
    r"|(?<=[a-zA-Z]):(?=//)|(?<=[wW]{3})\.|@"
    r"|(?m:^[ \t]*[-+=](?=\s|[-=+]))|(?m:(?<=[0-9])[.)](?=\s))"
)


def visible(text: str) -> str:
    r"""The text with control characters and direction marks as escapes, such as `\x1b`."""
    return _WORKS.sub(lambda found: _escape(found[0]), text)


def visible_json(text: str) -> str:
    """A JSON text with the same characters as JSON escapes, which does not change its value."""
    return _WORKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def markdown(text: str) -> str:
    """Markdown that displays the text literally."""
    return _MARKDOWN.sub(lambda found: _escaped(found[0]), visible(text))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _escaped(found: str) -> str:
    return f"{found[:-1]}\\{found[-1]}"
