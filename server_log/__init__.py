"""The server's own log: its level, its lines as JSON, and the ids of the work that writes them.

Not the log of a run, which is data of its workspace (api/logs.py).
"""

from .setup import install

__all__ = ["install"]
