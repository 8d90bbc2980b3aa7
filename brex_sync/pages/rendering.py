"""The templates, filled in: whatever comes from elsewhere is text, and nothing in it works."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from brex_sync.pages.charts import bar
from brex_sync.texts import visible


@cache
def stylesheet() -> str:
    """The one stylesheet."""
    return files("brex_sync.pages").joinpath("static/page.css").read_text()


def render(template: str, **values: Any) -> str:
    """A template with its values."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("brex_sync.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.globals.update(bar=bar)
    made.filters.update(sentence=sentence)
    return made


def sentence(text: str) -> Markup:
    """A sentence as markup, with `commands` set apart."""
    parts = [escape(visible(part)) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return Markup("`").join(parts)
    coded = [f"<code>{part}</code>" if at % 2 else str(part) for at, part in enumerate(parts)]
    return Markup("".join(coded))  # noqa: S704


def _shown(value: Any) -> Any:
    """Texts with control characters and turns of direction as escapes; our own markup as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
