"""Webhook events: which changes are events, who subscribed, what signs them, and their delivery."""
