"""The shapes of accounts, sessions, workspaces, members and API tokens (see schemas.py)."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from schema_fields import Out, Strict, Time, choice, text
from schemas import ROLES


class WorkspaceOut(Out):
    id = fields.String(required=True)
    name = fields.String(required=True)
    role = choice(ROLES, required=True)
    created_at = Time(required=True)


class UserOut(Out):
    id = fields.String(required=True)
    email = fields.String(required=True)
    name = fields.String(required=True)
    created_at = Time(required=True)
    set_up = fields.Boolean(
        required=True,
        metadata={"description": "false: somebody else set the password; they should choose their own"},
    )
    admin = fields.Boolean(
        required=True, metadata={"description": "May found workspaces, make accounts and reset passwords"}
    )
    may_found_workspaces = fields.Boolean(required=True)
    workspaces = fields.List(fields.Nested(WorkspaceOut))


class SessionOut(Out):
    id = fields.String(allow_none=True)
    workspace_id = fields.String(required=True)
    role = choice(ROLES)
    created_at = Time()
    expires_at = Time(allow_none=True)


class WhoOut(Out):
    session = fields.Nested(SessionOut, required=True)
    user = fields.Nested(UserOut, required=True)


class SessionChange(Strict):
    workspace_id = text(64, required=True)


class OwnSessionOut(Out):
    id = fields.String(required=True)
    workspace_id = fields.String(required=True)
    created_at = Time(required=True)
    expires_at = Time(required=True)
    current = fields.Boolean(required=True, metadata={"description": "Whether the request came by this one"})


def password(**options: Any) -> fields.String:
    """One that is to be kept."""
    told = {"format": "password", **options.pop("metadata", {})}
    return fields.String(validate=validate.Length(8, 1000), metadata=told, **options)


class ProfileChange(Strict):
    name = text(200)
    email = fields.Email(validate=validate.Length(max=254))
    password = password(metadata={"description": "A new one; it ends your other sessions"})
    end_tokens = fields.Boolean(
        truthy={True},
        falsy={False},
        metadata={"description": "Goes with a new password: end all your API tokens too"},
    )
    current_password = fields.String(
        validate=validate.Length(1, 1000),
        metadata={"description": "Needed to change the address or the password", "format": "password"},
    )


class WorkspaceIn(Strict):
    name = text(200, required=True)


class MemberIn(Strict):
    email = fields.Email(required=True, validate=validate.Length(max=254))
    role = choice(ROLES, required=True)
    password = password(
        metadata={"description": "By admins: make an account with this first password. Without: invite the person"}
    )
    name = text(200, metadata={"description": "Goes with a password"})


class MemberChange(Strict):
    user_id = text(64, required=True)
    role = choice(ROLES, required=True)


class MemberPassword(Strict):
    user_id = text(64, required=True)
    password = password(required=True, metadata={"description": "Of the next login, where they choose their own"})


class MemberGone(Strict):
    user_id = text(64, required=True)


class MemberOut(Out):
    user_id = fields.String(required=True)
    email = fields.String(required=True, attribute="user.email")
    name = fields.String(required=True, attribute="user.name")
    role = choice(ROLES, required=True)
    created_at = Time(required=True)


class TokenIn(Strict):
    name = text(200, required=True)
    role = choice(ROLES, load_default="operator")
    days = fields.Integer(
        strict=True,
        load_default=None,
        allow_none=True,
        validate=validate.Range(1, 3650),
        metadata={"description": "Days until it expires"},
    )


class TokenOut(Out):
    id = fields.String(required=True)
    name = fields.String(required=True)
    role = choice(ROLES, required=True)
    user_id = fields.String(required=True)
    workspace_id = fields.String(required=True)
    created_at = Time(required=True)
    expires_at = Time(allow_none=True)
    token = fields.String(metadata={"description": "Only in the answer that makes it"})
