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
  return answer.then(
    (response) => (response.ok || (isSession && response.status === 401) ? response : again()),
    again,
  );
}
