"""What happened in a world, as webhooks tell it: the events, and what became of each."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import Any

from brex_sync.sandbox.world.collection import encode


class DeliveryMode(StrEnum):
    """How an event travels."""

    PLAIN = "plain"
    DROPPED = "dropped"
    """It is never sent."""
    DOUBLED = "doubled"
    """It is sent twice, under one id."""
    REORDERED = "reordered"
    """It waits up to `late` seconds, and others overtake it."""
    DELAYED = "delayed"
    """It is sent `late` seconds late."""


@dataclass(slots=True)
class Conduct:
    """How events are sent.

    `dropped`, `doubled`, `reordered` and `delayed` are the shares of events, 0 to 1, that meet that
    fate; `seed` decides which. An event goes out up to `tries` times, after waits of `first_wait`
    seconds growing by `growth`. `both` signs with a secret that is being revoked, too.
    """

    dropped: float = 0.0
    doubled: float = 0.0
    reordered: float = 0.0
    delayed: float = 0.0
    late: float = 1.0
    seed: int = 7
    first_wait: float = 1.0
    growth: float = 2.0
    tries: int = 8
    both: bool = True

    def fate(self, number: int) -> DeliveryMode:
        """The fate of the event of that number."""
        drawn = random.Random(f"{self.seed} {number}").random()
        for share, fate in (
            (self.dropped, DeliveryMode.DROPPED),
            (self.doubled, DeliveryMode.DOUBLED),
            (self.reordered, DeliveryMode.REORDERED),
            (self.delayed, DeliveryMode.DELAYED),
        ):
            if drawn < share:
                return fate
            drawn -= share
        return DeliveryMode.PLAIN


@dataclass(frozen=True, slots=True)
class SandboxEvent:
    """Something that happened: `id` is the Webhook-Id, `body` the JSON that is sent."""

    id: str
    type: str
    body: bytes
    fate: DeliveryMode


@dataclass(frozen=True, slots=True)
class Attempt:
    """An event sent, or not, to a subscription: the status answered, or the `error` met."""

    event_id: str
    subscription_id: str
    number: int
    status: int | None
    error: str

    @property
    def accepted(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


@dataclass
class Outbox:
    """The events of the world with that seed.

    `emitted` holds every event, `waiting` those not yet on their way, `attempts` each sending.
    `wake` is called, from whatever thread, when something happens.
    """

    seed: int
    conduct: Conduct = field(default_factory=Conduct)
    emitted: list[SandboxEvent] = field(default_factory=list)
    waiting: deque[SandboxEvent] = field(default_factory=deque)
    attempts: list[Attempt] = field(default_factory=list)
    wake: Callable[[], None] = lambda: None
    _one_by_one: Lock = field(default_factory=Lock)

    def emit(self, event_type: str, **fields: Any) -> SandboxEvent:
        """Makes something happen: `fields` are those of the event's body."""
        body = encode({"event_type": event_type, **fields})
        with self._one_by_one:
            number = len(self.emitted) + 1
            fate = self.conduct.fate(number)
            event = SandboxEvent(f"msg_{self.seed}_{number:06d}", event_type, body, fate)
            self.emitted.append(event)
            self.waiting.append(event)
        self.wake()
        return event
