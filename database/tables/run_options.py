"""Run options: the settings of a run besides its input. Runs without options have no row."""

from __future__ import annotations

from peewee import IntegerField, TextField

from .base import Base, Write, insert


class RunOptions(Base):
    """`value` is JSON as dispatch/run_options.py makes it, or in a file of `value_bytes` (dispatch/payloads.py)."""

    run_id = TextField(primary_key=True)
    value = TextField(null=True)
    value_bytes = IntegerField(null=True)

    class Meta:
        table_name = "run_options"

    @classmethod
    def keep(cls, run_id: str, value: str | None, value_bytes: int | None) -> Write:
        """Return the write that inserts the options if the run has a row."""
        row = {"run_id": run_id, "value": value, "value_bytes": value_bytes}
        return insert("run_options", row).with_condition("EXISTS (SELECT 1 FROM runs WHERE id = ?)", (run_id,))

    @classmethod
    def share(cls, run_id: str, with_id: str) -> Write:
        """Return the write that copies the options of a run, if any, to another run."""
        sql = "INSERT INTO run_options (run_id, value, value_bytes) SELECT ?, value, value_bytes FROM run_options "
        return Write(f"{sql} WHERE run_id = ?", (with_id, run_id))
