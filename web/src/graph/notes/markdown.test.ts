import { describe, expect, it } from "vitest";
import { blocksOf, inlineOf, plainText } from "./markdown";

const text = (words: string) => ({ kind: "text", text: words });

describe("the Markdown of a note", () => {
  it("has headings, paragraphs, lists, quotes and code", () => {
    const blocks = blocksOf("# Why\nOne\ntwo\n\n- a\n* b\n1. x\n2) y\n> said\n```\n**raw**\n```\n#no");
    expect(blocks.map((block) => block.kind)).toEqual([
      "heading",
      "paragraph",
      "list",
      "list",
      "quote",
      "code",
      "paragraph",
    ]);
    expect(blocks[1]).toEqual({ kind: "paragraph", lines: [[text("One")], [text("two")]] });
    expect(blocks[2]).toEqual({ kind: "list", ordered: false, items: [[text("a")], [text("b")]] });
    expect(blocks[3]).toMatchObject({ ordered: true });
    expect(blocks[5]).toEqual({ kind: "code", text: "**raw**" });
  });

  it("has bold, italic, code and links", () => {
    expect(inlineOf("a **b** *c* `d*` [e](https://x.example/y)")).toEqual([
      text("a "),
      { kind: "bold", parts: [text("b")] },
      text(" "),
      { kind: "italic", parts: [text("c")] },
      text(" "),
      { kind: "code", text: "d*" },
      text(" "),
      { kind: "link", href: "https://x.example/y", parts: [text("e")] },
    ]);
    expect(inlineOf("see https://x.example/a_b_c.")).toEqual([
      text("see "),
      {
        kind: "link",
        href: "https://x.example/a_b_c",
        parts: [text("https://x.example/a_b_c")],
      },
      text("."),
    ]);
  });

  it("leaves names and unclosed marks as text", () => {
    for (const words of ["order_id and item_id", "2 * 3 * 4", "**open", "a < b", "[x]"])
      expect(inlineOf(words)).toEqual([text(words)]);
  });

  it.each(["javascript:alert(1)", "data:text/html,x", "/relative", "vbscript:x", "JavaScript:x"])(
    "makes no link to %s",
    (href) => expect(inlineOf(`[go](${href})`).some((part) => part.kind === "link")).toBe(false),
  );

  it("shows HTML as text", () => {
    expect(blocksOf("<script>alert(1)</script>")).toEqual([
      { kind: "paragraph", lines: [[text("<script>alert(1)</script>")]] },
    ]);
  });

  it("ends for every kind of line end", () => {
    expect(blocksOf("a\u2028b\rc\u2029\r\n# \n-\n>")).toHaveLength(3);
  });

  it("ends for a long text of marks", () => {
    const long = "*_`[".repeat(1_250);
    expect(blocksOf(long)).toHaveLength(1);
    expect(blocksOf("# x\n".repeat(1_250))).toHaveLength(1_250);
  });

  it("has a text without marks", () => {
    expect(plainText("# Why\n\n- **one**\n- `two`")).toBe("Why - one - two");
  });
});
