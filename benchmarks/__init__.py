"""How fast, how frugal: measured side by side, in one run, on one machine."""
