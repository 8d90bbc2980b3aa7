"""`python -m brex_sync`: the same as the command `brex-sync`."""

from brex_sync.cli import main

main()
