"""The revisions of the internal schema, each of which follows the one before it."""
