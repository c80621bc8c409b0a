"""Waiting for what an agent does in the background."""

from models import AgentRun, Run


def ended(server, answer, seconds=20):
    """The agent's run when the run that it is a part of has ended."""
    run = Run.get_by_id(answer["run_id"])
    server.dispatcher.waiting.wait(server.dispatcher.ticket_of(run), seconds)
    return AgentRun.get_by_id(answer["id"])
