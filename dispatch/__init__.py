"""Who executes a run, and when: accept, claim, execute, record, recover. The database decides who wins."""

from dispatch.active import Ticket
from dispatch.dispatcher import Dispatcher
from dispatch.executor import MAX_DEATHS, make_services
from dispatch.links import Links
from dispatch.options import Options
from dispatch.places import CHECKS, IMPORTS, PREVIEWS, SAVES
from dispatch.polling import Found, Line, look
from dispatch.previewing import Place, Preview
from dispatch.quick import QuickRuns

__all__ = [
    "CHECKS", "IMPORTS", "MAX_DEATHS", "PREVIEWS", "SAVES", "Dispatcher", "Found", "Line", "Links", "Options", "Place",
    "Preview", "QuickRuns", "Ticket", "look", "make_services",
]  # fmt: skip
