/** The one way to the server: a client typed by its OpenAPI, errors as `ApiError`, the workspace in each request. */
import createFetch, { type Middleware } from "openapi-fetch";
import createHooks from "openapi-react-query";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Detail = Schemas["Detail"];

/** What the server answered instead of what was asked for; `status` 0 where it could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly details: Detail[] = [],
    readonly retryAfter: number | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** What somebody before the server, such as a proxy, answers in its place is told in these words. */
export const UNREACHABLE = "The server is not reachable just now";

/** The workspace whose data is shown; the session's own until another is chosen. */
let workspace: string | null = null;
export function chooseWorkspace(id: string | null): void {
  workspace = id;
}

/** Whom the page shows things of. All tabs share one cookie, so the server refuses what comes for somebody else. */
let user: string | null = null;
export function chooseUser(id: string): void {
  user = id;
}

/** The headers by which a request says in which workspace it acts, and for whom. */
export function identity(): Record<string, string> {
  return {
    ...(workspace === null ? {} : { "X-Workspace-Id": workspace }),
    ...(user === null ? {} : { "X-User-Id": user }),
  };
}

/** Told when the server says that nobody is logged in, or that whoever is may not do this. */
let onRefused: () => void = () => {};
export function whenRefused(listener: () => void): void {
  onRefused = listener;
}

/** So long after it was asked for, nothing is changed any more without being asked for again. */
const STALE = 10 * 60_000;
const AGAIN = "Your session had ended before this was done. You are logged in again: try it once more";

/** What waits until the one for whom the page was opened is logged in again. */
const waiting = new Set<() => void>();
export function goOn(): void {
  for (const resume of waiting) resume();
  waiting.clear();
}

function untilLoggedIn(signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    waiting.add(resolve);
    signal.addEventListener("abort", () => {
      waiting.delete(resolve);
      reject(signal.reason);
    });
  });
}

/** By request, one like it to be sent again, since what was sent has no body any more. */
const copies = new WeakMap<Request, Request>();

/** The answer once somebody has logged in again on the open page; what was refused did nothing, so it may be repeated. */
async function repeated(request: Request): Promise<Response> {
  const since = Date.now();
  onRefused();
  await untilLoggedIn(request.signal);
  if (request.method !== "GET" && Date.now() - since > STALE) throw new ApiError(401, AGAIN);
  return fetch(copies.get(request) ?? request).catch((error: unknown) => {
    throw unanswered(error);
  });
}

/** What is told where there was no answer at all. */
function unanswered(error: unknown): Error {
  if (error instanceof ApiError || (error instanceof DOMException && error.name === "AbortError"))
    return error;
  return new ApiError(0, "The server cannot be reached");
}

async function errorOf(response: Response): Promise<ApiError> {
  const body = await response
    .clone()
    .json()
    .catch(() => null);
  const fallback = response.status >= 502 ? UNREACHABLE : `The server answered ${response.status}`;
  const message = typeof body?.error === "string" ? body.error : fallback;
  const seconds = Number(response.headers.get("Retry-After"));
  return new ApiError(
    response.status,
    message,
    body?.details ?? [],
    Number.isFinite(seconds) && seconds > 0 ? seconds : null,
  );
}

function isAboutSession(request: Request): boolean {
  return new URL(request.url).pathname.startsWith("/api/auth/");
}

const middleware: Middleware = {
  onRequest({ request }) {
    if (workspace !== null) request.headers.set("X-Workspace-Id", workspace);
    // Who is logged in is found out by asking.
    const asksWho = request.method === "GET" && isAboutSession(request);
    if (user !== null && !asksWho) request.headers.set("X-User-Id", user);
    if (user !== null && !isAboutSession(request)) copies.set(request, request.clone());
    return request;
  },
  async onResponse({ request, response: first }) {
    if (first.ok) return first;
    const response = first.status === 401 && copies.has(request) ? await repeated(request) : first;
    if (response.ok) return response;
    // What is asked about the session itself has its own answer to this.
    const isRefused = response.status === 401 || response.status === 403;
    if (isRefused && !isAboutSession(request)) onRefused();
    throw await errorOf(response);
  },
  onError: ({ error }) => unanswered(error),
};

/** Plain calls: `await server.POST("/api/runs/{run}/cancel", { params: { path: { run: id } } })`; they throw ApiError. */
export const server = createFetch<paths>({ baseUrl: window.location.origin, credentials: "same-origin" });
server.use(middleware);

/** The same as hooks of TanStack Query: `api.useQuery("get", "/api/runs", { params: { query: { limit: 50 } } })`. */
export const api = createHooks(server);
