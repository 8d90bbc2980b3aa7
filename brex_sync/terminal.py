"""Output to the terminal. All text is printed literally.

Texts from Brex are among it, and may contain escape sequences or rich's markup.
"""

import sys
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from brex_sync.texts import visible, visible_json


class Terminal(Console):
    """rich's console for untrusted text: no markup, no emoji codes, no control characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as it is, with one style; every printed string passes through here."""
        return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What is written; styles and moves of the cursor are rich's own."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)


console = Terminal()
errors = Terminal(stderr=True)


def say(text: str) -> None:
    """Prints a line of any length, and flushes it."""
    print(visible(text), flush=True)


def say_json(text: str) -> None:
    """Prints a JSON text: byte for byte to a file or program, and with escapes on a terminal."""
    print(visible_json(text) if sys.stdout.isatty() else text)


def agree(question: str) -> None:
    """Asks for confirmation on standard error; raises typer.Abort unless the answer is yes."""
    typer.confirm(visible(question), abort=True, err=True)


def show_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Prints the traceback of an unexpected exception; an `excepthook`."""
    told = "".join(traceback.format_exception(kind, error, trace)).rstrip()
    errors.print(told, highlight=False, soft_wrap=True)
