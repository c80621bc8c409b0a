// @vitest-environment jsdom
import { EditorView } from "@codemirror/view";
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { NodeType } from "@/api/catalogue";
import type { Definition, Json } from "@/definition/types";
import Body from "./NodeFormBody";
import type { Problem } from "./schema/problems";
import { TYPES } from "./schemas.fixture";

type Config = Record<string, Json>;

vi.setConfig({ testTimeout: 30_000 });

// Every answer has them: /api/ready is asked for them, too.
const PACKS = ["reference", "tables"];
const DEFINITION: Definition = { nodes: [{ id: "here", type: "call" }], edges: [] };

beforeEach(() => {
  localStorage.clear();
  vi.stubGlobal("matchMedia", () => ({
    matches: false,
    addEventListener: () => {},
    removeEventListener: () => {},
  }));
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  );
  vi.stubGlobal("fetch", async () => Response.json({ items: [], next_cursor: null, packs: PACKS }));
  Range.prototype.getClientRects = () => [] as unknown as DOMRectList;
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

interface Shown {
  changes: Config[];
  user: ReturnType<typeof userEvent.setup>;
}

interface HolderProps {
  type: NodeType;
  start: Config;
  problems: Problem[];
  changes: Config[];
}

function Holder({ type, start, problems, changes }: HolderProps) {
  const [value, setValue] = useState(start);
  return (
    <Body
      type={type}
      value={value}
      onChange={(next) => {
        changes.push(next);
        setValue(next);
      }}
      context={{ flowId: "wf_1", definition: DEFINITION, nodeId: "here" }}
      problems={problems}
    />
  );
}

function show(type: NodeType, start: Config, problems: Problem[] = []): Shown {
  const changes: Config[] = [];
  render(
    <MantineProvider env="test">
      <QueryClientProvider client={new QueryClient()}>
        <Holder type={type} start={start} problems={problems} changes={changes} />
      </QueryClientProvider>
    </MantineProvider>,
  );
  return { changes, user: userEvent.setup() };
}

async function openMore(user: Shown["user"]) {
  await user.click(screen.getByRole("button", { name: /More settings/ }));
}

const FULL: Record<keyof typeof TYPES, Config> = {
  nothing: {},
  call: {
    url: "https://example.com/{{ input.id }}",
    method: "{{ input.method }}",
    headers: { "X-Key": "a", Accept: "b" },
    body: { a: [1, { b: null }], c: "{{ input }}" },
    timeout: 5,
    follow: false,
    amount: "{{ input.n }}",
    pages: { type: "cursor", size: 10 },
    foreign: { kept: true },
  },
  named: { table: "orders", file: { path: "a.txt" }, later: "x" },
  lists: {
    cases: ["a", 1, true],
    by: "name",
    tags: ["x", "{{ input.tag }}"],
    methods: ["GET"],
    sums: { total: { op: "sum", field: "price" } },
    rules: [{ when: "a", what: "b" }],
  },
  codes: { source: "return 1", schema: { type: "object" }, cron: "0 * * * *", timezone: "UTC", version: 7 },
  shaped: { shape: { type: "object", properties: { a: { type: "string" } }, required: ["a"] } },
  condition: { condition: "{{ input.total > 100 }}" },
  choice: { auth: { number: 4 }, either: 5 },
};

describe("the form of a node", () => {
  for (const name of Object.keys(TYPES) as (keyof typeof TYPES)[]) {
    it(`draws ${name}, empty and full, without a change of its own`, async () => {
      const empty = show(TYPES[name], {});
      await waitFor(() => expect(document.querySelector(".cm-editor, input, p, button")).not.toBeNull());
      expect(empty.changes).toEqual([]);
      cleanup();
      const full = show(TYPES[name], FULL[name]);
      await waitFor(() => expect(document.querySelector(".cm-editor, input, p, button")).not.toBeNull());
      expect(full.changes).toEqual([]);
    });
  }

  it("renders a few of many choices, and finds the others by typing", async () => {
    const choices = Array.from({ length: 3_000 }, (_, at) => `place ${at}`);
    const place = { title: "Place", type: "string", enum: choices, "x-literal": true };
    const { changes, user } = show({ ...TYPES.call, config_schema: { type: "object", properties: { place } } }, {});
    const field = screen.getByRole("combobox", { name: "Place" });
    await user.click(field);
    expect(screen.getAllByRole("option", { hidden: true })).toHaveLength(200);
    await user.type(field, "2999");
    await user.click(screen.getByRole("option", { name: /2999/, hidden: true }));
    expect(changes.at(-1)).toEqual({ place: "place 2999" });
  });

  it("unfolds a setting that is named in a problem of another setting", async () => {
    show(TYPES.call, {}, [{ path: "config.url", message: "Exactly one of url and timeout must be given." }]);
    expect(await screen.findByLabelText("Timeout")).toBeTruthy();
    cleanup();
    show(TYPES.call, {}, [{ path: "config.url", message: "Is required." }]);
    await screen.findByText(/Is required/);
    expect(screen.queryByLabelText("Timeout")).toBeNull();
  });

  it("writes typed values and removes the key of a cleared one", async () => {
    const { changes, user } = show(TYPES.call, { url: "a", timeout: 3 });
    const field = screen.getByLabelText("Timeout");
    await user.clear(field);
    expect(changes.at(-1)).toEqual({ url: "a" });
    await user.type(field, "12");
    expect(changes.at(-1)).toEqual({ url: "a", timeout: 12 });
  });

  it("folds settings without a value, and shows a default without writing it", async () => {
    const { changes, user } = show(TYPES.call, { url: "a" });
    expect(screen.queryByLabelText("Timeout")).toBeNull();
    await openMore(user);
    expect(screen.getByLabelText("Timeout").getAttribute("placeholder")).toBe("30");
    expect(changes).toEqual([]);
  });

  it("takes typed values into a list of choices, and an expression for the whole list", async () => {
    const { changes, user } = show(TYPES.lists, {});
    const field = await screen.findByRole("textbox", { name: "Labels" });
    await user.type(field, "urgent{Enter}new{Enter}urgent{Enter}");
    expect(changes.at(-1)).toEqual({ labels: ["urgent", "new"] });
    await user.click(screen.getByRole("button", { name: "Remove urgent" }));
    expect(changes.at(-1)).toEqual({ labels: ["new"] });
    await user.type(field, "{Backspace}");
    expect(changes.at(-1)).toEqual({});
    await user.type(field, "{{{{");
    expect(changes.at(-1)).toEqual({ labels: "{{" });
    await waitFor(() => expect(screen.queryByRole("textbox", { name: "Labels" })).not.toBe(field));
  });

  it("offers what the workspace has beside the text", async () => {
    vi.stubGlobal("fetch", async (request: Request) =>
      Response.json({ items: request.url.includes("/api/files") ? [{ path: "reports/may.csv" }] : [], packs: PACKS }),
    );
    const { changes, user } = show(TYPES.named, {});
    await user.click(await screen.findByRole("button", { name: "Choose file" }));
    await user.click(await screen.findByRole("option", { name: "reports/may.csv" }));
    expect(changes.at(-1)).toEqual({ file: "reports/may.csv" });
    await user.click(screen.getByRole("button", { name: "Choose table" }));
    await screen.findByText(/no table yet/);
    expect(screen.queryByRole("button", { name: "Choose later" })).toBeNull();
  });

  it("turns a number into an expression and back", async () => {
    const { changes, user } = show(TYPES.call, { url: "a", amount: 5 });
    const group = screen.getByLabelText("Amount").closest("[class*=field]") as HTMLElement;
    await user.click(within(group).getByRole("button", { name: /use expression/ }));
    expect(changes.at(-1)).toEqual({ url: "a", amount: "{{ 5 }}" });
    await user.click(within(group).getByRole("button", { name: /use plain value/ }));
    expect(changes.at(-1)).toEqual({ url: "a", amount: 5 });
  });

  it("keeps values that its field cannot show, and unknown keys", async () => {
    const { changes, user } = show(TYPES.call, FULL.call);
    expect(screen.getByText("Other settings")).toBeTruthy();
    const field = screen.getByLabelText("Timeout");
    await user.clear(field);
    await user.type(field, "7");
    expect(changes.at(-1)).toEqual({ ...FULL.call, timeout: 7 });
    expect(Object.keys(changes.at(-1) ?? {}).sort()).toEqual(Object.keys(FULL.call).sort());
  });

  it("offers to make an expression of a condition that is plain text", async () => {
    const problems = [{ path: "config.condition", message: "plain text is always true. Wrap it in {{ }}" }];
    const { changes, user } = show(TYPES.condition, { condition: "input.total > 100" }, problems);
    await user.click(await screen.findByRole("button", { name: "Fix" }));
    expect(changes.at(-1)).toEqual({ condition: "{{ input.total > 100 }}" });
    expect(screen.queryByRole("button", { name: "Fix" })).toBeNull();
  });

  it("edits a JSON Schema as a list of fields, and a complex one as JSON", async () => {
    const { changes, user } = show(TYPES.shaped, FULL.shaped);
    await user.click(screen.getByLabelText("Required"));
    expect(changes.at(-1)).toEqual({ shape: { type: "object", properties: { a: { type: "string" } } } });
    await user.click(screen.getByRole("button", { name: "Actions for Shape: a" }));
    await user.click(await screen.findByRole("menuitem", { name: "Remove" }));
    expect(changes.at(-1)).toEqual({});
    cleanup();
    show(TYPES.shaped, { shape: { type: "array", items: {} } });
    expect(screen.getByText(/Too complex for the list of fields/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Show as JSON" })).toBeNull();
  });

  it("edits JSON in full screen", async () => {
    const { changes, user } = show(TYPES.shaped, { shape: { type: "array" } });
    await user.click(await screen.findByRole("button", { name: "Full screen: Shape" }));
    const full = await screen.findByLabelText("Shape, full screen", {}, { timeout: 15_000 });
    const view = EditorView.findFromDOM(full.closest(".cm-editor") ?? full);
    const write = (insert: string) =>
      act(() => view?.dispatch({ changes: { from: 0, to: view.state.doc.length, insert } }));
    write('{"type": ');
    expect((await screen.findAllByText(/Invalid JSON/)).length).toBeGreaterThan(0);
    expect(changes).toEqual([]);
    write('{"type": "boolean"}');
    expect(changes.at(-1)).toEqual({ shape: { type: "boolean" } });
  });

  it("edits a table: a row has a name, is moved and is removed", async () => {
    const { changes, user } = show(TYPES.call, { url: "a", headers: { A: "1", B: "2" } });
    const name = screen.getByLabelText("Headers: name 1");
    await user.type(name, "x");
    expect(changes.at(-1)?.headers).toEqual({ Ax: "1", B: "2" });
    await user.click(screen.getByRole("button", { name: "Actions for Headers: B" }));
    await user.click(await screen.findByText("Move up"));
    expect(Object.keys(changes.at(-1)?.headers as object)).toEqual(["B", "Ax"]);
    await user.click(screen.getByRole("button", { name: "Actions for Headers: B" }));
    await user.click(await screen.findByText("Remove"));
    expect(changes.at(-1)?.headers).toEqual({ Ax: "1" });
  });

  it("adds an object of settings and removes it again", async () => {
    const { changes, user } = show(TYPES.call, { url: "a" });
    await openMore(user);
    await user.click(screen.getByRole("button", { name: "Set pages" }));
    expect(changes.at(-1)).toEqual({ url: "a", pages: {} });
    await user.click(screen.getByRole("button", { name: "Remove" }));
    expect(changes.at(-1)).toEqual({ url: "a" });
  });

  it("shows a problem at its field, unfolding it, and other problems above", () => {
    show(TYPES.call, { url: "a" }, [
      { path: "nodes[0].config.timeout", message: "Must be greater than 0" },
      { path: "nodes[0].config", message: "Cannot be so" },
    ]);
    expect(screen.getByText("Must be greater than 0")).toBeTruthy();
    expect(screen.getByLabelText("Timeout").getAttribute("aria-describedby")).toContain("-error");
    expect(screen.getByText("Cannot be so")).toBeTruthy();
  });
});
