"""Pages into tables."""
