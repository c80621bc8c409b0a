import { expect, it } from "vitest";
import type { Command } from "./commands";
import { hasPart, noRunWith, ranked, runIdIn, sections } from "./ranking";

function command(label: string, more: Partial<Command> = {}): Command {
  return { id: label, label, group: "Actions", run: () => {}, ...more };
}

const COMMANDS = [
  command("New flow", { words: "create workflow" }),
  command("Import a flow"),
  command("Runs", { group: "Pages", words: "executions" }),
  command("Log out"),
  command("Logs", { group: "Pages" }),
  command("Nightly backup", { group: "Flows", searched: true }),
  command("HTTP request", { group: "Add a node", about: "Call an HTTP API", searched: true }),
];
const labels = (search: string, recent: string[] = []) =>
  ranked(
    COMMANDS,
    search,
    recent.map((id) => ({ id, label: id })),
  ).map(({ label }) => label);

it.each([
  ["logs", ["Logs"]],
  ["log", ["Log out", "Logs"]],
  ["executions", ["Runs"]],
  ["nb", ["Nightly backup"]],
  ["nigbac", ["Nightly backup"]],
  ["flow new", ["New flow"]],
  ["request api", ["HTTP request"]],
  ["xyz", []],
  ["   ", []],
])("finds for %j", (search, expected) => {
  expect(labels(search).slice(0, expected.length)).toEqual(expected);
  if (expected.length === 0) expect(labels(search)).toEqual([]);
});

it("puts a recent item before an equal one, but not before a better one", () => {
  expect(labels("log", ["Logs"])).toEqual(["Logs", "Log out"]);
  expect(labels("logs", ["Log out"])[0]).toBe("Logs");
});

it("ignores case and accents of other letters stay", () => {
  const umlaut = [command("Übersicht"), command("Ubersicht")];
  expect(ranked(umlaut, "über", []).map(({ label }) => label)).toEqual(["Übersicht"]);
});

it("lists what the server found by other words, after all others", () => {
  const tagged = command("Weekly", { group: "Flows", found: true });
  const found = ranked([tagged, ...COMMANDS], "backup", []);
  expect(found.map(({ label }) => label)).toEqual(["Nightly backup", "Weekly"]);
});

it("lists a command once, with the first of its forms", () => {
  const twice = [command("Keys here", { id: "keys" }), command("Keys", { id: "keys" })];
  expect(ranked(twice, "keys", []).map(({ label }) => label)).toEqual(["Keys here"]);
});

it("shows recent items first without a search, and hides what must be searched", () => {
  const shown = sections(COMMANDS, [
    { id: "Nightly backup", label: "" },
    { id: "gone", label: "" },
  ]);
  expect(shown.map(({ group, commands }) => [group, commands.map(({ label }) => label)])).toEqual([
    ["Recent", ["Nightly backup"]],
    ["Actions", ["New flow", "Import a flow", "Log out"]],
    ["Pages", ["Runs", "Logs"]],
  ]);
});

it("reads the first words of a pasted text, and shows a limited number of results", () => {
  const many = Array.from({ length: 300 }, (_, at) => command(`Node number ${at}`));
  expect(ranked(many, `node ${"number ".repeat(2_000)}`, [])).toHaveLength(50);
});

const ID = "run_01K9ZQ3V7M8N2P4R6S8T0V2W4X";

it.each([
  [ID, ID],
  [ID.toLowerCase(), ID],
  [ID.slice(4), ID],
  [`  https://host/runs/${ID}?tab=log `, ID],
  ["run_01K9", "run_01K9"],
  ["01k9zq3v", "run_01K9ZQ3V"],
  ["0V2W4X", "0V2W4X"],
  ["run 0v2w4x", "0V2W4X"],
  ["#0V2W4X", "0V2W4X"],
  ["nightly backup", null],
  ["run_", null],
  ["01K9", null],
  [`${ID}0`, null],
  ["", null],
])("reads %j", (text, expected) => {
  expect(runIdIn(text)).toBe(expected);
});

it("compares the beginning and the end of an id", () => {
  expect(hasPart(ID, "run_01K9")).toBe(true);
  expect(hasPart(ID, "0V2W4X")).toBe(true);
  expect(hasPart(ID, "ZQ3V7M")).toBe(false);
});

it("says which id no run has", () => {
  expect(noRunWith(ID)).toContain(`no run with the id ${ID}`);
  expect(noRunWith("run_01K9")).toContain("begins with run_01K9");
  expect(noRunWith("0V2W4X")).toContain("ends with 0V2W4X");
});
