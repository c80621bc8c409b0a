// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "@/api/client";
import type { Definition } from "@/definition/types";
import { isDirty, isUnpublished, makeStore, type ServerDraft, type ServerFlow } from "../store";
import { draftsOf, restoredOf } from "./drafts";
import { makeSaver, type PublishOptions } from "./saver";

const node = (id: string) => ({ id, type: "log", position: { x: 0, y: 0 } });
const flowOf = (version: number, ...ids: string[]): ServerFlow => ({
  id: "wf_1",
  name: "Orders",
  status: "draft",
  version,
  definition: { nodes: ids.map(node), edges: [] },
});

const NO_DRAFT = { revision: 0, base: null, definition: null, by: null };
const ann = { userId: "usr_ann", who: "Ann", at: "2026-01-01T00:00:00Z" };

/** A server with one flow whose responses can be lost or refused. */
function server(first: ServerFlow) {
  const it = {
    flow: { draft: NO_DRAFT, ...first } as ServerFlow & { draft: ServerDraft },
    writes: [] as Definition[],
    published: [] as PublishOptions[],
    trouble: null as null | "lost before" | "lost after" | ApiError,
    read: async () => {
      if (it.trouble === "lost before") throw new ApiError(0, "away");
      return it.flow;
    },
    /** Another user, or this one, saves a draft. */
    save: (definition: Definition | null, base: number | null) => {
      const revision = it.flow.draft.revision + 1;
      it.flow = { ...it.flow, draft: { revision, base, definition, by: definition && ann } };
    },
    write: async (definition: Definition, base: number, revision: number) => {
      const trouble = it.trouble;
      it.trouble = null;
      if (trouble === "lost before") throw new ApiError(0, "away");
      if (trouble instanceof ApiError) throw trouble;
      if (revision !== it.flow.draft.revision) throw new ApiError(409, "stale");
      it.writes.push(definition);
      it.save(definition, base);
      if (trouble === "lost after") throw new ApiError(502, "gone");
      return it.flow.draft;
    },
    publish: async (options: PublishOptions, revision: number) => {
      if (it.trouble instanceof ApiError) throw it.trouble;
      const { draft, version } = it.flow;
      if (revision !== draft.revision || draft.base !== version) throw new ApiError(409, "stale");
      it.published.push(options);
      it.flow = { ...it.flow, version: version + 1, definition: draft.definition as Definition };
      if (options.activate) it.flow = { ...it.flow, status: "active" };
      it.save(null, null);
      return { flow: it.flow, warnings: [] };
    },
    discard: async () => {
      it.save(null, null);
      return it.flow;
    },
  };
  return it;
}

function open(first = flowOf(1, "a")) {
  const remote = server(first);
  const store = makeStore(remote.flow);
  const drafts = draftsOf("user_1", "wf_1", { own: "here", open: null });
  const told = { taken: [] as boolean[] };
  const saver = makeSaver(store, remote, drafts, { onTaken: (_, isShown) => told.taken.push(isShown) });
  const draftNames = () => remote.flow.draft.definition?.nodes.map((one) => one.name ?? one.id);
  return { remote, store, drafts, saver, told, draftNames, state: () => store.getState() };
}
const ACTIVE: ServerFlow = { ...flowOf(1, "a"), status: "active" };

beforeEach(() => {
  localStorage.clear();
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

describe("saving", () => {
  for (const flow of [flowOf(1, "a"), ACTIVE]) {
    it(`saves the draft of a flow (${flow.status}) once after a second without changes`, async () => {
      const { state, remote, drafts } = open(flow);
      state().patchNode("a", { name: "x" });
      await vi.advanceTimersByTimeAsync(600);
      state().patchNode("a", { name: "xy" });
      await vi.advanceTimersByTimeAsync(600);
      expect(remote.writes).toHaveLength(0);
      expect(drafts.read()?.definition.nodes[0]?.name).toBe("xy");
      await vi.advanceTimersByTimeAsync(500);
      expect(remote.writes).toHaveLength(1);
      expect([isDirty(state()), isUnpublished(state())]).toEqual([false, true]);
      expect([state().version, state().revision, remote.flow.version]).toEqual([1, 1, 1]);
      expect(drafts.read()).toBeNull();
    });
  }

  it("publishes what is on the screen, also before it is saved", async () => {
    const { state, remote, saver } = open(ACTIVE);
    state().patchNode("a", { name: "x" });
    await saver.publish({ name: "First" });
    expect(remote.flow.definition.nodes[0]?.name).toBe("x");
    expect(remote.published).toEqual([{ name: "First" }]);
    expect([isDirty(state()), isUnpublished(state()), state().version]).toEqual([false, false, 2]);
  });

  it("keeps changes made while it publishes, based on the new version", async () => {
    const { state, remote, saver } = open(ACTIVE);
    state().patchNode("a", { name: "x" });
    await saver.saveNow();
    const done = saver.publish();
    await Promise.resolve();
    state().patchNode("a", { name: "xy" });
    await done;
    await vi.advanceTimersByTimeAsync(1_100);
    expect(remote.flow).toMatchObject({
      version: 2,
      draft: { base: 2, definition: { nodes: [{ name: "xy" }] } },
    });
    expect(remote.flow.definition.nodes[0]?.name).toBe("x");
  });

  it("publishes nothing that is refused, and keeps the draft", async () => {
    const { state, remote, saver } = open(ACTIVE);
    state().patchNode("a", { name: "x" });
    await saver.saveNow();
    remote.trouble = new ApiError(400, "not valid");
    await expect(saver.publish()).rejects.toThrow("not valid");
    expect([isUnpublished(state()), state().saving.kind]).toEqual([true, "idle"]);
  });

  it("retries while the server is away, without losing changes", async () => {
    const { state, remote, draftNames } = open();
    remote.trouble = "lost before";
    state().patchNode("a", { name: "x" });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(state().saving.kind).toBe("away");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(state().saving.kind).toBe("idle");
    expect(draftNames()).toEqual(["x"]);
  });

  it("repeats an automatic save after a new login", async () => {
    const { remote, state } = open(ACTIVE);
    remote.trouble = new ApiError(401, "Your session had ended");
    state().patchNode("a", { name: "x" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(remote.writes).toHaveLength(1);
  });

  it("recognizes its own save if the response was lost", async () => {
    const { state, remote } = open();
    remote.trouble = "lost after";
    state().patchNode("a", { name: "x" });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(state().saving.kind).toBe("away");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(state().saving.kind).toBe("idle");
    expect(state().revision).toBe(1);
    expect(remote.writes).toHaveLength(1);
  });

  /** Another user's draft: the node has another name, and there is one more. */
  const THEIRS = { nodes: [{ ...node("a"), name: "theirs" }, node("more")], edges: [] };

  it("keeps the changes of both if they are in different places, and undo takes back only one's own", async () => {
    const { state, remote, told, draftNames } = open(flowOf(1, "a", "b"));
    state().patchNode("a", { name: "first" });
    remote.save({ nodes: [node("a"), { ...node("b"), name: "theirs" }], edges: [] }, 1);
    await vi.advanceTimersByTimeAsync(2_200);
    expect([draftNames(), state().saving.kind, told.taken]).toEqual([["first", "theirs"], "idle", [true]]);
    state().undo();
    await vi.advanceTimersByTimeAsync(1_100);
    expect(draftNames()).toEqual(["a", "theirs"]);
  });

  it("gives a node another id if another user has added a different one under it", async () => {
    const { state, remote, draftNames } = open();
    const mine = state().addNode({ type: "http", name: "mine" }, {});
    state().pin(mine, { output: 1 });
    remote.save({ nodes: [node("a"), { ...node(mine), type: "http", name: "theirs" }], edges: [] }, 1);
    await vi.advanceTimersByTimeAsync(2_200);
    expect(draftNames()?.sort()).toEqual(["a", "mine", "theirs"]);
    expect([mine, Object.keys(state().pinned), state().selected]).toEqual(["http", ["http_2"], ["http_2"]]);
  });

  it("reports a conflict and saves nothing until the user decides", async () => {
    const { state, remote, saver, drafts, draftNames } = open();
    remote.save(THEIRS, 1);
    state().patchNode("a", { name: "mine" });
    await vi.advanceTimersByTimeAsync(1_100);
    expect(state().saving).toMatchObject({ kind: "conflict", theirs: { draft: { revision: 1 } } });
    state().patchNode("a", { name: "mine still" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(remote.flow.draft.revision).toBe(1);
    // After reopening the conflict is still open.
    expect(restoredOf(drafts.read(), remote.flow).kind).toBe("conflict");
    await saver.keepMine();
    expect(remote.flow.draft.revision).toBe(2);
    expect(draftNames()).toEqual(["mine still", "more"]);
  });

  it("uses their draft on request, and undo restores mine", async () => {
    const { state, remote, saver, draftNames } = open();
    remote.save(THEIRS, 1);
    state().patchNode("a", { name: "mine" });
    await vi.advanceTimersByTimeAsync(1_100);
    await saver.takeTheirs();
    expect(state().definition.nodes.map((one) => one.name)).toEqual(["theirs", undefined]);
    state().undo();
    await vi.advanceTimersByTimeAsync(1_100);
    expect(draftNames()).toEqual(["mine", "more"]);
  });

  it("shows another user's draft at once if there are no local changes", () => {
    const { state, saver, told, remote } = open();
    remote.save(flowOf(1, "a", "b").definition, 1);
    saver.onServer(remote.flow);
    expect(state().definition.nodes).toHaveLength(2);
    expect([told.taken, state().draftBy?.who]).toEqual([[true], "Ann"]);
  });

  it("goes on with its changes when somebody else publishes the draft that they are based on", async () => {
    const { state, saver, remote, told } = open();
    state().patchNode("a", { name: "x" });
    await saver.saveNow();
    state().patchNode("a", { name: "xy" });
    await remote.publish({}, 1);
    saver.onServer(remote.flow);
    expect([state().saving.kind, state().base, told.taken]).toEqual(["idle", 2, [false]]);
    await vi.advanceTimersByTimeAsync(1_100);
    expect(remote.flow).toMatchObject({
      version: 2,
      draft: { base: 2, definition: { nodes: [{ name: "xy" }] } },
    });
  });

  it("shows that a draft is based on an older version, and can base it on the current one", async () => {
    const { state, saver, remote } = open();
    state().patchNode("a", { name: "x" });
    await saver.saveNow();
    remote.flow = { ...remote.flow, version: 2, definition: flowOf(2, "other").definition };
    saver.onServer(remote.flow);
    expect([state().base, state().version, state().saving.kind]).toEqual([1, 2, "idle"]);
    await expect(saver.publish()).rejects.toThrow("stale");
    await saver.rebase();
    await saver.publish();
    expect(remote.flow.definition.nodes[0]?.name).toBe("x");
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
    const { state, remote, saver } = open();
    state().patchNode("a", { name: "x" });
    remote.trouble = new ApiError(409, "the flow was deleted");
    expect(await saver.saveNow()).toBe(false);
    expect(state().saving).toMatchObject({ kind: "refused" });
  });

  it("discards the draft for everybody, and undo brings it back", async () => {
    const { state, saver, remote, draftNames } = open(ACTIVE);
    state().patchNode("a", { name: "x" });
    await saver.saveNow();
    await saver.discard();
    expect([isDirty(state()), isUnpublished(state()), remote.flow.draft.definition]).toEqual([false, false, null]);
    state().undo();
    await vi.advanceTimersByTimeAsync(1_100);
    expect(draftNames()).toEqual(["x"]);
  });

  it("deletes the kept changes when undo restores the server's version", () => {
    const { state, drafts } = open();
    state().patchNode("a", { name: "x" });
    expect(drafts.read()).not.toBeNull();
    state().undo();
    expect(drafts.read()).toBeNull();
  });
});
