"""Tables of a workspace with their rows, indexes of columns, and writes that must not be repeated. Frozen copies."""

from peewee import CompositeKey, IntegerField, Model, TextField


class DataTable(Model):
    id = TextField(primary_key=True)
    workspace_id = TextField()
    name = TextField()
    columns = TextField()
    next_column = IntegerField()
    row_count = IntegerField()
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        table_name = "data_tables"
        indexes = ((("workspace_id", "name"), True),)


class DataRow(Model):
    id = TextField(primary_key=True)
    table_id = TextField()
    cells = TextField()
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        table_name = "data_rows"
        indexes = ((("table_id", "id"), False),)


class DataKey(Model):
    table_id = TextField()
    column_id = TextField()
    digest = TextField()
    row_id = TextField()

    class Meta:
        table_name = "data_keys"
        primary_key = CompositeKey("table_id", "column_id", "digest", "row_id")


class DataWrite(Model):
    key = TextField(primary_key=True)
    table_id = TextField()
    result = TextField()
    expires_at = IntegerField()

    class Meta:
        table_name = "data_writes"
        indexes = ((("expires_at",), False),)


TABLES = [DataTable, DataRow, DataKey, DataWrite]


def up(migrator, db):
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
