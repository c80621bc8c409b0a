"""Dispatch of runs: accept, claim, execute, record, recover. The database decides which process gets a run."""

from dispatch.acceptance import Start, Ticket
from dispatch.dispatcher import Dispatcher
from dispatch.executor import MAX_DEATHS
from dispatch.process_limits import CHECKS, PREVIEWS, SAVES, SEARCHES
from dispatch.quick_runs import QuickRuns
from dispatch.resources import Links, Resources, StartOptions, make_services

__all__ = [
    "CHECKS", "MAX_DEATHS", "PREVIEWS", "SAVES", "SEARCHES", "Dispatcher", "Links",
    "StartOptions", "QuickRuns", "Resources", "Start", "Ticket", "make_services",
    ]  # fmt: skip
