"""Lists of columns as SQL."""

from collections.abc import Iterable


def listed(names: Iterable[str], of: str | None = None) -> str:
    """Column names, quoted, each of the table `of`."""
    prefix = f"{of}." if of else ""
    return ", ".join(f'{prefix}"{name}"' for name in names)


def same(key: Iterable[str], one: str, other: str) -> str:
    """That two rows have the same key."""
    key = list(key)
    return f"({listed(key, one)}) = ({listed(key, other)})"


def differing(typed: Iterable[str], one: str, other: str, *more: str) -> str:
    """An array of the names of the columns in which two rows differ, and of what `more` gives.

    `_raw` alone where none does: then they differ in fields that have no column.
    """
    cases = [
        f'CASE WHEN {one}."{c}" IS DISTINCT FROM {other}."{c}" THEN \'{c}\' END' for c in typed
    ]
    array = ", ".join([*cases, *more])
    return f"coalesce(nullif(array_remove(ARRAY[{array}], NULL), '{{}}'), ARRAY['_raw'])"
