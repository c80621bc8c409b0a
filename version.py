"""The version of Headrace. Everything that tells it reads it here, pyproject.toml too."""

VERSION = "0.1.0"
