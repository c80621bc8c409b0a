// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { takeStarted } from "@/api/client";
import { start } from "./start";

const NO_CHUNKS = { files: [], pages: [] };
let sent: { address: string; headers: Record<string, string> }[] = [];
let status = 200;

beforeEach(() => {
  localStorage.clear();
  document.head.innerHTML = '<meta name="user" content="usr_1">';
  sent = [];
  status = 200;
  // Milliseconds since the page was opened: a test may come later than that in its thread.
  vi.spyOn(performance, "now").mockReturnValue(100);
  vi.stubGlobal("fetch", async (request: string | Request, init?: { headers: Record<string, string> }) => {
    const address = typeof request === "string" ? request : `again ${new URL(request.url).pathname}`;
    sent.push({ address, headers: init?.headers ?? {} });
    return new Response(address, { status: typeof request === "string" ? status : 200 });
  });
});

afterEach(() => {
  delete window.started;
  window.history.replaceState(null, "", "/");
});

const asked = (path: string, headers: Record<string, string> = { "X-User-Id": "usr_1" }) =>
  new Request(`http://localhost:3000${path}`, { headers });
const taken = async (request: Request) => (await takeStarted(request))?.text();

it("hands out an answer once", async () => {
  start(NO_CHUNKS);
  expect(sent.map((one) => one.address)).toContain("/api/metrics?days=7");
  expect(await taken(asked("/api/metrics?days=7"))).toBe("/api/metrics?days=7");
  expect(takeStarted(asked("/api/metrics?days=7"))).toBeUndefined();
  expect(takeStarted(asked("/api/metrics?days=30"))).toBeUndefined();
});

it("hands out no answer for another user or workspace", () => {
  localStorage.setItem("headrace.workspace", "ws_1");
  start(NO_CHUNKS);
  expect(sent[0]?.headers).toEqual({ "X-User-Id": "usr_1", "X-Workspace-Id": "ws_1" });
  expect(takeStarted(asked("/api/ready"))).toBeUndefined();
  expect(takeStarted(asked("/api/metrics?days=7", { "X-User-Id": "usr_2", "X-Workspace-Id": "ws_1" }))).toBeUndefined();
});

it("asks again after a refusal, but not for the session of somebody who is logged out", async () => {
  status = 401;
  start(NO_CHUNKS);
  expect(await taken(asked("/api/ready"))).toBe("again /api/ready");
  expect((await takeStarted(asked("/api/auth/session", {})))?.status).toBe(401);
});

it("asks for the data of the opened page, and for files that only this page needs", () => {
  window.history.replaceState(null, "", "/flows/wf_1");
  start({ files: ["/a.js", "/b.css", "/c.js"], pages: [{ path: "/flows/*", files: [0, 1] }] });
  const addresses = sent.map((one) => one.address);
  expect(addresses).toEqual(expect.arrayContaining(["/api/auth/session", "/api/workflows/wf_1", "/api/nodes"]));
  expect(addresses).not.toContain("/api/metrics?days=7");
  // Viewers may not read drafts.
  expect(addresses).not.toContain("/api/workflows/wf_1/draft");
  expect([...document.head.querySelectorAll("link")].map((link) => `${link.rel} ${link.getAttribute("href")}`)).toEqual(
    ["modulepreload /a.js", "preload /b.css"],
  );
});

it("asks only for the session if nobody is logged in", () => {
  document.head.innerHTML = '<meta name="user" content="">';
  start({ files: ["/login.js"], pages: [{ path: "login", files: [0] }] });
  expect(sent.map((one) => one.address)).toEqual(["/api/auth/session"]);
  expect(document.head.querySelector("link")?.getAttribute("href")).toBe("/login.js");
});
