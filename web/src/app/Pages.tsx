/** The app's routes. Each page is a separate chunk, loaded when it is opened. */

import { Suspense } from "react";
import { Redirect, Route, Switch, useLocation } from "wouter";
import { ErrorBoundary } from "@/ui/ErrorBoundary";
import { lazily } from "@/ui/lazily";
import { Empty, Loading } from "@/ui/states";

const Dashboard = lazily(() => import("@/pages/dashboard/Dashboard"));
const Flows = lazily(() => import("@/pages/flows/Flows"));
const Templates = lazily(() => import("@/pages/templates/Templates"));
const Editor = lazily(() => import("@/pages/editor/Editor"));
const Versions = lazily(() => import("@/pages/versions/Versions"));
const Runs = lazily(() => import("@/pages/runs/Runs"));
const RunPage = lazily(() => import("@/pages/runs/RunPage"));
const Waiting = lazily(() => import("@/pages/runs/Waiting"));
const Agents = lazily(() => import("@/pages/agents/Agents"));
const AgentPage = lazily(() => import("@/pages/agents/AgentPage"));
const Logs = lazily(() => import("@/pages/logs/Logs"));
const Credentials = lazily(() => import("@/pages/credentials/Credentials"));
const Members = lazily(() => import("@/pages/workspace/Members"));
const Tokens = lazily(() => import("@/pages/workspace/Tokens"));
const Audit = lazily(() => import("@/pages/workspace/Audit"));
const Files = lazily(() => import("@/pages/files/Files"));
const InvitationPage = lazily(() => import("@/pages/invitation/InvitationPage"));
const Profile = lazily(() => import("@/pages/profile/Profile"));

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
          <Route path="/files" component={Files} />
          <Route path="/members" component={Members} />
          <Route path="/tokens" component={Tokens} />
          <Route path="/audit" component={Audit} />
          <Route path="/profile" component={Profile} />
          <Route path="/invitation" component={InvitationPage} />
          <Route path="/login">
            <Redirect to="/" />
          </Route>
          <Route>
            <Empty title="Page not found" hint={`There is no page at ${path}.`} />
          </Route>
        </Switch>
      </Suspense>
    </ErrorBoundary>
  );
}
