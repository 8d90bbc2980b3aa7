"""A simulated Brex: its endpoints with plausible data and its webhooks, for trying and testing.

`World` is the truth it tells, `Faults` how it misbehaves, `create_app` the ASGI application. Reads,
writes and their log work over any transport; events are sent while the application's lifespan
runs, as in `server.running(app)`, and to this machine alone.

What tests use:

- `world.collection(name).add(item)`, `.edit(id, **changes)`, `.delete(id)` change the truth; of
  users, transfers and accounting records subscribers are told.
- `world.emit(event_type, **fields) -> Event` tells of anything: `Event.id` is the Webhook-Id,
  `.fate` how it travels. `world.events.purchase(expense_id, version=1, status="PENDING") -> Event`
  is an EXPENSE_PAYMENT_UPDATED.
- `world.events.conduct = Conduct(dropped, doubled, reordered, delayed, late, seed, first_wait,
  growth, tries, both)` is how events are sent from then on; the first four are shares, 0 to 1.
- `world.events.emitted` is every `Event`, `.attempts` every `Attempt(event_id, subscription_id,
  number, status, error)`, with `.accepted`.
- `world.events.rotate_secret(prefix="") -> str`, `.revoke_old_secrets()` and `.secrets(*states)`
  turn and show the secrets that events are signed with.
- `world.writes` lists `Written(method, path, key, body, repeated, status)`, with `.done` for what
  changed the world; `world.uploads` has the receipts, by id, with their `content`.
- `faults.add(Fault(kind, path, method="POST"))` with `Kind.DONE_STATUS` (done, and `status`
  answered), `DROPPED` (done, and the connection closes), `DELAY` or `HANG` (done, and answered
  late, or never) spoils the answer to a write; `STATUS` keeps it from being done.

`steering.steer` offers the same to other processes.
"""

from brex_sync.sandbox.world import World  # isort: split

from brex_sync.sandbox.app import create_app
from brex_sync.sandbox.faults import Fault, Faults
from brex_sync.sandbox.world.outbox import Conduct

__all__ = ["Conduct", "Fault", "Faults", "World", "create_app"]
