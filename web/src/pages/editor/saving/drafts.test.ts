// @vitest-environment jsdom
import { beforeEach, describe, expect, it } from "vitest";
import type { Definition } from "@/definition/types";
import {
  type Draft,
  draftsOf,
  firstOf,
  LONGEST,
  MOST_DRAFTS,
  newsIn,
  pruneDrafts,
  restoredOf,
  UNDECIDED,
} from "./drafts";

const definitionOf = (...ids: string[]): Definition => ({
  nodes: ids.map((id) => ({ id, type: "log", position: { x: 0, y: 0 } })),
  edges: [],
});
const server = (version: number, ...ids: string[]) => ({ version, definition: definitionOf(...ids) });
const draft = (id: string, base = 3, at = 1): Draft => ({
  base,
  revision: 0,
  definition: definitionOf(id),
  sent: null,
  at,
});

/** Return the drafts as seen by the tab of this name, with the given tabs open. */
function tab(own: string, open: string[] | null = [], user = "user_1", flow = "wf_1") {
  const tabs = { own, open: open === null ? null : new Set(open) };
  return { tabs, drafts: draftsOf(user, flow, tabs) };
}
const idsOf = (found: { definition: Definition }[]) => found.map((one) => one.definition.nodes[0]?.id);

beforeEach(() => localStorage.clear());

describe("drafts of several tabs", () => {
  it("are kept separately", () => {
    const [one, two] = [tab("one"), tab("two")];
    one.drafts.write(draft("a"));
    two.drafts.write(draft("b"));
    expect(one.drafts.read()?.definition.nodes[0]?.id).toBe("a");
    two.drafts.clear();
    expect(one.drafts.read()?.definition.nodes[0]?.id).toBe("a");
  });

  it("are offered to other tabs after their tab is closed, newest first", () => {
    tab("old").drafts.write(draft("a", 3, 1));
    tab("new").drafts.write(draft("b", 3, 2));
    tab("open").drafts.write(draft("c", 3, 3));
    expect(idsOf(tab("me", ["open", "me"]).drafts.left())).toEqual(["b", "a"]);
    expect(idsOf(tab("me", null).drafts.left())).toEqual(["c", "b", "a"]);
  });

  it("are only shown to their user, in their flow", () => {
    tab("one").drafts.write(draft("a"));
    expect(tab("two", [], "user_2").drafts.left()).toEqual([]);
    expect(tab("two", [], "user_1", "wf_2").drafts.left()).toEqual([]);
    expect(tab("one", [], "user_2").drafts.read()).toBeNull();
  });

  it("are deleted if the server has the same definition", () => {
    tab("one").drafts.write(draft("a"));
    const { drafts } = tab("two");
    expect(newsIn(drafts, server(7, "a"))).toEqual([]);
    expect(drafts.left()).toEqual([]);
  });

  it("expire by age and number, except those of open tabs", () => {
    for (let at = 0; at < MOST_DRAFTS + 5; at += 1) {
      tab(`tab${at}`, [], "user_1", `wf_${at}`).drafts.write(draft("a", 3, LONGEST + at));
    }
    tab("stale").drafts.write(draft("a", 3, 1));
    tab("me").drafts.write(draft("a", 3, 2));
    localStorage.setItem("headrace.draft.user_1.wf_1.broken", "{");
    const { tabs } = tab("me", ["me", "tab0"]);
    pruneDrafts(tabs, LONGEST + 10);
    const left = Object.keys(localStorage).map((key) => key.slice(key.lastIndexOf(".") + 1));
    expect(left).toHaveLength(MOST_DRAFTS + 2);
    expect(left).toEqual(expect.arrayContaining(["me", "tab0", "tab5", `tab${MOST_DRAFTS + 4}`]));
  });
});

describe("opening a flow with kept drafts", () => {
  it("restores this tab's draft", () => {
    tab("other").drafts.write(draft("theirs", 3, 9));
    const { drafts, tabs } = tab("me");
    drafts.write(draft("mine"));
    expect(firstOf(drafts, tabs, server(3, "a"))).toMatchObject({ definition: definitionOf("mine") });
    expect(idsOf(drafts.left())).toEqual(["theirs"]);
  });

  it("else restores the latest draft of a closed tab, which becomes this tab's", () => {
    tab("old").drafts.write(draft("older", 3, 1));
    tab("new").drafts.write(draft("newer", 3, 2));
    const { drafts, tabs } = tab("me");
    expect(firstOf(drafts, tabs, server(3, "a"))).toMatchObject({ kind: "restored" });
    expect(drafts.read()?.definition.nodes[0]?.id).toBe("newer");
    expect(idsOf(drafts.left())).toEqual(["older"]);
  });

  it("restores no draft of a tab that may be open, and none based on an older version", () => {
    tab("other").drafts.write(draft("theirs"));
    const unsure = tab("me", null);
    expect(firstOf(unsure.drafts, unsure.tabs, server(3, "a")).kind).toBe("nothing");
    const late = tab("me");
    expect(firstOf(late.drafts, late.tabs, server(4, "a")).kind).toBe("nothing");
    expect(idsOf(late.drafts.left())).toEqual(["theirs"]);
  });

  it("restores it on its base version", () => {
    expect(restoredOf(draft("mine"), server(3, "a")).kind).toBe("restored");
  });

  it("detects a conflict if another user saved since", () => {
    expect(restoredOf(draft("mine"), server(4, "theirs")).kind).toBe("conflict");
  });

  it("detects none if the save was ours and its response was lost", () => {
    const sent = definitionOf("half");
    expect(restoredOf({ ...draft("mine"), sent }, server(4, "half")).kind).toBe("restored");
  });

  it("restores nothing if the server has the same definition", () => {
    expect(restoredOf(draft("mine"), server(9, "mine")).kind).toBe("nothing");
    expect(restoredOf(null, server(9, "a")).kind).toBe("nothing");
  });

  it("ignores invalid drafts", () => {
    const { drafts } = tab("me");
    localStorage.setItem("headrace.draft.user_1.wf_1.me", '{"base": 1, "defin');
    expect(drafts.read()).toBeNull();
    localStorage.setItem("headrace.draft.user_1.wf_1.me", '{"base": 1, "at": 1, "definition": 7}');
    expect(drafts.read()).toBeNull();
  });

  it("continues the server's draft of the same revision, also if it is based on an older version", () => {
    const theirs = { revision: 4, base: 2, definition: definitionOf("b"), by: null };
    const kept = { ...draft("a", 2), revision: 4 };
    expect(restoredOf(kept, { ...server(3, "c"), draft: theirs }).kind).toBe("restored");
    expect(restoredOf(kept, { ...server(3, "c"), draft: { ...theirs, revision: 5 } }).kind).toBe("conflict");
    const undecided = { ...kept, revision: UNDECIDED };
    expect(restoredOf(undecided, { ...server(3, "c"), draft: theirs }).kind).toBe("conflict");
  });
});
