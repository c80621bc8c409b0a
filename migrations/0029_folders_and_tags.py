"""Folders and tags of flows, the favourites of each user, and saved filters of lists. Frozen copies of the models."""

from peewee import CompositeKey, IntegerField, Model, TextField


class WorkflowFolder(Model):
    workflow_id = TextField(primary_key=True)
    workspace_id = TextField()
    path = TextField()

    class Meta:
        table_name = "workflow_folders"
        indexes = ((("workspace_id", "path"), False),)


class WorkflowTag(Model):
    workflow_id = TextField()
    tag = TextField()
    workspace_id = TextField()

    class Meta:
        table_name = "workflow_tags"
        primary_key = CompositeKey("workflow_id", "tag")
        indexes = ((("workspace_id", "tag"), False),)


class Favourite(Model):
    user_id = TextField()
    workflow_id = TextField()

    class Meta:
        table_name = "favourites"
        primary_key = CompositeKey("user_id", "workflow_id")
        indexes = ((("workflow_id",), False),)


class SavedFilter(Model):
    id = TextField(primary_key=True)
    workspace_id = TextField()
    user_id = TextField()
    page = TextField()
    name = TextField()
    query = TextField()
    created_at = IntegerField()

    class Meta:
        table_name = "saved_filters"
        indexes = ((("workspace_id", "user_id", "page", "name"), True),)


TABLES = [WorkflowFolder, WorkflowTag, Favourite, SavedFilter]


def up(migrator, db):
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
