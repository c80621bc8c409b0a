/** The app's routes. Each page is a separate chunk, loaded when it is opened. */

import { Anchor } from "@mantine/core";
import { useEffect } from "react";
import { Link, Redirect, Route, Switch, useLocation } from "wouter";
import { usePack } from "@/api/catalogue";
import Dashboard from "@/pages/dashboard/Dashboard";
import { type Lazily, lazyPage } from "@/ui/lazily";
import { Page } from "@/ui/Page";
import { ErrorBoundary, Loading } from "@/ui/states";

const WAITING = <Loading label="Loading the page" fill />;
const Flows = lazyPage(() => import("@/pages/flows/Flows"), WAITING);
const Templates = lazyPage(() => import("@/pages/templates/Templates"), WAITING);
const Editor = lazyPage(() => import("@/pages/editor/Editor"), WAITING);
const Versions = lazyPage(() => import("@/pages/versions/Versions"), WAITING);
const Runs = lazyPage(() => import("@/pages/runs/Runs"), WAITING);
const RunPage = lazyPage(() => import("@/pages/runs/RunPage"), WAITING);
const Waiting = lazyPage(() => import("@/pages/runs/Waiting"), WAITING);
const Agents = lazyPage(() => import("@/pages/agents/Agents"), WAITING);
const AgentPage = lazyPage(() => import("@/pages/agents/AgentPage"), WAITING);
const Logs = lazyPage(() => import("@/pages/logs/Logs"), WAITING);
const Credentials = lazyPage(() => import("@/pages/credentials/Credentials"), WAITING);
const Members = lazyPage(() => import("@/pages/workspace/Members"), WAITING);
const Tokens = lazyPage(() => import("@/pages/workspace/Tokens"), WAITING);
const Audit = lazyPage(() => import("@/pages/workspace/Audit"), WAITING);
const Files = lazyPage(() => import("@/pages/files/Files"), WAITING);
const Settings = lazyPage(() => import("@/pages/workspace/Settings"), WAITING);
const Tables = lazyPage(() => import("@/pages/tables/Tables"), WAITING);
const TablePage = lazyPage(() => import("@/pages/tables/TablePage"), WAITING);
const InvitationPage = lazyPage(() => import("@/pages/invitation/InvitationPage"), WAITING);
const Profile = lazyPage(() => import("@/pages/profile/Profile"), WAITING);

/** The pages to load ahead when the pointer is on a link to them, by the first part of their address. */
const AHEAD: Record<string, [page: Lazily<never>, detail?: Lazily<never>]> = {
  flows: [Flows, Editor],
  runs: [Runs, RunPage],
  templates: [Templates],
  waiting: [Waiting],
  agents: [Agents, AgentPage],
  logs: [Logs],
  credentials: [Credentials],
  tables: [Tables, TablePage],
};

/** Load a page ahead when the pointer or the focus is on a link to it. */
function useLoadAhead(): void {
  useEffect(() => {
    function load({ target }: Event) {
      const link = target instanceof Element ? target.closest("a[href^='/']") : null;
      const [, area, id] = link?.getAttribute("href")?.split(/[/?#]/) ?? [];
      const [page, detail] = AHEAD[area ?? ""] ?? [];
      (id ? detail : page)?.preload();
    }
    const events = ["pointerover", "focusin"] as const;
    for (const name of events) document.addEventListener(name, load, { passive: true });
    return () => {
      for (const name of events) document.removeEventListener(name, load);
    };
  }, []);
}

export function Pages() {
  const [path] = useLocation();
  useLoadAhead();
  const hasAgents = usePack("agents");
  const hasTables = usePack("tables");
  return (
    <ErrorBoundary key={path}>
      <Switch>
        <Route path="/" component={Dashboard} />
        <Route path="/flows" component={Flows} />
        <Route path="/templates" component={Templates} />
        <Route path="/flows/:id">{({ id }) => <Editor key={id} id={id} />}</Route>
        <Route path="/flows/:id/setup">{({ id }) => <Editor key={`${id} guided`} id={id} guided />}</Route>
        <Route path="/flows/:id/versions">{({ id }) => <Versions key={id} id={id} />}</Route>
        <Route path="/runs" component={Runs} />
        <Route path="/waiting" component={Waiting} />
        <Route path="/runs/:id">{({ id }) => <RunPage key={id} id={id} />}</Route>
        {hasAgents && <Route path="/agents" component={Agents} />}
        {hasAgents && <Route path="/agents/:id">{({ id }) => <AgentPage key={id} id={id} />}</Route>}
        <Route path="/logs" component={Logs} />
        <Route path="/credentials" component={Credentials} />
        <Route path="/files" component={Files} />
        <Route path="/tables" component={Tables} />
        {hasTables && <Route path="/tables/:id">{({ id }) => <TablePage key={id} id={id} />}</Route>}
        <Route path="/members" component={Members} />
        <Route path="/tokens" component={Tokens} />
        <Route path="/settings" component={Settings} />
        <Route path="/audit" component={Audit} />
        <Route path="/profile" component={Profile} />
        <Route path="/invitation" component={InvitationPage} />
        <Route path="/login">
          <Redirect to="/" />
        </Route>
        <Route>
          <Page title="Page not found" about={`There is no page at ${path}.`}>
            <Anchor component={Link} href="/">
              Go to the dashboard
            </Anchor>
          </Page>
        </Route>
      </Switch>
    </ErrorBoundary>
  );
}
