// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { categoriesOf, firstSteps, matching, missingCredentials, type Template } from "./templates";

function template(id: string, more: Partial<Template> = {}): Template {
  return {
    id,
    name: id,
    description: "",
    category: "data",
    tags: [],
    credentials: [],
    sample_input: null,
    definition: { nodes: [{ id: "a", type: "manual" }], edges: [] },
    ...more,
  };
}

const MAIL = { name: "mail", type: "smtp", for: "sending the report" };
const ALL = [
  template("Big report", {
    category: "reporting",
    definition: {
      nodes: [
        { id: "a", type: "schedule" },
        { id: "b", type: "code" },
      ],
      edges: [],
    },
  }),
  template("Report by mail", { category: "reporting", credentials: [MAIL], tags: ["digest"] }),
  template("Clean rows"),
  template("Ask the web", { needs: ["internet"] }),
];
const ANY = { search: "", category: "", ready: false };

describe("the gallery of templates", () => {
  it("finds templates with every word, also in tags and node types", () => {
    expect(matching(ALL, { ...ANY, search: "REPORT digest" }).map((one) => one.id)).toEqual(["Report by mail"]);
    expect(matching(ALL, { ...ANY, search: "schedule" }).map((one) => one.id)).toEqual(["Big report"]);
  });

  it("separates templates that are ready to run from those with requirements", () => {
    expect(matching(ALL, { ...ANY, ready: true }).map((one) => one.id)).toEqual(["Big report", "Clean rows"]);
  });

  it("lists templates that are ready to run first", () => {
    expect(matching(ALL, ANY).map((one) => one.id)).toEqual([
      "Big report",
      "Clean rows",
      "Report by mail",
      "Ask the web",
    ]);
  });

  it("lists the largest category first", () => {
    expect(categoriesOf([...ALL, template("x")]).map((one) => one.category)).toEqual(["data", "reporting"]);
  });

  it("suggests small ones of different categories", () => {
    expect(firstSteps([...ALL, template("More rows")], 4).map((one) => one.id)).toEqual(["Clean rows", "Big report"]);
  });

  it("treats a credential of another type as missing", () => {
    const needs = template("t", { credentials: [MAIL] });
    expect(missingCredentials(needs, [{ name: "mail", type: "imap" }])).toEqual([MAIL]);
    expect(missingCredentials(needs, [{ name: "mail", type: "smtp" }])).toEqual([]);
  });
});
