// @vitest-environment jsdom
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";

// The server's answers; the client takes `fetch` when it is loaded.
const answers = vi.hoisted(() => {
  const given: Record<string, { status: number; body: unknown; user?: string | null; sent?: string[] }> = {};
  vi.stubGlobal("fetch", async (request: Request) => {
    const known = given[`${request.method} ${new URL(request.url).pathname}`];
    if (known !== undefined) known.user = request.headers.get("X-User-Id");
    known?.sent?.push(await request.text());
    if (known?.status === 0) throw new TypeError("Failed to fetch");
    const { status, body } = known ?? { status: 404, body: {} };
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  });
  return given;
});

const { goOn, server } = await import("@/api/client");
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

let client: QueryClient;
const askAgain = () => act(() => client.invalidateQueries({ queryKey: ["get", "/api/auth/session"] }));

beforeEach(async () => {
  localStorage.clear();
  answers["GET /api/auth/session"] = as("owner");
  client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  render(
    <MantineProvider>
      <QueryClientProvider client={client}>
        <SessionProvider login={<p>login</p>} again={<p>again</p>}>
          <Shown />
        </SessionProvider>
      </QueryClientProvider>
    </MantineProvider>,
  );
  await screen.findByText("owner", {}, PATIENCE);
});

afterEach(() => {
  cleanup();
  // Pending requests must not reach the next test.
  answers["POST /api/members"] = LOGGED_OUT;
  goOn();
});

it("reloads the role after a refused request", async () => {
  answers["GET /api/auth/session"] = as("viewer");
  answers["GET /api/members"] = { status: 403, body: { error: "This needs the role owner" } };
  await act(() => server.GET("/api/members").catch(() => {}));
  expect(await screen.findByText("viewer", {}, PATIENCE)).toBeTruthy();
});

it("sends the page's user with each request, and reloads if another user is logged in", async () => {
  const another = as("owner", "ws_1", "usr_2") as (typeof answers)[string];
  const refused: (typeof answers)[string] = {
    status: 403,
    body: { error: "A different user has logged in" },
  };
  answers["GET /api/auth/session"] = another;
  answers["PUT /api/workflows/wf_1"] = refused;
  const params = { path: { flow: "wf_1" } };
  await act(() => server.PUT("/api/workflows/{flow}", { params, body: { name: "A" } }).catch(() => {}));
  expect(await screen.findByText("Opening Headrace", {}, PATIENCE)).toBeTruthy();
  expect(screen.queryByText("owner")).toBeNull();
  expect([refused.user, another.user]).toEqual(["usr_1", null]);
});

/** End the session, then send a request; return its outcome. */
async function refused<T>(ask: () => Promise<T>): Promise<{ done: T | undefined; error: unknown }> {
  const told: { done: T | undefined; error: unknown } = { done: undefined, error: undefined };
  answers["GET /api/auth/session"] = LOGGED_OUT;
  await act(async () => {
    void ask().then(
      (done) => {
        told.done = done;
      },
      (error: unknown) => {
        told.error = error;
      },
    );
  });
  expect(await screen.findByText("again", {}, PATIENCE)).toBeTruthy();
  expect(told).toEqual({ done: undefined, error: undefined });
  return told;
}

const addMember = () => server.POST("/api/members", { body: { email: "n@b.c", role: "viewer" } });

it("covers the page with the login after the session ended", async () => {
  answers["GET /api/members"] = LOGGED_OUT;
  const before = screen.getByText("owner");
  await refused(() => server.GET("/api/members"));
  expect(screen.getByText("owner")).toBe(before);
  expect(screen.queryByText("login")).toBeNull();
  answers["GET /api/auth/session"] = as("owner");
  await askAgain();
  await vi.waitFor(() => expect(screen.queryByText("again")).toBeNull(), PATIENCE);
  expect(screen.getByText("owner")).toBe(before);
});

it("repeats a refused request with its body after the same user logged in", async () => {
  const sent: string[] = [];
  answers["POST /api/members"] = { ...LOGGED_OUT, sent };
  const told = await refused(addMember);
  answers["POST /api/members"] = { status: 201, body: { user_id: "usr_9" }, sent };
  answers["GET /api/auth/session"] = as("owner");
  await askAgain();
  await vi.waitFor(() => expect(told.done?.data).toEqual({ user_id: "usr_9" }), PATIENCE);
  expect(sent).toEqual(Array(2).fill('{"email":"n@b.c","role":"viewer"}'));
  expect(answers["POST /api/members"].user).toBe("usr_1");
});

it("reports an unreachable server when it repeats a request", async () => {
  answers["POST /api/members"] = LOGGED_OUT;
  const told = await refused(addMember);
  answers["POST /api/members"] = { status: 0, body: null };
  answers["GET /api/auth/session"] = as("owner");
  await askAgain();
  await vi.waitFor(() => expect(told.error).toMatchObject({ status: 0 }), PATIENCE);
});

it("repeats no request after another user logged in", async () => {
  const sent: string[] = [];
  answers["POST /api/members"] = { ...LOGGED_OUT, sent };
  const told = await refused(addMember);
  answers["GET /api/auth/session"] = as("owner", "ws_1", "usr_2");
  await askAgain();
  expect(await screen.findByText("Opening Headrace", {}, PATIENCE)).toBeTruthy();
  expect(screen.queryByText("owner")).toBeNull();
  expect([sent.length, told]).toEqual([1, { done: undefined, error: undefined }]);
});

it("does not repeat a change after a long time, and says so", async () => {
  const sent: string[] = [];
  answers["POST /api/members"] = { ...LOGGED_OUT, sent };
  const told = await refused(addMember);
  const later = Date.now() + 11 * 60_000;
  const clock = vi.spyOn(Date, "now").mockImplementation(() => later);
  answers["GET /api/auth/session"] = as("owner");
  await askAgain();
  await vi.waitFor(() => expect(String(told.error)).toContain("try again"), PATIENCE);
  clock.mockRestore();
  expect(sent).toHaveLength(1);
});

it("reports a refusal if the user is still logged in", async () => {
  answers["GET /api/members"] = LOGGED_OUT;
  const asked = act(() => server.GET("/api/members"));
  await expect(asked).rejects.toMatchObject({ status: 401, message: "Sign in first" });
  expect(screen.queryByText("again")).toBeNull();
});

it("deletes kept run data at logout, but no draft", async () => {
  const kept = ["headrace.pinned.usr_1.wf_1", "headrace.editor.input.usr_1.wf_1"];
  for (const key of [...kept, "headrace.draft.usr_1.wf_1", "headrace.editor"]) localStorage.setItem(key, "{}");
  sessionStorage.setItem("headrace.editor.run.wf_1", "run_1");
  answers["DELETE /api/auth/session"] = { status: 204, body: null };
  await act(async () => screen.getByText("owner").click());
  await vi.waitFor(() => expect(sessionStorage.length).toBe(0), PATIENCE);
  expect(Object.keys(localStorage).sort()).toEqual(["headrace.draft.usr_1.wf_1", "headrace.editor"]);
});

it("stays logged in until the server confirms the logout", async () => {
  localStorage.setItem("headrace.pinned.usr_1.wf_1", "{}");
  answers["DELETE /api/auth/session"] = { status: 503, body: { error: "The database cannot take this" } };
  await act(async () => screen.getByText("owner").click());
  expect(screen.getByText("owner")).toBeTruthy();
  expect(localStorage.length).toBe(1);
});

it("saves the workspace for the next login", async () => {
  const sent: string[] = [];
  answers["GET /api/auth/session"] = as("owner", "ws_2");
  answers["PATCH /api/auth/session"] = { ...as("owner", "ws_2"), sent };
  await act(async () => screen.getByText("ws_1").click());
  await vi.waitFor(() => expect(sent).toEqual(['{"workspace_id":"ws_2"}']), PATIENCE);
});

it("switches the workspace even if the browser's storage is full", async () => {
  const full = vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  answers["GET /api/auth/session"] = as("owner", "ws_2");
  await act(async () => screen.getByText("ws_1").click());
  expect(await screen.findByText("ws_2", {}, PATIENCE)).toBeTruthy();
  full.mockRestore();
});
