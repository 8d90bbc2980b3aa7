"""Webhooks: events of Brex verified and worked off, and others told of what changed."""
