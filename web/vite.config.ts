import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { firstLoad, GROUPS } from "./firstLoad.ts";

/** Where the server runs while `npm run dev` serves the app beside it. */
const SERVER = process.env.HEADRACE_URL ?? "http://127.0.0.1:8000";

/** Writes .gz and .br beside each asset, so that the server never compresses while somebody waits. */
function precompressed(): Plugin {
  return {
    name: "precompressed",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        for (const [fileName, item] of Object.entries(bundle)) {
          if (!/\.(js|css|svg)$/.test(fileName)) continue;
          const source = Buffer.from(item.type === "chunk" ? item.code : item.source);
          this.emitFile({
            type: "asset",
            fileName: `${fileName}.gz`,
            source: gzipSync(source, { level: 9 }),
          });
          const params = { [constants.BROTLI_PARAM_QUALITY]: 11 };
          this.emitFile({
            type: "asset",
            fileName: `${fileName}.br`,
            source: brotliCompressSync(source, { params }),
          });
        }
      },
    },
  };
}

export default defineConfig({
  plugins: [react(), firstLoad(), precompressed()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    // docs/app.md names them too: the first that know `color-mix` and lookbehind, which the app cannot do without.
    target: ["chrome111", "edge111", "firefox113", "safari16.4"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    rolldownOptions: {
      output: {
        codeSplitting: { groups: GROUPS },
        // Names of shared chunks list all pages that share them.
        chunkFileNames: ({ name }) => `assets/${name.split("~")[0]}-[hash].js`,
      },
    },
    // Of all that is in the build, as their licences ask for.
    license: { fileName: "licenses.txt" },
  },
  server: { port: 5173, proxy: { "/api": SERVER, "/docs": SERVER, "/forms": SERVER, "/metrics": SERVER } },
  // Each test file has modules and globals of its own: in a context of a thread, which starts quicker than a process.
  test: { environment: "node", pool: "vmThreads", include: ["src/**/*.test.{ts,tsx}"], restoreMocks: true },
});
