"""Webhook events that came, and messages that go out."""
