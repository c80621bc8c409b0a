"""A random value, such as a UUID, is the same after a crash if anything outside has seen it.

The node that draws the value is pure, so its step may be lost, but not once a node with effects has started.
"""

from crashes import Copying, Moments, inline_process
from test_dispatch import output
from world import add_flow, chain, node, run_of

from dispatch import Start
from dispatch.group_commit import Recorder
from models import Lease, Run


def test_an_effect_sees_the_same_uuid_after_a_crash_at_any_moment(tmp_path, types):
    moments, seen, before = Moments(tmp_path), [], []

    def see(config, input, ctx):
        before.append(len(moments))
        seen.append((ctx.node_id, input))
        return input

    types.offer("see", see, pure=False)
    made = chain(node("uuid", "crypto", {"operation": "uuid"}), node("first", "see"), node("second", "see"))
    with inline_process(tmp_path, Copying(moments.copy)) as dispatcher:
        dispatcher.submit(Start(add_flow(made), None, "manual"))
        moments.copy()
        run = run_of(Run.select(Run.id).scalar())
        drawn = output(dispatcher, run)
    assert seen == [("first", drawn), ("second", drawn)]
    again = []
    for moment in moments[before[0] :]:
        moments.go_back_to(moment)
        Lease.delete().execute()
        seen.clear()
        with inline_process(tmp_path, Recorder()) as dispatcher:
            dispatcher.sweep()
            assert output(dispatcher, run_of(run.id)) == drawn
        assert {value for _, value in seen} <= {drawn}
        again += seen
    assert again, "no copy had anything left to execute"
