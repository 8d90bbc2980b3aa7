"""The workflows that come with brex_sync."""
