"""What the tables of the internal schema have in common."""

import sqlalchemy as sa

from brex_sync.warehouse.database import INTERNAL

internal_metadata = sa.MetaData(schema=INTERNAL)
"""Every table of the internal schema, whatever it is for."""

when = sa.DateTime(timezone=True)
count = sa.BigInteger
