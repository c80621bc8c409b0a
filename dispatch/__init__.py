"""Dispatch of runs: accept, claim, execute, record, recover. The database decides which process gets a run."""

from dispatch.acceptance import Start, Ticket
from dispatch.dispatcher import Dispatcher
from dispatch.executor import MAX_DEATHS
from dispatch.limits import CHECKS, PREVIEWS, SAVES, SEARCHES
from dispatch.poll import Line, PollResult, encode_item, encode_state, look, open_trigger, redacted_errors
from dispatch.quick_runs import QuickRuns
from dispatch.resources import Links, Resources, StartOptions, make_services

__all__ = [
    "CHECKS", "MAX_DEATHS", "PREVIEWS", "SAVES", "SEARCHES", "Dispatcher", "PollResult", "Line", "Links",
    "StartOptions", "QuickRuns", "Resources", "Start", "Ticket", "encode_item", "encode_state", "look", "make_services",
    "open_trigger", "redacted_errors",
]  # fmt: skip
