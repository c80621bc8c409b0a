import { describe, expect, it } from "vitest";
import type { NodeType } from "@/api/catalogue";
import { entryOfPreset, entryOfType, grouped, type Preset, ranked } from "./rank";

function type(name: string, word: string, category: string, description: string, also: string[] = []) {
  return entryOfType({ name, type: word, category, description, also, install: null } as unknown as NodeType);
}

const ENTRIES = [
  type("Webhook", "webhook", "trigger", "Starts a run for each HTTP request to an address."),
  type("If", "if", "logic", "Goes on by one of two branches."),
  type("Code", "code", "data", "Runs Python."),
  type("HTTP request", "http", "integration", "Calls an address and gives what it answers.", [
    "rest api",
    "mail api",
  ]),
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
