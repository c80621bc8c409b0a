import { expect, it } from "vitest";
import type { Command } from "./commands";
import { ranked, sections } from "./ranking";

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
