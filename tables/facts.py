"""What the server has to know about itself from one start to the next."""

from __future__ import annotations

from peewee import TextField

from tables.base import Base


class Fact(Base):
    """`key`: the fingerprint of the key that the stored credentials are encrypted with. `version`: the version that has
    opened the database last.
    """

    name = TextField(primary_key=True)
    value = TextField()

    class Meta:
        table_name = "server_facts"
