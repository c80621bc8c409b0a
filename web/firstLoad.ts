/**
 * The build of the first load: which files a page needs, and the inline script that asks for them at once.
 * The server allows the script by its hash.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Plugin, type Rolldown, transformWithOxc } from "vite";
import type { Chunks } from "./src/start/start";

const START = fileURLToPath(new URL("./src/start/start.ts", import.meta.url));
/** The modules of the pages that are opened by their address most often. */
const PAGES = {
  login: "src/pages/login/Login.tsx",
  "/flows": "src/pages/flows/Flows.tsx",
  "/flows/*": "src/pages/editor/Editor.tsx",
  "/runs": "src/pages/runs/Runs.tsx",
  "/runs/*": "src/pages/runs/RunPage.tsx",
};
/** All pages but the dashboard load these styles (ui/lazily.ts). */
const MORE_STYLES = /\/moreStyles-[^/]*\.css$/;

/**
 * Chunks: everything that the dashboard needs is one file, and each large library is one. So are the small modules of
 * one kind that many pages share, since a response's headers weigh more than most of them. A chunk also takes what its
 * modules import, so those of the least dependencies have the highest priority.
 */
export const GROUPS = [
  { name: "first", tags: ["$initial" as const], priority: 9 },
  { name: "icons", test: /@tabler[\\/]icons-react/, minShareCount: 2, priority: 8 },
  { name: "components", test: /node_modules[\\/]@(mantine|floating-ui)[\\/]/, minShareCount: 2, priority: 7 },
  { name: "canvas", test: /node_modules[\\/](@xyflow|d3-)/, priority: 6 },
  { name: "forms", test: /node_modules[\\/](@rjsf|@cfworker)/, priority: 5 },
  {
    name: "code",
    test: /node_modules[\\/](@codemirror|@lezer)[\\/](?!lang-|python|javascript|html|css|markdown)/,
    minShareCount: 2,
    entriesAware: true,
    priority: 4,
  },
  {
    name: "parts",
    test: /src[\\/](ui|api)[\\/][^\\/]*$/,
    minShareCount: 4,
    maxModuleSize: 6_000,
    priority: 3,
  },
];

/** Return a chunk and all chunks that it imports. */
function closure(bundle: Rolldown.OutputBundle, name: string, seen = new Set<string>()): Set<string> {
  const chunk = bundle[name];
  if (chunk?.type !== "chunk" || seen.has(name)) return seen;
  seen.add(name);
  for (const css of chunk.viteMetadata?.importedCss ?? []) seen.add(css);
  for (const imported of chunk.imports) closure(bundle, imported, seen);
  return seen;
}

/** Return the files of each page that the HTML page itself does not name. */
function chunksOf(bundle: Rolldown.OutputBundle): Chunks {
  const chunks = Object.values(bundle).filter((item) => item.type === "chunk");
  const first = new Set(
    chunks.filter((chunk) => chunk.isEntry).flatMap((chunk) => [...closure(bundle, chunk.fileName)]),
  );
  const styles = Object.keys(bundle).filter((name) => MORE_STYLES.test(name));
  const files: string[] = [];
  const pages = Object.entries(PAGES).map(([path, module]) => {
    const chunk = chunks.find((one) => one.facadeModuleId?.endsWith(module));
    if (chunk === undefined || styles.length === 0)
      throw new Error(`The build has no chunk for ${module}, or no styles`);
    const needed = [...closure(bundle, chunk.fileName), ...styles].filter((name) => !first.has(name));
    return {
      path,
      files: needed.map((name) => {
        const file = `/${name}`;
        if (!files.includes(file)) files.push(file);
        return files.indexOf(file);
      }),
    };
  });
  return { files, pages };
}

export function firstLoad(): Plugin {
  return {
    name: "first-load",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      async handler(html, { bundle }) {
        if (bundle === undefined) return html;
        const { code } = await transformWithOxc(readFileSync(START, "utf8"), START, { lang: "ts" });
        const body = code.replace("export function start", "function start").replace(/\/\*\*[\s\S]*?\*\//g, "");
        const chunks = JSON.stringify(chunksOf(bundle as Rolldown.OutputBundle));
        // A block keeps the function out of the page's global names.
        return html.replace("</title>", () => `</title>\n    <script>{${body}start(${chunks});}</script>`);
      },
    },
  };
}
