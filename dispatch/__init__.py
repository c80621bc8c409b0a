"""Dispatch of runs: accept, claim, execute, record, recover. The database decides which process gets a run."""

from dispatch.active_run import Start, Ticket
from dispatch.dispatcher import Dispatcher
from dispatch.executor import MAX_DEATHS
from dispatch.expression_preview import Place, Preview
from dispatch.limits import CHECKS, IMPORTS, PREVIEWS, SAVES, SEARCHES
from dispatch.poll import Found, Line, encode_item, encode_state, look, open_trigger, redacted_errors
from dispatch.quick_runs import QuickRuns
from dispatch.resources import Resources, make_services
from dispatch.resume_links import Links
from dispatch.run_options import Options
from dispatch.run_search import FoundRun, RunSearch, Searched
from dispatch.sent_settings import SentSettings

__all__ = [
    "CHECKS", "IMPORTS", "MAX_DEATHS", "PREVIEWS", "SAVES", "SEARCHES", "Dispatcher", "Found", "FoundRun", "Line",
    "Links", "Options", "Place", "Preview", "QuickRuns", "Resources", "RunSearch", "Searched", "SentSettings", "Start",
    "Ticket", "encode_item", "encode_state", "look", "make_services", "open_trigger", "redacted_errors",
]  # fmt: skip
