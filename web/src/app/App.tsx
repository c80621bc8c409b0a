import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { setNonce } from "get-nonce";
import { Suspense, useState } from "react";
import { useLocation } from "wouter";
import { makeQueryClient } from "@/api/queries";
import { INVITATION } from "@/pages/invitation/token";
import { LogInAgain } from "@/pages/login/LogInAgain";
import { Login } from "@/pages/login/Login";
import { SetUp, SetUpAgain } from "@/pages/login/SetUp";
import { ErrorBoundary } from "@/ui/ErrorBoundary";
import { lazily } from "@/ui/lazily";
import { Loading } from "@/ui/states";
import { Pages } from "./Pages";
import { SessionProvider, useSession } from "./session";
import { Shell } from "./shell/Shell";
import { theme, variables } from "./theme";

const nonce = document.querySelector<HTMLMetaElement>("meta[name=csp-nonce]")?.content ?? "";
// The scroll lock behind a dialog adds a <style> element and asks here for the nonce.
setNonce(nonce);

export function App() {
  const [client] = useState(makeQueryClient);
  return (
    <MantineProvider
      theme={theme}
      cssVariablesResolver={variables}
      defaultColorScheme="auto"
      getStyleNonce={() => nonce}
    >
      <Notifications position="bottom-right" limit={4} />
      <ErrorBoundary>
        <QueryClientProvider client={client}>
          <SessionProvider login={<LoggedOut />} again={<LogInAgain />}>
            <Inside />
          </SessionProvider>
        </QueryClientProvider>
      </ErrorBoundary>
    </MantineProvider>
  );
}

const Invited = lazily(() => import("@/pages/invitation/Invited"));

/** The login page, or the invitation page: an invited person may have no account yet. */
function LoggedOut() {
  const [path] = useLocation();
  if (path !== INVITATION) return <Login />;
  return (
    <Suspense fallback={<Loading label="Opening Headrace" fill />}>
      <Invited />
    </Suspense>
  );
}

/** The pages. If somebody else set the user's password, the set-up page comes first, or covers an open page. */
function Inside() {
  const { user } = useSession();
  const [isOpen, setOpen] = useState(user.set_up);
  if (user.set_up && !isOpen) setOpen(true);
  if (!isOpen) return <SetUp />;
  return (
    <>
      <Shell>
        <Pages />
      </Shell>
      {!user.set_up && <SetUpAgain />}
    </>
  );
}
