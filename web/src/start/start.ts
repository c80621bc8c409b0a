/**
 * Runs inline in the page, before any file of the app is there: it asks for the files and the data of the opened page,
 * so that a first visit takes one round of requests. vite.config.ts puts it there; it must not import anything.
 */

/** Files of the build by page: `files` are names, `pages` have the places in it. */
export interface Chunks {
  files: string[];
  pages: { path: string; files: number[] }[];
}

/** Answers that were requested before the app ran, by address. */
export interface Started {
  workspace: string | null;
  user: string | null;
  answers: Map<string, Promise<Response>>;
}

declare global {
  interface Window {
    started?: Started;
  }
}

export function start(chunks: Chunks): void {
  const meta = document.querySelector<HTMLMetaElement>("meta[name=user]");
  const user = meta?.content || null;
  let workspace: string | null = null;
  try {
    workspace = localStorage.getItem("headrace.workspace");
  } catch {
    // The browser keeps nothing for this site.
  }
  const path = window.location.pathname;
  const [, area, id, more] = path.split("/");
  const place = user === null ? "login" : id && !more ? `/${area}/*` : path;
  const data: Record<string, string[]> = {
    "/": [
      "/api/flows?limit=1&brief=true",
      "/api/dashboard/runs/latest?brief=true",
      "/api/schedules?limit=50",
      `/api/metrics?days=${/[?&]days=(1|30)\b/.exec(window.location.search)?.[1] ?? 7}`,
      "/api/runs?waiting=true&brief=true&limit=5",
      "/api/flows?failing=true&brief=true&status=active&limit=5&sort=last_run",
      "/api/registered-webhooks?limit=5",
    ],
    // Only what every role may read: the draft is for editors.
    "/flows/*": [`/api/workflows/${id}`, "/api/nodes"],
    "/runs/*": [`/api/runs/${id}`, `/api/runs/${id}/definition`, "/api/nodes"],
  };
  const always = ["/api/runs?waiting=true&limit=50", "/api/ready"];
  const addresses = user === null ? [] : [...(data[place] ?? []), ...always];
  const headers: Record<string, string> = {
    ...(workspace === null ? {} : { "X-Workspace-Id": workspace }),
    ...(user === null ? {} : { "X-User-Id": user }),
  };
  const answers = new Map<string, Promise<Response>>();
  for (const address of ["/api/auth/session", ...addresses]) {
    const answer = fetch(address, { headers, credentials: "same-origin" });
    // An error counts only if the app takes the answer.
    answer.catch(() => {});
    answers.set(address, answer);
  }
  window.started = { workspace, user, answers };

  for (const at of chunks.pages.find((page) => page.path === place)?.files ?? []) {
    const link = document.createElement("link");
    const file = chunks.files[at] as string;
    // A style sheet is only fetched: the app adds it, and waits for it.
    const isStyle = file.endsWith(".css");
    link.rel = isStyle ? "preload" : "modulepreload";
    if (isStyle) link.as = "style";
    link.href = file;
    link.crossOrigin = "";
    document.head.append(link);
  }
}
