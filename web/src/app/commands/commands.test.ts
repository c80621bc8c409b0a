// @vitest-environment jsdom
import { beforeEach, expect, it } from "vitest";
import { forgetRuns } from "../session";
import { recentItems, remember } from "./commands";

beforeEach(() => localStorage.clear());

it("keeps the latest items of each workspace, each once", () => {
  for (let at = 0; at < 30; at += 1) remember("ws_1", { id: `flow ${at}`, label: `Flow ${at}` });
  remember("ws_1", { id: "flow 20", label: "Renamed" });
  remember("ws_2", { id: "flow x", label: "Other" });
  const kept = recentItems("ws_1");
  expect(kept.slice(0, 2)).toEqual([
    { id: "flow 20", label: "Renamed" },
    { id: "flow 29", label: "Flow 29" },
  ]);
  expect(kept).toHaveLength(20);
  expect(recentItems("ws_2")).toHaveLength(1);
});

it.each(["{", "null", '{"id": 1}', '[1, null, {"id": "a"}]'])("ignores invalid content %s", (text) => {
  localStorage.setItem("headrace.recent.ws_1", text);
  expect(recentItems("ws_1")).toEqual([]);
});

it("is forgotten when the user logs out", () => {
  remember("ws_1", { id: "flow 1", label: "Payroll" });
  forgetRuns();
  expect(recentItems("ws_1")).toEqual([]);
});
