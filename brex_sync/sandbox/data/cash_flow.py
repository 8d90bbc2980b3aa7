"""Cash transactions: customers, payroll, suppliers, cards and interest; accounts, statements."""

import random
from collections.abc import Iterable
from datetime import date, timedelta

from brex_sync.sandbox.data.history import CardPayment, CompanyHistory
from brex_sync.sandbox.data.merchants import exchanged
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item, encode
from brex_sync.sandbox.world.ledger import AccountLedger, month_after, usd

OPERATING, PAYROLL, RESERVE = ACCOUNTS = ("dpacc_operating", "dpacc_payroll", "dpacc_reserve")
OPENING = {OPERATING: 640_000_000, PAYROLL: 25_000_000, RESERVE: 900_000_000}
CUSTOMERS = (
    "Contoso Logistics", "Fabrikam Foods", "Tailspin Aerospace", "Adventure Works Warehousing",
    "Lakeshore Hospitals", "Umbrella Groceries", "Proseware Retail", "Alpine Ski House",
)  # fmt: skip
FRIDAY = 4
USUAL_SPENDING = 12_000
"""Card transactions that the usual sales pay for."""


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds three accounts, with what they received and paid on every day of the history."""
    flow = _Flow(rng, max(1.0, len(world.collection("card_transactions")) / USUAL_SPENDING))
    flow.card_payments(history.card_payments)
    flow.transfers(world.collection("transfers").items())
    day = history.first
    while day <= world.today:
        flow.happen(day)
        day += timedelta(days=1)
    for account in ACCOUNTS:
        ledger = world.ledgers[account] = AccountLedger(history.first, opening=OPENING[account])
        rows = sorted(flow.rows[account], key=lambda item: str(item["posted_at_date"]))
        for number, item in enumerate(rows, start=1):
            item["id"] = f"{account}_{number:05d}"
            ledger.post(item["posted_at_date"], item["amount"]["amount"] if item["amount"] else 0)
        world.collection("cash_transactions").fill(
            ((item["id"], item["posted_at_date"], encode(item)) for item in reversed(rows)), account
        )
        world.collection("cash_statements").open_list(account)
    for account in reversed(ACCOUNTS):
        world.collection("cash_accounts").add(_account(world, rng, account))
    close_statements(world, world.today)


def receive(world: World, rng: random.Random, day: date, key: str) -> None:
    """A customer pays, or a supplier is paid, on that day, with the balance that follows."""
    amount = rng.randrange(80_000, 4_000_000) * rng.choice((1, 1, -1))
    text = rng.choice(CUSTOMERS) if amount > 0 else "Brex card payment"
    kind = "PAYMENT" if amount > 0 else "CARD_COLLECTION"
    _book(world, {"id": f"{OPERATING}_{key}"} | _moved(day, amount, kind, text))


def pay(world: World, transfer: Item, day: date) -> None:
    """A transfer leaves the account on that day."""
    text = transfer["display_name"] or transfer["description"] or "Transfer"
    amount = -transfer["amount"]["amount"]
    moved = _moved(day, amount, "PAYMENT", text, transfer=transfer["id"])
    _book(world, {"id": f"{OPERATING}_{transfer['id']}"} | moved)


def _book(world: World, item: Item) -> None:
    """One more transaction of the operating account, with the balance that follows."""
    world.collection("cash_transactions").add(item, OPERATING)
    ledger = world.ledgers[OPERATING]
    ledger.post(item["posted_at_date"], item["amount"]["amount"])
    balance = usd(ledger.balance)
    world.collection("cash_accounts").edit(
        OPERATING, current_balance=balance, available_balance=balance
    )


def close_statements(world: World, day: date) -> None:
    """Closes every account's months that are over."""
    for account in ACCOUNTS:
        for statement in world.ledgers[account].close(f"stmt_{account}", day):
            world.collection("cash_statements").add(statement, account)


class _Flow:
    """What happens on each day, by account; a company of more `size` sells more."""

    def __init__(self, rng: random.Random, size: float) -> None:
        self.rows: dict[str, list[Item]] = {account: [] for account in ACCOUNTS}
        self._rng = rng
        self._size = size

    def card_payments(self, payments: Iterable[CardPayment]) -> None:
        """The cash side of what was paid to Brex for the cards."""
        for paid in payments:
            day = date.fromisoformat(paid.day)
            amount = -exchanged(paid.amount, paid.currency)
            self._move(OPERATING, day, amount, "CARD_COLLECTION", "Brex card payment")

    def transfers(self, transfers: Iterable[Item]) -> None:
        """The cash side of processed transfers: what goes out is positive there, negative here."""
        for transfer in transfers:
            if transfer["status"] == "PROCESSED":
                day = date.fromisoformat(transfer["process_date"])
                amount = -transfer["amount"]["amount"]
                text = transfer["display_name"] or transfer["description"] or "Transfer"
                self._move(OPERATING, day, amount, "PAYMENT", text, transfer["id"])

    def happen(self, day: date) -> None:
        """One day's movements besides."""
        rng = self._rng
        if day.weekday() <= FRIDAY and rng.random() < 0.75:
            amount = int(rng.randrange(150_000, 9_000_000) * self._size)
            self._move(OPERATING, day, amount, "PAYMENT", rng.choice(CUSTOMERS))
        if day.weekday() == FRIDAY and day.isocalendar().week % 2 == 0:
            self._pay_salaries(day)
        if day == month_after(day) - timedelta(days=1):
            self._end_month(day)

    def _pay_salaries(self, day: date) -> None:
        salaries = self._rng.randrange(10_800_000, 12_200_000)
        taxes = salaries * 31 // 100
        both = salaries + taxes
        self._move(OPERATING, day, -both, "BOOK_TRANSFER", "To Payroll")
        self._move(PAYROLL, day, both, "BOOK_TRANSFER", "From Operating")
        self._move(PAYROLL, day, -salaries, "PAYMENT", "Payroll")
        self._move(PAYROLL, day, -taxes, None, "Payroll taxes")

    def _end_month(self, day: date) -> None:
        rng = self._rng
        self._move(OPERATING, day, -rng.randrange(1_500, 9_000), "FEE", "Wire fees")
        self._move(RESERVE, day, rng.randrange(2_600_000, 3_400_000), "DIVIDEND", "Money market")
        for account in (OPERATING, PAYROLL):
            self._move(account, day, rng.randrange(2_000, 60_000), "INTEREST", "Interest")
        if day.month % 3 == 0:
            self._move(OPERATING, day, -20_000_000, "BOOK_TRANSFER", "To Reserve")
            self._move(RESERVE, day, 20_000_000, "BOOK_TRANSFER", "From Operating")
            self._move(OPERATING, day, None, "ADJUSTMENT", "Adjustment under review")

    def _move(
        self,
        account: str,
        day: date,
        amount: int | None,
        kind: str | None,
        description: str,
        transfer: str | None = None,
    ) -> None:
        begun = day - timedelta(days=self._rng.randrange(3))
        item = _moved(day, amount, kind, description, begun, transfer)
        self.rows[account].append({"id": ""} | item)


def _moved(
    day: date,
    amount: int | None,
    kind: str | None,
    description: str,
    begun: date | None = None,
    transfer: str | None = None,
) -> Item:
    return {
        "description": description,
        "amount": None if amount is None else usd(amount),
        "initiated_at_date": (begun or day).isoformat(),
        "posted_at_date": day.isoformat(),
        "type": kind,
        "transfer_id": transfer,
    }


def _account(world: World, rng: random.Random, account: str) -> Item:
    balance = usd(world.ledgers[account].balance)
    return {
        "id": account,
        "name": account.removeprefix("dpacc_").title(),
        "description": None if account == RESERVE else f"Account {account}",
        "status": None if account == RESERVE else "ACTIVE",
        "current_balance": balance,
        "available_balance": balance,
        "account_number": f"{rng.randrange(10**11, 10**12)}",
        "routing_number": "121145349",
        "primary": account == OPERATING,
    }
