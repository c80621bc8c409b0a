// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { categoriesOf, categoryLabel, firstSteps, matching, servicesOf, type Template } from "./templates";

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
const ANY = { search: "", category: "", service: "", ready: false };

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

  it("knows the services of connectors and of their triggers, and finds templates by them", () => {
    const slack = { type: "slack", name: "Slack", service: { type: "slack", name: "Slack" } };
    const sheets = {
      type: "google_sheets",
      name: "Google Sheets",
      service: { type: "google_sheets", name: "Google Sheets" },
    };
    const types: Record<string, unknown> = {
      slack,
      google_sheets: sheets,
      google_sheets_poll: { service: sheets.service },
    };
    const catalogue = { find: (type: string) => types[type] } as never;
    const of = (id: string, ...types: string[]) =>
      template(id, { definition: { nodes: types.map((type) => ({ id: type, type })), edges: [] } });
    const all = [of("a", "slack_trigger", "google_sheets"), of("b", "google_sheets_poll"), of("c", "manual")];
    expect(servicesOf(all, catalogue).map((one) => one.name)).toEqual(["Google Sheets", "Slack"]);
    const found = (more: object) => matching(all, { ...ANY, ...more }, catalogue).map((one) => one.id);
    expect(found({ service: "google_sheets" })).toEqual(["a", "b"]);
    expect(found({ service: "slack" })).toEqual(["a"]);
    expect(found({ search: "google sheets" })).toEqual(["a", "b"]);
  });

  it("names goals in words", () => {
    expect([categoryLabel("sync"), categoryLabel("api"), categoryLabel("data")]).toEqual([
      "Backups and syncs",
      "API",
      "Data",
    ]);
  });
});
