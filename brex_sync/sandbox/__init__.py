"""A simulated Brex: its endpoints with plausible data and its webhooks, for trying and testing.

`World` is the truth it tells, made by `create_world` or `create_empty_world`; `Faults` how it
misbehaves, `create_app` the ASGI application. Reads, writes and their log work over any transport;
events are sent while the application's lifespan runs, as in `server.running(app)`, and to this
machine alone.

What tests use:

- `world.collection(name).add(item)`, `.edit(id, **changes)`, `.delete(id)` change the truth; of
  users, transfers and accounting records subscribers are told. `shown_items(world, name, parent,
  expand)` is the truth as an answer with those expansions shows it.
- `world.emit(event_type, **fields) -> SandboxEvent` tells of anything: `SandboxEvent.id` is the
  Webhook-Id, `.fate` how it travels. `emit_purchase(world, expense_id, version=1,
  status="PENDING") -> SandboxEvent` is an EXPENSE_PAYMENT_UPDATED.
- `world.events.conduct = Conduct(dropped, doubled, reordered, delayed, late, seed, first_wait,
  growth, tries, both)` is how events are sent from then on; the first four are shares, 0 to 1.
- `world.events.emitted` is every `SandboxEvent`, `.attempts` every `Attempt(event_id,
  subscription_id, number, status, error)`, with `.accepted`.
- `rotate_secret(world, prefix="") -> str`, `revoke_old_secrets(world)` and `list_secrets(world,
  *states)` of `events.signing_secrets` turn and show the secrets that events are signed with.
- `world.writes` lists `Written(method, path, key, body, repeated, status)`, with `.done` for what
  changed the world; `world.uploads` has the receipts, by id, with their `content`.
- `faults.add(Fault(kind, path, method="POST"))` with `FaultKind.DONE_STATUS` (done, and `status`
  answered), `DROPPED` (done, and the connection closes), `DELAY` or `HANG` (done, and answered
  late, or never) spoils the answer to a write; `STATUS` keeps it from being done.

`steering.steer` offers the same to other processes.
"""

from brex_sync.sandbox.api.answers import shown_items
from brex_sync.sandbox.app import create_app
from brex_sync.sandbox.data import create_empty_world, create_world
from brex_sync.sandbox.events.changes import emit_purchase
from brex_sync.sandbox.faults import Fault, Faults
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.outbox import Conduct

__all__ = [
    "Conduct",
    "Fault",
    "Faults",
    "World",
    "create_app",
    "create_empty_world",
    "create_world",
    "emit_purchase",
    "shown_items",
]
