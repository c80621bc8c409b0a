import { describe, expect, it } from "vitest";
import { rewriteNode, rewriteText } from "./references";

const renamed = new Map([["old", "new_one"]]);

describe("references to a renamed node", () => {
  it.each([
    ["{{ steps.old.total }}", "{{ steps.new_one.total }}"],
    ["{{steps.old}}", "{{steps.new_one}}"],
    ['{{ steps["old"].a }}', '{{ steps["new_one"].a }}'],
    ["{{ steps[ 'old' ] }}", "{{ steps[ 'new_one' ] }}"],
    ['{{ steps.get("old", 1) }}', '{{ steps.get("new_one", 1) }}'],
    [
      "a {{ steps.old }} b {{ steps.old + steps.other }}",
      "a {{ steps.new_one }} b {{ steps.new_one + steps.other }}",
    ],
    ['{{ {"a": {"b": steps.old}} }}', '{{ {"a": {"b": steps.new_one}} }}'],
    ['{{ "}}" ~ steps.old }}', '{{ "}}" ~ steps.new_one }}'],
    [
      "{{ (steps.old|length) if steps.old else 'steps.old' }}",
      "{{ (steps.new_one|length) if steps.new_one else 'steps.old' }}",
    ],
    ["{# steps.old #}{{ steps.old }}", "{# steps.old #}{{ steps.new_one }}"],
    ['{{ steps["old"] ~ "steps.old" }}', '{{ steps["new_one"] ~ "steps.old" }}'],
  ])("are rewritten in %s", (text, expected) => {
    expect(rewriteText(text, renamed)).toBe(expected);
  });

  it.each([
    "steps.old",
    "{{ steps.older }}",
    "{{ input.steps.old }}",
    "{{ mysteps.old }}",
    "{{ 'steps.old' }}",
    '{{ "{{ steps.old }}" }}',
    "{# {{ steps.old }} #}",
    "{{ steps }}",
    "{ steps.old }",
    "{{ x|steps.old }}",
    "{{ 'unended",
  ])("are not seen in %s", (text) => {
    expect(rewriteText(text, renamed)).toBe(text);
  });

  it("may be swapped", () => {
    const swap = new Map([
      ["a", "b"],
      ["b", "a"],
    ]);
    expect(rewriteText("{{ steps.a - steps.b }}", swap)).toBe("{{ steps.b - steps.a }}");
  });

  it("stay in keys without expressions, and an unchanged node stays the same object", () => {
    const node = { id: "x", type: "code", config: { source: "{{ steps.old }}", input: ["{{ steps.old }}"] } };
    const literal = (_type: string, key: string) => key === "source";
    expect(rewriteNode(node, renamed, literal).config).toEqual({
      source: "{{ steps.old }}",
      input: ["{{ steps.new_one }}"],
    });
    expect(rewriteNode(node, new Map([["else", "where"]]), literal)).toBe(node);
  });

  it("are updated in foreach", () => {
    const node = { id: "x", type: "log", foreach: "{{ steps.old.items }}" };
    expect(rewriteNode(node, renamed, () => false).foreach).toBe("{{ steps.new_one.items }}");
  });
});
