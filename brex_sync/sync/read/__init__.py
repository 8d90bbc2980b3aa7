"""Lists read to their end, and what their reading proves."""
