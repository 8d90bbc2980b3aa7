"""Card expenses: memos in bulk, and receipts from a folder."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, ValidationInfo

from brex_sync.brex.uploads import LARGEST
from brex_sync.errors import BadInputs, UnfitFile
from brex_sync.workflows.declare import (
    Call,
    File,
    Inputs,
    Step,
    Steps,
    read,
    upload,
    workflow,
    write,
)
from brex_sync.workflows.fields import Text
from brex_sync.workflows.files import read_inside
from brex_sync.workflows.lines import distinct, from_csv, is_stored, read_csv, refuse_files
from brex_sync.workflows.sending import digest_of

LOOK = Call("GET /v1/expenses/{id}", scope="expenses.card.readonly")
SET_MEMO = Call("PUT /v1/expenses/card/{id}", scope="expenses.card", refetch="expenses")
ATTACH = Call(
    "POST /v1/expenses/card/{id}/receipt_upload", scope="expenses.card", refetch="expenses"
)

MAP = "receipts.csv"
"""The file in a folder of receipts that says which file belongs to which expense."""
KINDS = {".pdf", ".png", ".jpg", ".jpeg", ".heic", ".gif", ".tif", ".tiff", ".webp", ".html"}


class Memo(Inputs):
    """A memo for an expense."""

    expense_id: Text = Field(description="The expense's id at Brex.")
    memo: Text = Field(description="Its new memo.")


class Memos(Inputs):
    """Memos to set."""

    memos: Annotated[
        list[Memo], from_csv(Memo, "expense_id"), distinct("expense_id", "has several memos")
    ] = Field(
        min_length=1,
        description="A CSV file with the columns expense_id and memo; or the same as a list.",
        json_schema_extra={"path": True},
    )


def _looks(expense_ids: Sequence[str]) -> list[Step]:
    kept = ("id", "expense_type")
    return [read(f"look at {key}", LOOK, id=key, keep=kept) for key in expense_ids]


def _check_cards(expenses: Sequence[dict[str, Any]]) -> None:
    others = [e for e in expenses if e["expense_type"] != "CARD"]
    if others:
        raise BadInputs([f"{e['id']} is no card expense, but {e['expense_type']}" for e in others])


@workflow(LOOK, SET_MEMO)
def set_memos(given: Memos) -> Steps:
    """Set the memos of card expenses, many at once."""
    _check_cards((yield _looks([one.expense_id for one in given.memos])))
    yield [
        write(
            f"set memo of {one.expense_id}",
            SET_MEMO,
            id=one.expense_id,
            body={"memo": one.memo},
        )
        for one in given.memos
    ]


class Receipt(Inputs):
    """A file, and the expense it belongs to."""

    file: File
    expense_id: Text


class Mapped(Inputs):
    """A line of `receipts.csv`: a file of the folder, and its expense."""

    file: Annotated[Text, StringConstraints(pattern=r"^[^/\\]+$")]
    expense_id: Text


def _from_folder(given: Any, info: ValidationInfo) -> Any:
    """Returns the receipts in a folder: named after their expenses, or listed in receipts.csv."""
    refuse_files(info)
    if is_stored(info):
        return given
    if not isinstance(given, str | Path):
        raise ValueError("name a folder")
    folder = Path(given).expanduser().absolute()
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise BadInputs([f"{folder} cannot be read: {error.strerror}"]) from None
    if MAP in names:
        lines = [Mapped.model_validate(line) for line in _mapped(folder)]
        return _receipts(folder, ((line.file, line.expense_id) for line in lines))
    found = (name for name in names if Path(name).suffix.lower() in KINDS)
    return _receipts(folder, ((name, _expense_of(name)) for name in found))


def _mapped(folder: Path) -> list[Inputs]:
    if (folder / MAP).is_symlink():
        raise BadInputs([f"{MAP}: it is a link: put the file itself into the folder"])
    return read_csv(folder / MAP, Mapped, "file")


def _expense_of(name: str) -> str:
    """Returns the expense of a file: `expense_1.pdf` and `expense_1--2.pdf` are of expense_1."""
    return Path(name).stem.partition("--")[0]


def _receipts(folder: Path, named: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Returns the files with their expenses. Raises BadInputs, which names all unusable files."""
    read: list[dict[str, Any]] = []
    faults: list[str] = []
    for name, expense_id in named:
        try:
            digest = digest_of(_content(folder, name))
        except UnfitFile as unfit:
            faults.append(f"{name}: {unfit}")
        else:
            read.append({"file": File(folder / name, digest), "expense_id": expense_id})
    if faults:
        raise BadInputs(faults)
    return read


def _content(folder: Path, name: str) -> bytes:
    """Returns the content of a file. Raises UnfitFile."""
    if Path(name).suffix.lower() not in KINDS and (folder / name).is_file():
        raise UnfitFile(f"Brex takes {', '.join(sorted(kind[1:] for kind in KINDS))}, by its name")
    if not name.isascii():
        raise UnfitFile("Brex takes only plain (ASCII) characters in its name")
    return read_inside(folder, name, LARGEST)


class Receipts(Inputs):
    """Receipts to attach."""

    folder: Annotated[
        list[Receipt],
        BeforeValidator(_from_folder),
        distinct("file.path.name", "names several files, or a file of several expenses"),
    ] = Field(
        min_length=1,
        description=f"A folder of files named after their expenses (expense_1.pdf, a second one "
        f"expense_1--2.pdf), or with a {MAP} that has the columns file and expense_id.",
        json_schema_extra={"path": True},
    )


@workflow(LOOK, ATTACH)
def attach_receipts(given: Receipts) -> Steps:
    """Attach the receipts in a folder to their card expenses."""
    expense_ids = dict.fromkeys(one.expense_id for one in given.folder)
    _check_cards((yield _looks(list(expense_ids))))
    yield [
        upload(f"attach {one.file.path.name}", ATTACH, one.file, id=one.expense_id)
        for one in given.folder
    ]
