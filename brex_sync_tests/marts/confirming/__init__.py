"""The cookbook's answers computed a second time: each in Python, from what the simulated Brex says.

Names of merchants alone are taken from `spend`, where they are cleaned.
"""

from brex_sync_tests.marts.confirming import closing, limits, money, spend
from brex_sync_tests.marts.confirming.core import CONFIRMED

__all__ = ["CONFIRMED", "closing", "limits", "money", "spend"]
