"""The secrets that events are signed with: made, rotated and revoked."""

import base64
import hashlib

from brex_sync.sandbox.world import World


def ensure_secret(world: World) -> None:
    """Makes a secret where there is none to sign with."""
    if not list_secrets(world, "ACTIVE"):
        rotate_secret(world)


def rotate_secret(world: World, prefix: str = "") -> str:
    """A new secret, say with `whsec_` before it; the one before is about to be revoked."""
    secrets = world.collection("webhook_secrets")
    revoke_old_secrets(world)
    for old in list_secrets(world, "ACTIVE"):
        secrets.edit(old, status="PENDING_REVOKE")
    key = hashlib.sha256(f"{world.seed} secret {len(secrets)}".encode()).digest()[:24]
    secret = prefix + base64.b64encode(key).decode()
    secrets.add({"secret": secret, "status": "ACTIVE"})
    return secret


def revoke_old_secrets(world: World) -> None:
    """Revokes for good what was about to be revoked."""
    for old in list_secrets(world, "PENDING_REVOKE"):
        world.collection("webhook_secrets").edit(old, status="REVOKED")


def list_secrets(world: World, *states: str) -> list[str]:
    """The secrets in these states, the newest first."""
    items = world.collection("webhook_secrets").items()
    return [item["secret"] for item in items if item["status"] in states]
