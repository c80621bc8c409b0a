import { describe, expect, it } from "vitest";
import type { Json } from "@/definition/types";
import { answersSchema, itemsOf, nameFor, newItem, withKind, withTitle, written } from "./formFields";

describe("the fields of a form", () => {
  it("have a name from their title, each once", () => {
    expect(nameFor("Your e-mail", [])).toBe("your_e_mail");
    expect(nameFor("Größe 2!", ["grosse_2"])).toBe("gro_e_2");
    expect(nameFor("Name", ["name", "name_2"])).toBe("name_3");
    expect(nameFor("名前", [])).toBe("field");
  });

  it("follow their title until the name is edited", () => {
    const item = newItem("text", "Text", []);
    expect(withTitle(item, "Your name", [])).toMatchObject({ title: "Your name", name: "your_name" });
    expect(withTitle({ ...item, name: "who" }, "Your name", [])).toMatchObject({ name: "who" });
  });

  it("lose what another kind does not have", () => {
    const item = { kind: "choice", name: "room", title: "Room", options: ["a"], required: true };
    expect(withKind(item, "choices", [item])).toEqual({ ...item, kind: "choices" });
    expect(withKind(item, "heading", [item])).toEqual({ kind: "heading", title: "Room" });
    expect(withKind(item, "text", [item])).toEqual({
      kind: "text",
      name: "room",
      title: "Room",
      required: true,
    });
  });

  it("have a schema, with which the flow is run by hand", () => {
    const items: Json[] = [
      { kind: "text", name: "who", title: "Who", required: true },
      { kind: "heading", title: "More" },
      { kind: "choices", name: "days", options: ["Mon", "Tue"] },
      { kind: "file", name: "cv" },
    ];
    expect(answersSchema(items)).toEqual({
      type: "object",
      properties: {
        who: { type: "string", title: "Who" },
        days: { type: "array", title: "days", items: { type: "string", enum: ["Mon", "Tue"] } },
      },
      required: ["who"],
    });
    expect(answersSchema([{ kind: "heading", title: "x" }])).toBeNull();
  });

  it("are written without empty settings", () => {
    expect(written([{ kind: "text", name: "a", help: "", required: false, options: [] }])).toEqual([
      { kind: "text", name: "a" },
    ]);
    expect(written([])).toBeUndefined();
    expect(itemsOf([{ name: "a" }])).toEqual([{ kind: "text", name: "a" }]);
    expect(itemsOf(["a"])).toBeNull();
  });
});
