/**
 * The only module that calls the server: a client typed by its OpenAPI, errors as `ApiError`, the workspace in each
 * request.
 */
import createFetch, { type Middleware } from "openapi-fetch";
import createHooks from "openapi-react-query";
import type { components, paths } from "./schema";

/** Hands out the answers to requests that the page sent before the app ran. */

/** Milliseconds after which an answer is too old to show. */
const MAX_AGE = 15_000;
/** Statuses with which the app decides what to show; after other refusals it asks again. */
const SESSION = "/api/auth/session";

/** Return the answer to this request, once, if it was sent early for the same user and workspace. */
export function takeStarted(request: Request): Promise<Response> | undefined {
  const { started } = window;
  if (started === undefined || request.method !== "GET") return undefined;
  const { pathname, search } = new URL(request.url);
  const answer = started.answers.get(pathname + search);
  started.answers.delete(pathname + search);
  if (answer === undefined || performance.now() > MAX_AGE) return undefined;
  const isSession = pathname === SESSION;
  if (request.headers.get("X-Workspace-Id") !== started.workspace) return undefined;
  if (!isSession && request.headers.get("X-User-Id") !== started.user) return undefined;
  const again = () => fetch(request);
  return answer.then((response) => (response.ok || (isSession && response.status === 401) ? response : again()), again);
}

export type Schemas = components["schemas"];
export type Detail = Schemas["Detail"];

/** An error response of the server. `status` is 0 if the server could not be reached. */
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

/** Shown if a proxy in front of the server answers in its place. */
export const UNREACHABLE = "The server is temporarily unavailable";

/** The workspace of all requests; null means the session's default workspace. */
let workspace: string | null = null;
export function chooseWorkspace(id: string | null): void {
  workspace = id;
}

/**
 * The user for whom the page was opened. All tabs share one cookie, so the server refuses requests for another user.
 */
let user: string | null = null;
export function chooseUser(id: string): void {
  user = id;
}

/** Return the headers that name the workspace and the user of a request. */
export function identity(): Record<string, string> {
  return {
    ...(workspace === null ? {} : { "X-Workspace-Id": workspace }),
    ...(user === null ? {} : { "X-User-Id": user }),
  };
}

/** Call this if the server answers 401 or 403: the session ended or the role changed. */
let onRefused: () => void = () => {};
export function whenRefused(listener: () => void): void {
  onRefused = listener;
}

/** Milliseconds after which a change is no longer sent automatically; the user must repeat it. */
const STALE = 10 * 60_000;
const AGAIN = "Your session ended before the change was made. You are logged in again: try again";

/** Resolvers of requests that wait until the page's user is logged in again. */
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

/** A copy of each request, to send again: the body of a sent request is consumed. */
const copies = new WeakMap<Request, Request>();

/** Return the response after the user logged in again. The refused request had no effect, so it may be repeated. */
async function repeated(request: Request): Promise<Response> {
  const since = Date.now();
  onRefused();
  await untilLoggedIn(request.signal);
  if (request.method !== "GET" && Date.now() - since > STALE) throw new ApiError(401, AGAIN);
  return fetch(copies.get(request) ?? request).catch((error: unknown) => {
    throw unanswered(error);
  });
}

/** Return the error for a request that got no response. */
function unanswered(error: unknown): Error {
  if (error instanceof ApiError || (error instanceof DOMException && error.name === "AbortError")) return error;
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
    // This request finds out which user is logged in.
    const asksWho = request.method === "GET" && isAboutSession(request);
    if (user !== null && !asksWho) request.headers.set("X-User-Id", user);
    if (user !== null && !isAboutSession(request)) copies.set(request, request.clone());
    return request;
  },
  async onResponse({ request, response: first }) {
    if (first.ok) return first;
    const response = first.status === 401 && copies.has(request) ? await repeated(request) : first;
    if (response.ok) return response;
    // Requests about the session itself handle these statuses themselves.
    const isRefused = response.status === 401 || response.status === 403;
    if (isRefused && !isAboutSession(request)) onRefused();
    throw await errorOf(response);
  },
  onError: ({ error }) => unanswered(error),
};

/**
 * Plain calls: `await server.POST("/api/runs/{run}/cancel", { params: { path: { run: id } } })`. They throw ApiError.
 */
export const server = createFetch<paths>({
  baseUrl: window.location.origin,
  credentials: "same-origin",
  fetch: (request) => takeStarted(request) ?? fetch(request),
});
server.use(middleware);

/**
 * The same calls as hooks of TanStack Query: `api.useQuery("get", "/api/runs", { params: { query: { limit: 50 } } })`.
 */
export const api = createHooks(server);
