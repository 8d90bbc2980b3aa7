"""The long-running web service: webhooks from Brex, and requests of other programs here."""
