import { describe, expect, it } from "vitest";
import type { NodeType } from "@/api/catalogue";
import { entriesOfServices, entryOfPreset, entryOfType, grouped, listed, type Preset, ranked } from "./rank";

function type(name: string, word: string, category: string, description: string, also: string[] = []) {
  return entryOfType({ name, type: word, category, description, also, install: null } as unknown as NodeType);
}

const ENTRIES = [
  type("Webhook", "webhook", "trigger", "Starts a run for each HTTP request to an address."),
  type("If", "if", "logic", "Goes on by one of two branches."),
  type("Code", "code", "data", "Runs Python."),
  type("HTTP request", "http", "integration", "Calls an address and gives what it answers.", ["rest api", "mail api"]),
  type("Email", "email", "integration", "Sends a mail over SMTP."),
  type("Notify", "notify", "integration", "Sends a message, by email or to a chat."),
];

function names(search: string): string[] {
  return ranked(ENTRIES, search).map((entry) => entry.name);
}

describe("the palette's search", () => {
  it("ranks a name before a mention of the word", () => {
    expect(names("email")).toEqual(["Email", "Notify"]);
    expect(names("http")).toEqual(["HTTP request", "Webhook"]);
  });

  it("finds names of other products, ranked after our names", () => {
    expect(names("rest")).toEqual(["HTTP request"]);
    expect(names("mail")).toEqual(["Email", "HTTP request", "Notify"]);
  });

  it("requires every word", () => {
    expect(names("sends chat")).toEqual(["Notify"]);
    expect(names("http zebra")).toEqual([]);
  });

  it("finds by category, description and spread letters", () => {
    expect(names("trigger")).toEqual(["Webhook"]);
    expect(names("python")).toEqual(["Code"]);
    expect(names("wbhk")).toEqual(["Webhook"]);
  });

  it("returns all entries in order, by heading, for an empty search", () => {
    expect(names("  ")).toEqual(ENTRIES.map((entry) => entry.name));
    expect(grouped(ENTRIES).map((one) => [one.group, one.entries.length])).toEqual([
      ["trigger", 1],
      ["logic", 1],
      ["data", 1],
      ["integration", 3],
    ]);
  });

  it("suggests triggers for an empty flow, and then nodes to go on with", () => {
    const first = (isEmpty: boolean) => listed(ENTRIES, [], isEmpty)[0];
    expect(first(true)).toMatchObject({ group: "Suggested", entries: [{ name: "Webhook" }] });
    expect(first(false)?.entries.map((entry) => entry.name)).toEqual(["HTTP request", "If", "Code"]);
  });

  it("creates a node from a preset, without the preset's node id", () => {
    const preset = {
      id: "pr_1",
      title: "Pets",
      name: "List pets",
      key: "get /pets",
      node: { id: "x", type: "http", config: { url: "u" } },
    };
    const entry = entryOfPreset(preset as unknown as Preset, () => undefined);
    expect(entry.node).toEqual({ type: "http", name: "List pets", config: { url: "u" } });
    expect(entry.group).toBe("Pets");
  });
});

describe("services", () => {
  const service = { type: "google_sheets", name: "Google Sheets" };
  const connector = {
    name: "Google Sheets",
    type: "google_sheets",
    service,
    trigger: false,
    category: "integration",
    description: "Rows of spreadsheets.",
    also: ["excel"],
    install: null,
    operations: [
      { id: "append_row", name: "Append row", group: "Row", also: ["insert"] },
      { id: "read_rows", name: "Read rows", group: "Row", also: [] },
    ],
  } as unknown as NodeType;
  const trigger = {
    ...connector,
    name: "New in Google Sheets",
    type: "google_sheets_poll",
    trigger: true,
    operations: [{ id: "read_rows", name: "New row", group: "Row", also: [] }],
  } as unknown as NodeType;
  const sheets = entriesOfServices([connector]);
  const all = [...ENTRIES, ...sheets];

  it("are found by what they do, and make a node that does it", () => {
    const [first] = ranked(all, "append row");
    expect(first?.name).toBe("Google Sheets: Append row");
    expect(first?.node).toEqual({ type: "google_sheets", config: { operation: "append_row" } });
    expect(ranked(all, "insert").map((entry) => entry.name)).toEqual(["Google Sheets: Append row"]);
    expect(ranked(all, "google sheets")[0]?.key).toBe("type google_sheets");
  });

  it("list their operations only in a search, or if they were used last", () => {
    expect(listed(all, [], false).at(-1)).toMatchObject({ group: "Services", entries: [{ name: "Google Sheets" }] });
    const recent = listed(all, ["operation google_sheets read_rows", "type gone"], false).find((one) =>
      one.group.startsWith("Recently"),
    );
    expect(recent?.entries.map((entry) => entry.name)).toEqual(["Google Sheets: Read rows"]);
  });

  it("have their trigger beside them, also in a search for their name", () => {
    const both = entriesOfServices([trigger, connector]);
    expect(ranked(both, "google").map((entry) => entry.name)).toEqual([
      "Google Sheets",
      "New in Google Sheets",
      "Google Sheets: Append row",
      "Google Sheets: Read rows",
      "New in Google Sheets: New row",
    ]);
  });

  it("need no choice of an operation if they have only one", () => {
    const [entry] = entriesOfServices([trigger]);
    expect(entry?.node).toEqual({ type: "google_sheets_poll", config: { operation: "read_rows" } });
  });
});
