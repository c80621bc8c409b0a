"""Waiting for an agent that runs in the background."""

from models import AgentRun, Run


def ended(server, answer, seconds=20):
    """Return the agent's run after the end of the run that it belongs to."""
    run = Run.get_by_id(answer["run_id"])
    server.dispatcher.waiting.wait(server.dispatcher.ticket_of(run), seconds)
    return AgentRun.get_by_id(answer["id"])
