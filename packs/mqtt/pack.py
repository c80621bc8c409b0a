"""MQTT: publishes messages to a broker and receives them, and starts a run for each message."""

from packs.mqtt import node
from registry import Registry

NEEDS = ("polls",)


def setup(registry: Registry) -> None:
    registry.add_nodes(node)
    registry.add_credential_types(mqtt=node.MqttCredential())
