/** The addresses of the app. Each page is a part of its own, loaded when it is opened. */
import { lazy, Suspense } from "react";
import { Redirect, Route, Switch, useLocation } from "wouter";
import { ErrorBoundary } from "@/ui/ErrorBoundary";
import { Empty, Loading } from "@/ui/states";

const Dashboard = lazy(() => import("@/pages/dashboard/Dashboard"));
const Flows = lazy(() => import("@/pages/flows/Flows"));
const Templates = lazy(() => import("@/pages/templates/Templates"));
const Editor = lazy(() => import("@/pages/editor/Editor"));
const Versions = lazy(() => import("@/pages/versions/Versions"));
const Runs = lazy(() => import("@/pages/runs/Runs"));
const RunPage = lazy(() => import("@/pages/runs/RunPage"));
const Waiting = lazy(() => import("@/pages/runs/Waiting"));
const Agents = lazy(() => import("@/pages/agents/Agents"));
const AgentPage = lazy(() => import("@/pages/agents/AgentPage"));
const Logs = lazy(() => import("@/pages/logs/Logs"));
const Credentials = lazy(() => import("@/pages/credentials/Credentials"));
const Members = lazy(() => import("@/pages/workspace/Members"));
const Tokens = lazy(() => import("@/pages/workspace/Tokens"));
const Audit = lazy(() => import("@/pages/workspace/Audit"));
const Profile = lazy(() => import("@/pages/profile/Profile"));

export function Pages() {
  const [path] = useLocation();
  return (
    <ErrorBoundary key={path}>
      <Suspense fallback={<Loading label="Loading the page" fill />}>
        <Switch>
          <Route path="/" component={Dashboard} />
          <Route path="/flows" component={Flows} />
          <Route path="/templates" component={Templates} />
          <Route path="/flows/:id">{({ id }) => <Editor key={id} id={id} />}</Route>
          <Route path="/flows/:id/versions">{({ id }) => <Versions key={id} id={id} />}</Route>
          <Route path="/runs" component={Runs} />
          <Route path="/waiting" component={Waiting} />
          <Route path="/runs/:id">{({ id }) => <RunPage key={id} id={id} />}</Route>
          <Route path="/agents" component={Agents} />
          <Route path="/agents/:id">{({ id }) => <AgentPage key={id} id={id} />}</Route>
          <Route path="/logs" component={Logs} />
          <Route path="/credentials" component={Credentials} />
          <Route path="/members" component={Members} />
          <Route path="/tokens" component={Tokens} />
          <Route path="/audit" component={Audit} />
          <Route path="/profile" component={Profile} />
          <Route path="/login">
            <Redirect to="/" />
          </Route>
          <Route>
            <Empty title="There is no such page" hint={`Nothing is at ${path}.`} />
          </Route>
        </Switch>
      </Suspense>
    </ErrorBoundary>
  );
}
