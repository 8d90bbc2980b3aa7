"""Text from elsewhere, shown as it is written: nothing in it works where it is shown."""

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
    """The text with control characters and turns of direction as escapes, such as `\\x1b`."""
    return _WORKS.sub(lambda found: _escape(found[0]), text)


def visible_json(text: str) -> str:
    """A JSON text with the same characters as JSON's escapes: it means what it meant."""
    return _WORKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def markdown(text: str) -> str:
    """Markdown that shows the text as it is written."""
    return _MARKDOWN.sub(lambda found: _escaped(found[0]), visible(text))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _escaped(found: str) -> str:
    return f"{found[:-1]}\\{found[-1]}"
