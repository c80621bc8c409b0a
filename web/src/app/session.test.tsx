// @vitest-environment jsdom
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";

// The server's answers; the client takes `fetch` when it is loaded.
const answers = vi.hoisted(() => {
  const given: Record<string, { status: number; body: unknown; user?: string | null }> = {};
  vi.stubGlobal("fetch", async (request: Request) => {
    const known = given[`${request.method} ${new URL(request.url).pathname}`];
    if (known !== undefined) known.user = request.headers.get("X-User-Id");
    const { status, body } = known ?? { status: 404, body: {} };
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  });
  return given;
});

const { server } = await import("@/api/client");
const { SessionProvider, useSession } = await import("./session");

const PATIENCE = { timeout: 15_000 };
const LOGGED_OUT = { status: 401, body: { error: "Sign in first" } };

function as(role: string, workspace_id = "ws_1", id = "usr_1") {
  const session = { id: "ses_1", workspace_id, role, created_at: "", expires_at: "" };
  const user = {
    id,
    email: "a@b.c",
    name: "A",
    set_up: true,
    workspaces: [{ id: "ws_1", name: "W" }],
  };
  return { status: 200, body: { session, user } };
}

function Shown() {
  const { role, workspace, logOut, switchTo } = useSession();
  return (
    <>
      <button type="button" onClick={() => void logOut()}>
        {role}
      </button>
      <button type="button" onClick={() => switchTo("ws_2")}>
        {workspace.id}
      </button>
    </>
  );
}

beforeAll(() => {
  window.matchMedia ??= () => ({ matches: false, addEventListener() {}, removeEventListener() {} }) as never;
});

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

beforeEach(async () => {
  localStorage.clear();
  answers["GET /api/auth/session"] = as("owner");
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  render(
    <MantineProvider>
      <QueryClientProvider client={client}>
        <SessionProvider login={<p>login</p>}>
          <Shown />
        </SessionProvider>
      </QueryClientProvider>
    </MantineProvider>,
  );
  await screen.findByText("owner", {}, PATIENCE);
});

afterEach(() => cleanup());

it("sees another role as soon as something is refused", async () => {
  answers["GET /api/auth/session"] = as("viewer");
  answers["GET /api/members"] = { status: 403, body: { error: "This needs the role owner" } };
  await act(() => server.GET("/api/members").catch(() => {}));
  expect(await screen.findByText("viewer", {}, PATIENCE)).toBeTruthy();
});

it("says with each request whom the page was made for, and shows nothing once it is somebody else", async () => {
  const another = as("owner", "ws_1", "usr_2") as (typeof answers)[string];
  const refused: (typeof answers)[string] = { status: 403, body: { error: "Somebody else has logged in" } };
  answers["GET /api/auth/session"] = another;
  answers["PUT /api/workflows/wf_1"] = refused;
  const params = { path: { flow: "wf_1" } };
  await act(() => server.PUT("/api/workflows/{flow}", { params, body: { name: "A" } }).catch(() => {}));
  expect(await screen.findByText("Opening Headrace", {}, PATIENCE)).toBeTruthy();
  expect(screen.queryByText("owner")).toBeNull();
  expect([refused.user, another.user]).toEqual(["usr_1", null]);
});

it("shows the login once the session has ended", async () => {
  answers["GET /api/auth/session"] = LOGGED_OUT;
  answers["GET /api/members"] = LOGGED_OUT;
  await act(() => server.GET("/api/members").catch(() => {}));
  expect(await screen.findByText("login", {}, PATIENCE)).toBeTruthy();
});

it("forgets what it kept of runs when somebody logs out, and no draft", async () => {
  const kept = ["headrace.pinned.usr_1.wf_1", "headrace.editor.input.usr_1.wf_1"];
  for (const key of [...kept, "headrace.draft.usr_1.wf_1", "headrace.editor"])
    localStorage.setItem(key, "{}");
  sessionStorage.setItem("headrace.editor.run.wf_1", "run_1");
  answers["DELETE /api/auth/session"] = { status: 204, body: null };
  await act(async () => screen.getByText("owner").click());
  await vi.waitFor(() => expect(sessionStorage.length).toBe(0), PATIENCE);
  expect(Object.keys(localStorage).sort()).toEqual(["headrace.draft.usr_1.wf_1", "headrace.editor"]);
});

it("does not pass for logged out while the server has not said so", async () => {
  localStorage.setItem("headrace.pinned.usr_1.wf_1", "{}");
  answers["DELETE /api/auth/session"] = { status: 503, body: { error: "The database cannot take this" } };
  await act(async () => screen.getByText("owner").click());
  expect(screen.getByText("owner")).toBeTruthy();
  expect(localStorage.length).toBe(1);
});

it("changes the workspace though the browser's store is full", async () => {
  const full = vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  answers["GET /api/auth/session"] = as("owner", "ws_2");
  await act(async () => screen.getByText("ws_1").click());
  expect(await screen.findByText("ws_2", {}, PATIENCE)).toBeTruthy();
  full.mockRestore();
});
