/**
 * Use a server through a client that is typed by its description: `node use.mjs URL EMAIL PASSWORD`. Print what lists it
 * got, as JSON by path.
 */
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url, email, password] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl: url });

/** Keeps the session cookie, which a browser does by itself. */
let cookie = "";
const cookies: Middleware = {
  onRequest({ request }) {
    if (cookie) request.headers.set("Cookie", cookie);
    return request;
  },
  onResponse({ response }) {
    cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
    return undefined;
  },
};
client.use(cookies);

function check(holds: boolean, what: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(what));
}

const refused = await client.POST("/api/auth/login", { body: { email, password: "not this one" } });
check(refused.error !== undefined && refused.error.error.length > 0, refused);
const who = await client.POST("/api/auth/login", { body: { email, password } });
check(who.data?.user.email === email, who);

const definition: components["schemas"]["WorkflowDefinition"] = {
  nodes: [
    { id: "start", type: "manual" },
    { id: "say", type: "log", config: { message: "Hello, {{ input.name }}" } },
  ],
  edges: [{ from: "start", to: "say" }, ["start", "end"]],
};
const wrong = await client.POST("/api/flows", { body: { name: "Wrong", definition } });
check(wrong.error?.error.includes("'end'") === true, wrong);
definition.nodes?.push({ id: "end", type: "noop" });
const flow = await client.POST("/api/flows", { body: { name: "Hello", definition } });
check(flow.data?.version === 1, flow);
const workflow_id = flow.data.id;

const started = await client.POST("/api/workflows/{flow}/run", {
  params: { path: { flow: workflow_id }, query: { wait: 20 } },
  body: { input: { name: "Ada" } },
});
check(started.data?.status === "success", started);
const path = { run: started.data.id };
const run = await client.GET("/api/runs/{run}", { params: { path } });
check(JSON.stringify(run.data?.output) === '{"say":{"name":"Ada"},"end":{"name":"Ada"}}', run);
const steps = await client.GET("/api/runs/{run}/steps", { params: { path } });
check(steps.data?.items.map((step) => step.node_id).join() === "start,say,end", steps);
const logs = await client.GET("/api/logs/{run}", { params: { path } });
check(logs.data?.items.map((entry) => entry.message).join() === "Hello, Ada", logs);
const runs = await client.GET("/api/runs", { params: { query: { limit: 5, workflow_id } } });
check(runs.data?.items.map((item) => item.id).join() === path.run, runs);
const flows = await client.GET("/api/flows");
check(flows.data?.items.some((item) => item.id === workflow_id) === true, flows);
const nodes = await client.GET("/api/nodes");
check(nodes.data !== undefined, nodes);
const lists = {
  "/api/flows": flows.data,
  [`/api/runs?limit=5&workflow_id=${workflow_id}`]: runs.data,
  [`/api/runs/${path.run}/steps`]: steps.data,
  [`/api/logs/${path.run}`]: logs.data,
  "/api/nodes": nodes.data,
};
console.log(JSON.stringify(lists));
