"""SDK of node plugins: the names they import. These stay; everything behind them may move.

docs/writing-a-node.md describes each of them.
"""

from __future__ import annotations

from errors import NodeError
from net.egress import get_host as host_of
from nodes.base import Answer, Branch, Item, Node, Polled, Suspend, setting
from nodes.credentials.base import CredentialType, secret
from nodes.credentials.keyring import DecryptedCredential as Credential
from nodes.credentials.keyring import Keyring
from nodes.fields import Number, anything, choice, credential, flag, headers, json_schema, number, path, text, whole

__all__ = [
    "Answer", "Branch", "Credential", "CredentialType", "Item", "Keyring", "Node", "NodeError", "Number", "Polled",
    "Suspend", "anything", "choice", "credential", "flag", "headers", "host_of", "json_schema", "number", "path",
    "secret", "setting", "text", "whole",
]  # fmt: skip
