import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { actionInWords, changesInWords, type Entry, pageOf, SUBJECTS } from "./audit";

function entry(changes: object, more: Partial<Entry> = {}): Entry {
  return {
    id: "aud_1",
    action: "flow.updated",
    workspace_id: "ws_1",
    user_id: "usr_1",
    user_email: "ada@example.org",
    token_name: null,
    target_type: "flow",
    target_id: "wf_1",
    target_name: "Orders",
    changes,
    names: {},
    address: null,
    created_at: "2026-11-25T10:00:00.000Z",
    ...more,
  } as Entry;
}

const texts = (one: Entry) => changesInWords(one).map(({ text, link }) => text + (link?.label ?? ""));

test("an action has a text", () => {
  expect(actionInWords("flow.activated")).toBe("Activated a flow");
  expect(actionInWords("agent.deleted")).toBe("Deleted an agent");
  expect(actionInWords("token.created")).toBe("Created an API token");
  expect(actionInWords("token.withdrawn")).toBe("Revoked an API token");
  expect(actionInWords("session.opened")).toBe("Logged in");
});

test("the filter offers every action", () => {
  const schema = readFileSync(new URL("../../api/schema.d.ts", import.meta.url), "utf8");
  const known = /\baction: ("agent\.created"[^;]*);/.exec(schema)?.[1]?.match(/[a-z]+\.[a-z_]+/g);
  expect(known?.length).toBeGreaterThan(30);
  const offered = SUBJECTS.flatMap(({ value, verbs }) => verbs.map((verb) => `${value}.${verb}`));
  expect(offered.sort()).toEqual(known?.sort());
});

test("a change shows the values before and after, or only its field if the values are secret", () => {
  const changes = {
    status: { before: "draft", after: "active" },
    role: { before: "viewer", after: "owner" },
    hosts: { before: null, after: ["a.example"] },
    data: { changed: true },
    nodes: { added: 2, removed: 0, changed: 1 },
    new_user: true,
    days: null,
  };
  expect(texts(entry(changes))).toEqual([
    "status: Inactive → Active",
    "role: Viewer → Owner",
    "hosts: none → “a.example”",
    "data changed",
    "nodes: 2 added, 1 changed",
    "new user: yes",
    "without expiry",
  ]);
});

test("an existing target shows its current name with a link, a deleted one its recorded name", () => {
  const retried = { run_id: "run_2", error_workflow_id: { before: "wf_7", after: "wf_8" } };
  const one = entry(retried, { names: { run_2: "Orders", wf_8: "Alarm" } });
  expect(changesInWords(one)).toEqual([
    { text: "run: ", link: { label: "Orders", path: "/runs/run_2" } },
    { text: "error workflow: “wf_7” → “Alarm”" },
  ]);
});

test("a new version is linked while the flow exists", () => {
  const changes = { version: { before: 2, after: 3 } };
  const [line] = changesInWords(entry(changes, { names: { wf_1: "Orders" } }));
  expect(line).toEqual({
    text: "version: 2 → ",
    link: { label: "3", path: "/flows/wf_1/versions?version=3" },
  });
  expect(changesInWords(entry(changes))).toEqual([{ text: "version: 2 → 3" }]);
});

test("each kind of target has a page", () => {
  expect(pageOf("cred_1", entry({}))).toBe("/credentials?credential=cred_1");
  expect(pageOf("mem_1", entry({ agent_id: "helper" }))).toBe("/agents/helper?tab=memory");
  expect(pageOf("helper", entry({}, { target_type: "agent" }))).toBe("/agents/helper");
  expect(pageOf("ses_1", entry({}))).toBeUndefined();
});
