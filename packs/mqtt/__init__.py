"""The MQTT node and its trigger."""
