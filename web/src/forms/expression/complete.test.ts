import { describe, expect, it } from "vitest";
import { complete, insertionAt, wantedStep } from "./complete";
import { regionsOf, tokensOf } from "./regions";
import type { Scope } from "./scope";

const SCOPE: Scope = {
  input: {
    total: 3,
    customer: { name: "Ada", "e-mail": "a@example.com" },
    lines: [{ sku: "a" }, { sku: "b" }],
  },
  trigger: { id: 7 },
  vars: { limit: 5 },
  steps: [
    { id: "fetch", name: "Get the order", output: { status: 200, body: { ok: true } } },
    { id: "my-node", name: "Mine", output: [1] },
    { id: "later", name: "Not known" },
  ],
  secrets: ["weather", "a name"],
  perItem: false,
};

/** Return the options at the `^` in the text. */
function at(marked: string, scope: Scope = SCOPE) {
  const position = marked.indexOf("^");
  return complete(marked.replace("^", ""), position, scope);
}

function labels(marked: string, scope?: Scope): string[] {
  return at(marked, scope)?.options.map((option) => option.label) ?? [];
}

describe("completion", () => {
  it("offers nothing outside an expression", () => {
    expect(at("steps.^ {{ input }}")).toBeNull();
    expect(at("{{ input }} tota^")).toBeNull();
    expect(at("{ ^")).toBeNull();
  });

  it("starts with the names in scope, nodes and functions", () => {
    expect(labels("{{^}}")).toEqual(expect.arrayContaining(["input", "steps", "now", "steps.fetch", "len()", "not"]));
    expect(labels("{{ ^ }}")).not.toContain("item");
    expect(labels("{{ ^ }}", { ...SCOPE, perItem: true })).toEqual(expect.arrayContaining(["item", "index"]));
    expect(at("a {{ inp^ }}")).toMatchObject({ from: 5, to: 8 });
  });

  it("offers the keys of the input, at any depth", () => {
    expect(labels("{{ input.^ }}")).toEqual(expect.arrayContaining(["total", "customer", "lines", "get()"]));
    expect(labels("{{ input.customer.^ }}")).toContain("name");
    expect(labels('{{ input["customer"].na^ }}')).toContain("name");
    expect(labels("{{ input.lines[0].^ }}")).toContain("sku");
    expect(labels("{{ input.lines[-1].^ }}")).toContain("sku");
  });

  it("shows the value beside a key", () => {
    expect(at("{{ input.^ }}")?.options.find((one) => one.label === "total")?.detail).toBe("3");
  });

  it("uses a bracket for a key that is not a name", () => {
    const option = at("{{ input.customer.^ }}")?.options.find((one) => one.label === "e-mail");
    expect(option).toMatchObject({ insert: '["e-mail"]', from: 17 });
    expect(at("{{ steps.^ }}")?.options.find((one) => one.label === "my-node")).toMatchObject({
      insert: '["my-node"]',
      from: 8,
    });
  });

  it("offers the items of a list by index", () => {
    expect(at("{{ input.lines.^ }}")?.options[0]).toMatchObject({ label: "first item", insert: "[0]" });
  });

  it("completes within the quotes of a bracket", () => {
    expect(labels('{{ steps["^"] }}')).toEqual(["fetch", "my-node", "later"]);
    expect(labels('{{ input["customer"]["^ }}')).toContain("e-mail");
  });

  it("offers steps by id, with name and output of the last run", () => {
    expect(at("{{ steps.^ }}")?.options[0]).toMatchObject({ label: "fetch", detail: "Get the order" });
    expect(labels("{{ steps.fetch.^ }}")).toEqual(expect.arrayContaining(["status", "body"]));
    expect(labels("{{ steps.fetch.body.^ }}")).toContain("ok");
    expect(at("{{ steps.later.^ }}")).toBeNull();
  });

  it("offers secrets, the run, the workflow, the variables, the trigger and the time", () => {
    expect(labels("{{ secrets.^ }}")).toEqual(["weather", "a name"]);
    expect(labels("{{ run.^ }}")).toContain("id");
    expect(labels("{{ workflow.^ }}")).toContain("name");
    expect(labels("{{ vars.^ }}")).toContain("limit");
    expect(labels("{{ trigger.^ }}")).toContain("id");
    expect(labels("{{ now.^ }}")).toEqual(expect.arrayContaining(["year", "strftime()"]));
  });

  it("offers methods of text", () => {
    expect(labels("{{ input.customer.name.^ }}")).toContain("upper()");
  });

  it("offers filters after a bar and tests after is", () => {
    expect(labels("{{ input.total|^ }}")).toEqual(expect.arrayContaining(["round", "default"]));
    expect(labels("{{ input.total | ro^ }}")).toContain("round");
    expect(labels("{{ input.total is ^ }}")).toContain("defined");
    expect(labels("{{ input.total is not de^ }}")).toContain("defined");
  });

  it("offers nothing within a string literal or a number", () => {
    expect(at('{{ "input.^" }}')).toBeNull();
    expect(at("{{ 12^ }}")).toBeNull();
    expect(at("{{ 1.^ }}")).toBeNull();
  });

  it("ignores braces of an object or in a text", () => {
    expect(labels('{{ {"a": input.^} }}')).toContain("total");
    expect(labels("{{ '}}' ~ input.^ }}")).toContain("total");
  });

  it("completes after an operator and in an argument", () => {
    expect(labels("{{ 1 + input.^ }}")).toContain("total");
    expect(labels("{{ len(input.^) }}")).toContain("lines");
    expect(labels("{{ [input.^] }}")).toContain("lines");
  });
});

describe("wantedStep", () => {
  it("names the node whose output is needed", () => {
    expect(wantedStep("{{ steps.later. }}", 15)).toBe("later");
    expect(wantedStep('{{ steps["my-node"].a }}', 21)).toBe("my-node");
    expect(wantedStep("{{ steps.la }}", 11)).toBeUndefined();
  });
});

/** Return the text with the path `item.a` at the mark `|`, or in place of what is between two marks. */
function picked(marked: string): string {
  const [before = "", selected = "", after] = marked.split("|");
  const text = marked.replaceAll("|", "");
  const end = before.length + (after === undefined ? 0 : selected.length);
  const { from, to, insert } = insertionAt(text, ["item", "a"], before.length, end);
  return text.slice(0, from) + insert + text.slice(to);
}

describe("a picked path", () => {
  it.each([
    ["Hi |", "Hi {{ item.a }}"],
    ["https://x/|/y", "https://x/{{ item.a }}/y"],
    ["{{ | }}", "{{ item.a }}"],
    ["{{ 1 + | }}", "{{ 1 + item.a }}"],
    ["{{ f(|) }}", "{{ f(item.a) }}"],
    ["{{ b }}|", "{{ b }}{{ item.a }}"],
  ])("is inserted between words: %s", (marked, text) => expect(picked(marked)).toBe(text));

  it.each([
    ["{{ input.addr|ess.city }}", "{{ item.a }}"],
    ["{{ input.| }}", "{{ item.a }}"],
    ['{{ input["a b"][0]|.c > 5 }}', "{{ item.a > 5 }}"],
    ["{{ item.b == 1|0 }}", "{{ item.b == item.a }}"],
    ['{{ item.b == "P|aris" }}', "{{ item.b == item.a }}"],
    ["{{ item.na|me.upper() }}", "{{ item.a.upper() }}"],
  ])("replaces the operand at the position: %s", (marked, text) => expect(picked(marked)).toBe(text));

  it.each([
    ["Grüß|e", "Grüße{{ item.a }}"],
    ["{{ b an|d c }}", "{{ b and item.a c }}"],
    ["a {|{ b }}", "a {{ item.a }}{{ b }}"],
    ["{{ b }|} c", "{{ b }}{{ item.a }} c"],
  ])("tears no word and no braces apart: %s", (marked, text) => expect(picked(marked)).toBe(text));

  it("replaces the selection", () => {
    expect(picked("Dear |you|!")).toBe("Dear {{ item.a }}!");
    expect(picked("{{ |a + b| }}")).toBe("{{ item.a }}");
    expect(picked("|{{ a }}|")).toBe("{{ item.a }}");
  });

  it("is written in brackets if it must", () => {
    expect(insertionAt("", ["steps", "my-node", 0, "a b"], 0).insert).toBe('{{ steps["my-node"][0]["a b"] }}');
  });
});

describe("regions", () => {
  it("end at their own braces", () => {
    const text = 'a {{ {"x": {}} }} b {{ "}}" }}c';
    expect(regionsOf(text).map((one) => text.slice(one.from, one.to))).toEqual(['{{ {"x": {}} }}', '{{ "}}" }}']);
  });

  it("that are not closed extend to the end", () => {
    expect(regionsOf("a {{ b")).toEqual([{ from: 2, to: 6, start: 4, end: 6 }]);
  });

  it("have parts for colors", () => {
    const text = '{{ not input.in|round(2) ~ "a" }}';
    const [region] = regionsOf(text);
    const parts = region ? tokensOf(text, region).map((one) => [one.part, text.slice(one.from, one.to)]) : [];
    expect(parts).toEqual([
      ["keyword", "not"],
      ["name", "input"],
      ["name", "in"],
      ["operator", "|"],
      ["filter", "round"],
      ["number", "2"],
      ["operator", "~"],
      ["string", '"a"'],
    ]);
  });
});
