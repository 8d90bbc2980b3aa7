"""The shipped marts as pages for people: one per mart, and an index.

They follow from the marts' files alone. Types are not in them: Postgres decides these.
"""

from collections.abc import Iterator
from pathlib import Path

from brex_sync.marts.catalogue import load, tables
from brex_sync.marts.declare import Mart
from brex_sync.marts.ties import of as ties_of
from brex_sync.streams import VIEWS
from brex_sync.warehouse.schema.marts import SUFFIX
from docs.generator import markdown
from docs.generator.markdown import code, page, table
from docs.generator.tables import SCHEMA

ABOUT = """Views and stored views over a connection's tables, in the schema `<connection>_marts`,
here that of the connection `brex`. Each is one file in
[brex_sync/marts/sql](../../brex_sync/marts/sql): a header in YAML and one `SELECT`.
They are made, refreshed and checked after the tables in every sync that changed one of
them; what is checked are the *ties*, which the Dagster UI shows as asset checks of the
mart, with the rows that break them.

Amounts are as in the tables: `x` in major units, `x_minor` exact in the smallest one,
`x_currency` (never null here: where Brex names no currency it means USD). Never add up amounts
of several currencies; `x_usd` is there for that, null where Brex gives no equivalent."""
OWN = """Set `BREX_SYNC_MARTS` to a folder, and put a file `<name>.sql` into it: a mart of that
name is added, or takes the place of the shipped one. Names without a schema are other marts, then
tables; `{connection}` stands for the connection's name as a text, `{history}` for the schema
with the past.

```sql
/*
description: Card purchases over 1,000 US dollars, with whom to ask about them.
grain: One row per line of spend.
key: [connection, line_id]
sources: [spend, people]
stored: false
columns:
  connection: The connection.
  line_id: The line, as in spend.
  person: Who spent. Personal data.
  manager: Whom to ask. Personal data.
  amount_usd: How much, in US dollars.
ties:
  all_are_large:
    description: Nothing small is listed.
    query: SELECT line_id FROM large_purchases WHERE amount_usd <= 1000
*/
SELECT s.connection, s.line_id, s.person, p.manager, s.amount_usd
FROM spend s LEFT JOIN people p ON p.user_id = s.user_id
WHERE s.counts AND s.kind = 'card' AND s.amount_usd > 1000
```

The header has these entries:

- `key`: the columns that identify a row. That it does is a tie of every mart.
- `sources`: every table and mart that the `SELECT` reads. Lineage and the order of making follow
  from it, so what it leaves out is an error.
- `stored: true` keeps the rows in a materialised view. It is refreshed when a row of a table
  below it has changed, so it must not depend on today's date, and may read only what tells when
  it changed: tables, their past, other marts. `indexes` (lists of columns) is for stored ones
  only.
- `columns`: every column with its description, in the order of the `SELECT`. `Personal data.` at
  the end marks one as such.
- `ties`: queries that return the rows that break what must hold; none, where it does.

A changed file is noticed at the next sync: the mart is made again, with those that read it. For
its asset to appear or change, reload the code location in the UI. A file that cannot be used
makes the check `is_up_to_date` of its mart fail, with the file's name and what Postgres says;
the sync and the other marts are not concerned. Views of your own on a mart are never dropped:
the mart stays as it is, and its check says what is in the way."""


def pages() -> dict[str, str]:
    """Every page by its file name."""
    marts = load().marts
    return {"README.md": _index(), **{f"{m.name}.md": _page(m) for m in marts.values()}}


def write(folder: Path) -> None:
    """Writes the pages, and removes those of marts that are no more."""
    markdown.write(folder, pages())


def _index() -> str:
    rows = [
        (f"[{m.name}]({m.name}.md)", "stored" if m.stored else "view", _flat(m.description))
        for _, m in sorted(load().marts.items())
    ]
    index = table(("mart", "", "what it holds"), rows)
    return page(["# Marts", ABOUT, index, "## Marts of your own", OWN])


def _page(mart: Mart) -> str:
    columns = [(f"`{name}`", _flat(text)) for name, text in mart.columns.items()]
    ties = [(f"`{name}`", _flat(tie.description)) for name, tie in ties_of(mart).items()]
    return page(
        [
            f"# {mart.name}",
            _flat(mart.description),
            table(("", ""), _facts(mart)),
            "## Columns",
            table(("column", "meaning"), columns),
            "## Ties",
            table(("check", "what holds"), ties),
        ]
    )


def _facts(mart: Mart) -> Iterator[tuple[str, str]]:
    stored = "Stored; refreshed when a table below it has changed."
    yield "Mart", f"`{SCHEMA}{SUFFIX}.{mart.name}`"
    yield "Grain", _flat(mart.grain)
    yield "Key", code(mart.key)
    yield "Sources", ", ".join(_linked(source) for source in mart.sources) or "None."
    yield "Kind", stored if mart.stored else "A view: always as its sources are."


def _linked(source: str) -> str:
    folder = "../tables/" if source in tables() or source in VIEWS else ""
    return f"[{source}]({folder}{source}.md)"


def _flat(text: str) -> str:
    return " ".join(text.split())
