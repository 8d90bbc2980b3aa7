"""The panels of the page, in the order in which they are shown."""

from brex_sync.pages.panels.registry import PANELS, build

__all__ = ["PANELS", "build"]
