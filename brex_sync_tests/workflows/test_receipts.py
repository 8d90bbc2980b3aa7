"""Receipts: put where Brex says, once, without the credential."""

import asyncio
import hashlib
import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from brex_sync.brex import uploads
from brex_sync.brex.uploads import put_file
from brex_sync.errors import BadInputs, LinkRefused, Refused, ServerFault
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.workflows.step_runner import idempotency_key
from brex_sync_tests.conftest import REFUSED
from brex_sync_tests.workflows.conftest import Desk

RUN = "0b8f7c1e-93a5-4a4e-8d6b-8a1b6b1a2f11"


@pytest.fixture
def expense(desk: Desk) -> str:
    """A card expense without receipts."""
    found = desk.rig.world.collection("expenses")
    key: str = next(e["id"] for e in found.items() if e["expense_type"] == "CARD")
    found.edit(key, receipts=[])
    return key


def receipts(desk: Desk, expense: str) -> list[bytes]:
    """The files Brex has for an expense."""
    kept = desk.rig.world.uploads
    return [kept[one["id"]].content for one in desk.item("expenses", expense)["receipts"]]


def test_files_named_after_their_expenses_are_attached(
    desk: Desk, expense: str, tmp_path: Path
) -> None:
    (tmp_path / f"{expense}.pdf").write_bytes(b"%PDF one")
    (tmp_path / f"{expense}--2.JPG").write_bytes(b"two")
    (tmp_path / "notes.txt").write_bytes(b"none")
    outcome = desk.perform("attach-receipts", folder=str(tmp_path))
    assert (outcome.error, outcome.stale) == (None, ())
    assert sorted(receipts(desk, expense)) == [b"%PDF one", b"two"]
    assert desk.rig.one("SELECT count(*) FROM brex.expense_receipts") == 2
    names = desk.rig.rows("SELECT body->>'receipt_name' FROM brex_sync.writes ORDER BY 1")
    assert names == [(f"{expense}--2.JPG",), (f"{expense}.pdf",)]


def test_a_map_says_which_file_belongs_where(desk: Desk, expense: str, tmp_path: Path) -> None:
    (tmp_path / "scan 7.pdf").write_bytes(b"seven")
    (tmp_path / "receipts.csv").write_text(f"file,expense_id\nscan 7.pdf,{expense}\n")
    assert desk.perform("attach-receipts", folder=str(tmp_path)).error is None
    assert receipts(desk, expense) == [b"seven"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../secret.pdf", "line 2: file: String should match pattern"),
        ("/etc/hostname", "line 2: file: String should match pattern"),
        ("..", r"\.\.: there is no such file in the folder"),
        ("none.pdf", r"none\.pdf: there is no such file in the folder"),
    ],
)
def test_a_map_names_only_files_of_the_folder(
    desk: Desk, tmp_path: Path, name: str, told: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.pdf").write_bytes(b"x")
    (folder / "receipts.csv").write_text(f"file,expense_id\n{name},e1\n")
    with pytest.raises(BadInputs, match=told):
        desk.perform("attach-receipts", folder=str(folder))


def test_all_files_that_cannot_be_sent_are_told_before_any_is(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "e1.pdf").write_bytes(b"x")
    (tmp_path / "e2.pdf").write_bytes(b"")
    (tmp_path / "e3 é.pdf").write_bytes(b"x")
    with (tmp_path / "e4.pdf").open("wb") as large:
        large.truncate(uploads.LARGEST + 1)
    with pytest.raises(BadInputs) as bad:
        desk.perform("attach-receipts", folder=str(tmp_path))
    size = "it is empty, or has more than the 50 MB that Brex takes"
    assert bad.value.faults == (
        f"e2.pdf: {size}",
        "e3 é.pdf: Brex takes only plain (ASCII) characters in its name",
        f"e4.pdf: {size}",
    )
    assert not desk.rig.requests
    assert uploads.LARGEST == 50 * 1024 * 1024


def test_a_link_that_is_nowhere_kept_carries_no_credential(
    desk: Desk, expense: str, tmp_path: Path
) -> None:
    (tmp_path / f"{expense}.pdf").write_bytes(b"x")
    seen: list[tuple[str, dict[bytes, bytes]]] = []

    def wrap(app: Any) -> Any:
        async def look(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"].startswith("/_uploads"):
                seen.append((scope["query_string"].decode(), dict(scope["headers"])))
            await app(scope, receive, send)

        return look

    desk.rig.wrap = wrap
    assert desk.perform("attach-receipts", folder=str(tmp_path)).error is None
    ((query, headers),) = seen
    assert b"authorization" not in headers
    for table in ("writes", "workflow_steps", "workflow_runs"):
        for (stored,) in desk.rig.rows(f"SELECT t::text FROM brex_sync.{table} t"):
            assert query.partition("=")[2] not in stored


@pytest.mark.parametrize("late", [timedelta(), timedelta(hours=1)], ids=["soon", "late"])
@pytest.mark.parametrize("put", [True, False], ids=["put", "not put"])
def test_cut_off_it_is_attached_once(
    desk: Desk, expense: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put: bool, late: Any
) -> None:
    (tmp_path / f"{expense}.pdf").write_bytes(b"x")
    asked = desk.asked("attach-receipts", RUN, folder=str(tmp_path))

    async def cut_off() -> None:
        stop = asyncio.Event()

        async def put_or_not(*given: Any) -> None:
            if put:
                await put_file(*given)
            stop.set()
            await asyncio.sleep(60)

        with monkeypatch.context() as patch:
            patch.setattr("brex_sync.workflows.step_runner.put_file", put_or_not)
            task = asyncio.create_task(desk.performed(asked))
            await stop.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cut_off())
    assert len(receipts(desk, expense)) == put
    for upload in desk.rig.world.uploads.values():
        upload.ends_at -= late
    assert desk.perform("attach-receipts", RUN, folder=str(tmp_path)).error is None
    assert receipts(desk, expense) == [b"x"]
    keys = {idempotency_key(RUN, f"attach {expense}.pdf")}
    if late and not put:
        keys.add(idempotency_key(RUN, f"attach {expense}.pdf", 1))
    assert {entry.key for entry in desk.rig.world.writes} == keys


def test_a_file_that_was_changed_meanwhile_is_not_sent(
    desk: Desk, expense: str, tmp_path: Path
) -> None:
    file = tmp_path / f"{expense}.pdf"
    file.write_bytes(b"x")
    asked = desk.asked("attach-receipts", folder=str(tmp_path))
    file.write_bytes(b"y")
    outcome = asyncio.run(desk.performed(asked))
    assert outcome.error is not None
    assert "was changed since the run was requested" in outcome.error
    file.unlink()
    again = asyncio.run(desk.performed(asked))
    assert again.error is not None
    assert "there is no such file in the folder" in again.error
    assert not desk.rig.world.uploads


def test_an_empty_folder_is_told(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(BadInputs, match="folder: List should have at least 1 item"):
        desk.perform("attach-receipts", folder=str(tmp_path))
    with pytest.raises(BadInputs, match="cannot be read: No such file or directory"):
        desk.perform("attach-receipts", folder=str(tmp_path / "none"))


def put(link: str, *statuses: int) -> int:
    """Puts a file at a store that answers so; the number of requests it took."""
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(statuses[min(len(asked), len(statuses) - 1)])
        return httpx.Response(asked[-1], headers={"Location": "https://evil.example/"})

    asyncio.run(put_file(link, "a.pdf", b"x", httpx.MockTransport(answer)))
    return len(asked)


@pytest.mark.parametrize(
    ("link", "statuses", "error", "told"),
    [
        ("http://store.example/a?s=secret", [200], Refused, "not https"),
        ("ftp://store.example/a", [200], Refused, "not https"),
        ("https://store.example/a?s=secret", [403], LinkRefused, "good no more"),
        ("https://store.example/a?s=secret", [302], Refused, "answered 302"),
        ("https://store.example/a?s=secret", [400], Refused, "answered 400"),
        ("https://store.example/a?s=secret", [503], ServerFault, "answered 503"),
    ],
)
def test_a_store_that_does_not_take_the_file_is_told_without_the_link(
    link: str, statuses: list[int], error: Any, told: str
) -> None:
    with pytest.raises(error, match=told) as raised:
        put(link, *statuses)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("status", [500, 408, 425, 429])
def test_a_store_that_recovers_is_asked_again(status: int) -> None:
    assert put("https://store.example/a", status, 200) == 2


def test_a_receipt_brex_refuses_stops_no_other(desk: Desk, expense: str, tmp_path: Path) -> None:
    (tmp_path / f"{expense}.pdf").write_bytes(b"x")
    (tmp_path / f"{expense}--2.pdf").write_bytes(b"y")
    path = f"/v1/expenses/card/{expense}/receipt_upload"
    desk.rig.faults.add(Fault(FaultKind.STATUS, path, "POST", status=400, body=REFUSED, times=1))
    outcome = desk.perform("attach-receipts", RUN, folder=str(tmp_path))
    assert outcome.error is not None
    assert len(receipts(desk, expense)) == 1
    assert desk.perform("attach-receipts", RUN, folder=str(tmp_path)).error is None
    assert sorted(receipts(desk, expense)) == [b"x", b"y"]


def test_a_name_without_a_file_is_missing_whatever_its_type(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "receipts.csv").write_text("file,expense_id\nnone.txt,e1\n..,e2\n")
    with pytest.raises(BadInputs) as bad:
        desk.perform("attach-receipts", folder=str(tmp_path))
    missing = "there is no such file in the folder"
    assert bad.value.faults == (f"none.txt: {missing}", f"..: {missing}")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of receipts, beside a secret that is not in it."""
    (tmp_path / "secret.pdf").write_bytes(b"secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


LINKED = {
    "a link": lambda folder: (folder / "e1.pdf").symlink_to(folder.parent / "secret.pdf"),
    "a link within": lambda folder: (folder / "e1.pdf").symlink_to("own.pdf"),
    "a link to a link": lambda folder: (
        (folder / "next").symlink_to(folder.parent / "secret.pdf"),
        (folder / "e1.pdf").symlink_to("next"),
    ),
    "a link to nothing": lambda folder: (folder / "e1.pdf").symlink_to("nowhere"),
    "a link to a device": lambda folder: (folder / "e1.pdf").symlink_to("/dev/zero"),
    "a link to another process": lambda f: (f / "e1.pdf").symlink_to("/proc/1/environ"),
}
ODD = {
    "a pipe": lambda folder: os.mkfifo(folder / "e1.pdf"),
    "a socket": lambda folder: socket.socket(socket.AF_UNIX).bind(str(folder / "e1.pdf")),
}


@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "named"])
@pytest.mark.parametrize("kind", [*LINKED, *ODD])
def test_only_files_of_the_folder_itself_are_taken(
    desk: Desk, outside: Path, kind: str, mapped: bool
) -> None:
    {**LINKED, **ODD}[kind](outside)
    (outside / "own.pdf").write_bytes(b"own")
    if mapped:
        (outside / "receipts.csv").write_text("file,expense_id\ne1.pdf,e1\n")
    with pytest.raises(BadInputs) as bad:
        desk.perform("attach-receipts", folder=str(outside))
    told = "it is a link: put the file itself into the folder"
    assert bad.value.faults == (f"e1.pdf: {told if kind in LINKED else 'it is no regular file'}",)
    assert not desk.rig.requests


def test_a_folder_is_no_file(desk: Desk, outside: Path) -> None:
    (outside / "e1.pdf").mkdir()
    with pytest.raises(BadInputs, match=r"e1\.pdf: there is no such file in the folder"):
        desk.perform("attach-receipts", folder=str(outside))


@pytest.mark.parametrize("name", ["shadow", "key.pem", "statement.csv", "x.pdf.exe", ".pdf"])
def test_a_map_names_only_types_that_brex_takes(desk: Desk, outside: Path, name: str) -> None:
    (outside / name).write_bytes(b"x")
    (outside / "receipts.csv").write_text(f"file,expense_id\n{name},e1\n")
    with pytest.raises(BadInputs, match=f"{name}: Brex takes gif, heic, html, jpeg, jpg, pdf"):
        desk.perform("attach-receipts", folder=str(outside))


def test_a_map_that_is_a_link_is_not_read(desk: Desk, outside: Path) -> None:
    (outside.parent / "receipts.csv").write_text("file,expense_id\ne1.pdf,e1\n")
    (outside / "receipts.csv").symlink_to(outside.parent / "receipts.csv")
    with pytest.raises(BadInputs, match=r"receipts\.csv: it is a link"):
        desk.perform("attach-receipts", folder=str(outside))


def test_nobody_names_single_files(desk: Desk, outside: Path) -> None:
    secret = outside.parent / "secret.pdf"
    file = {"path": str(secret), "digest": hashlib.sha256(b"secret").hexdigest()}
    with pytest.raises(BadInputs, match="name a folder"):
        desk.perform("attach-receipts", folder=[{"file": file, "expense_id": "e1"}])


def test_a_file_that_becomes_a_link_before_it_is_sent_is_not(
    desk: Desk, expense: str, outside: Path
) -> None:
    receipt = outside / f"{expense}.pdf"
    receipt.write_bytes(b"secret")

    def wrap(app: Any) -> Any:
        async def swap(scope: Any, receive: Any, send: Any) -> None:
            if not receipt.is_symlink():
                receipt.unlink()
                receipt.symlink_to(outside.parent / "secret.pdf")
            await app(scope, receive, send)

        return swap

    desk.rig.wrap = wrap
    outcome = desk.perform("attach-receipts", folder=str(outside))
    assert "it is a link" in str(outcome.error)
    assert not desk.rig.world.uploads
