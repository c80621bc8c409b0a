// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "@/api/client";
import type { Definition } from "@/definition/types";
import { isDirty, makeStore, type ServerFlow } from "../store";
import { draftsOf } from "./drafts";
import { makeSaver } from "./saver";

const node = (id: string) => ({ id, type: "log", position: { x: 0, y: 0 } });
const flowOf = (version: number, ...ids: string[]): ServerFlow => ({
  id: "wf_1",
  name: "Orders",
  status: "draft",
  version,
  definition: { nodes: ids.map(node), edges: [] },
});

/** A server with one flow whose responses can be lost or refused. */
function server(first: ServerFlow) {
  const it = {
    flow: first,
    writes: [] as Definition[],
    trouble: null as null | "lost before" | "lost after" | ApiError,
    read: async () => {
      if (it.trouble === "lost before") throw new ApiError(0, "away");
      return it.flow;
    },
    write: async (definition: Definition, version: number) => {
      const trouble = it.trouble;
      it.trouble = null;
      if (trouble === "lost before") throw new ApiError(0, "away");
      if (trouble instanceof ApiError) throw trouble;
      if (version !== it.flow.version) throw new ApiError(409, "stale");
      it.writes.push(definition);
      it.flow = { ...it.flow, version: version + 1, definition };
      if (trouble === "lost after") throw new ApiError(502, "gone");
      return it.flow;
    },
  };
  return it;
}

function open(first = flowOf(1, "a")) {
  const remote = server(first);
  const store = makeStore(first);
  const drafts = draftsOf("user_1", "wf_1", { own: "here", open: null });
  const told = { taken: 0 };
  const saver = makeSaver(store, remote, drafts, { onTaken: () => (told.taken += 1), onSaved: () => {} });
  return { remote, store, drafts, saver, told, state: () => store.getState() };
}

beforeEach(() => {
  localStorage.clear();
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

describe("saving", () => {
  it("saves an inactive flow once after a second without changes", async () => {
    const { state, remote, drafts } = open();
    state().patchNode("a", { name: "x" });
    await vi.advanceTimersByTimeAsync(600);
    state().patchNode("a", { name: "xy" });
    await vi.advanceTimersByTimeAsync(600);
    expect(remote.writes).toHaveLength(0);
    expect(drafts.read()?.definition.nodes[0]?.name).toBe("xy");
    await vi.advanceTimersByTimeAsync(500);
    expect(remote.writes).toHaveLength(1);
    expect(isDirty(state())).toBe(false);
    expect(state().version).toBe(2);
    expect(drafts.read()).toBeNull();
  });

  it("saves an active flow only when the user publishes", async () => {
    const { state, remote, saver, drafts } = open({ ...flowOf(1, "a"), status: "active" });
    state().patchNode("a", { name: "x" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(remote.writes).toHaveLength(0);
    expect(drafts.read()?.base).toBe(1);
    await saver.saveNow();
    expect(remote.writes).toHaveLength(1);
  });

  it("retries while the server is away, without losing changes", async () => {
    const { state, remote } = open();
    remote.trouble = "lost before";
    state().patchNode("a", { name: "x" });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(state().saving.kind).toBe("away");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(state().saving.kind).toBe("idle");
    expect(remote.flow.definition.nodes[0]?.name).toBe("x");
  });

  it("repeats an automatic save after a new login, but does not publish", async () => {
    const ended = new ApiError(401, "Your session had ended");
    const [draft, active] = [open(), open({ ...flowOf(1, "a"), status: "active" })];
    draft.remote.trouble = active.remote.trouble = ended;
    draft.state().patchNode("a", { name: "x" });
    active.state().patchNode("a", { name: "x" });
    void active.saver.saveNow();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([draft.remote.writes.length, active.remote.writes.length]).toEqual([1, 0]);
    expect(active.state().saving).toEqual({ kind: "refused", message: ended.message });
  });

  it("recognizes its own save if the response was lost", async () => {
    const { state, remote } = open();
    remote.trouble = "lost after";
    state().patchNode("a", { name: "x" });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(state().saving.kind).toBe("away");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(state().saving.kind).toBe("idle");
    expect(state().version).toBe(2);
    expect(remote.writes).toHaveLength(1);
  });

  it("reports a conflict and saves nothing until the user decides", async () => {
    const { state, remote, saver, drafts } = open();
    remote.flow = flowOf(2, "a", "theirs");
    state().patchNode("a", { name: "mine" });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(state().saving).toMatchObject({ kind: "conflict", theirs: { version: 2 } });
    state().patchNode("a", { name: "mine still" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(remote.flow.version).toBe(2);
    // After reopening the conflict is still open.
    expect(drafts.read()?.base).toBe(1);
    await saver.keepMine();
    expect(remote.flow.version).toBe(3);
    expect(remote.flow.definition.nodes.map((one) => one.name)).toEqual(["mine still"]);
  });

  it("keeps a conflict of a restored draft until the user decides", () => {
    const { state, drafts } = open(flowOf(2, "a"));
    state().setSaving({ kind: "conflict", theirs: flowOf(2, "a") });
    state().patchNode("a", { name: "mine" });
    expect(drafts.read()?.base).toBe(1);
  });

  it("uses their version on request, and undo restores mine", async () => {
    const { state, remote, saver } = open();
    remote.flow = flowOf(2, "a", "theirs");
    state().patchNode("a", { name: "mine" });
    await vi.advanceTimersByTimeAsync(1_100);
    saver.takeTheirs();
    expect(state().definition.nodes).toHaveLength(2);
    state().undo();
    await vi.advanceTimersByTimeAsync(1_100);
    expect(remote.flow).toMatchObject({ version: 3, definition: { nodes: [{ name: "mine" }] } });
  });

  it("shows another user's save at once if there are no local changes", () => {
    const { state, saver, told } = open();
    saver.onServer(flowOf(2, "a", "b"));
    expect(state().definition.nodes).toHaveLength(2);
    expect(told.taken).toBe(1);
  });

  it("ignores an outdated response", () => {
    const { state, saver } = open(flowOf(5, "a"));
    saver.onServer({ ...flowOf(4, "old"), name: "Old" });
    expect(state().definition.nodes[0]?.id).toBe("a");
    expect(state().flow.name).toBe("Orders");
  });

  it("shows a refusal that is not a conflict, and retries after the next change", async () => {
    const { state, remote } = open();
    remote.trouble = new ApiError(400, "edges[0].to: there is no node x");
    state().patchNode("a", { name: "x" });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(state().saving).toEqual({ kind: "refused", message: "edges[0].to: there is no node x" });
    state().patchNode("a", { name: "y" });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(state().saving.kind).toBe("idle");
  });

  it("treats a 409 for another reason as a refusal", async () => {
    const { state, remote, saver } = open({ ...flowOf(1, "a"), status: "active" });
    state().patchNode("a", { name: "x" });
    remote.trouble = new ApiError(409, "another flow has this address");
    expect(await saver.saveNow()).toBe(false);
    expect(state().saving).toMatchObject({ kind: "refused" });
  });

  it("discards changes so that undo brings them back", () => {
    const { state, saver } = open({ ...flowOf(1, "a"), status: "active" });
    state().patchNode("a", { name: "x" });
    saver.discard();
    expect(isDirty(state())).toBe(false);
    state().undo();
    expect(state().definition.nodes[0]?.name).toBe("x");
  });

  it("deletes the kept draft when undo restores the server's version", () => {
    const { state, drafts } = open();
    state().patchNode("a", { name: "x" });
    expect(drafts.read()).not.toBeNull();
    state().undo();
    expect(drafts.read()).toBeNull();
  });
});
