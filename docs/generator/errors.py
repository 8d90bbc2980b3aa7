"""The tree of errors as a page for people."""

import inspect
from collections.abc import Iterator

from brex_sync import errors
from brex_sync.errors import BrexSyncError

_HEAD = """\
<!-- Written by `make docs` from brex_sync/errors.py; change that. -->

# Errors

What can be foreseen to go wrong is an exception under `brex_sync.errors.BrexSyncError`. The command
line prints its message in one line and exits with 1, the Dagster UI shows it as the reason of a
failure or a skip, and the service answers with it. An error that is indented is one of the kind
above it. No message holds a secret.

| error | what happened | what to do |
|---|---|---|
"""


def page() -> str:
    """The page."""
    return _HEAD + "\n".join(_rows(BrexSyncError)) + "\n"


def _rows(error: type[BrexSyncError], depth: int = 0) -> Iterator[str]:
    """An error's row, and those of the errors under it, in the order of the module."""
    what = " ".join(inspect.cleandoc(error.__doc__ or "").partition("\n\n")[0].split())
    yield f"| {'&nbsp;&nbsp;' * depth}`{error.__name__}` | {what} | {error.remedy} |"
    order = list(vars(errors))
    for one in sorted(error.__subclasses__(), key=lambda each: order.index(each.__name__)):
        yield from _rows(one, depth + 1)
