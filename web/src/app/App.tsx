import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { setNonce } from "get-nonce";
import { type ReactNode, Suspense, useEffect, useState } from "react";
import { useLocation } from "wouter";
import { makeQueryClient } from "@/api/queries";
import "@/pages/login/overKeys";
import { INVITATION } from "@/pages/invitation/token";
import { lazily } from "@/ui/lazily";
import { ErrorBoundary, Loading } from "@/ui/states";

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
          <SessionProvider
            login={<LoggedOut />}
            again={
              <Opening>
                <LogInAgain />
              </Opening>
            }
          >
            <Inside />
          </SessionProvider>
        </QueryClientProvider>
      </ErrorBoundary>
    </MantineProvider>
  );
}

const Invited = lazily(() => import("@/pages/invitation/Invited"));
const login = () => import("@/pages/login/Login");
const Login = lazily(() => login().then((part) => ({ default: part.Login })));
const LogInAgain = lazily(() => login().then((part) => ({ default: part.LogInAgain })));
const SetUp = lazily(() => login().then((part) => ({ default: part.SetUp })));
const SetUpAgain = lazily(() => login().then((part) => ({ default: part.SetUpAgain })));

/** Milliseconds after which the login is loaded ahead: an update of the server may remove the file of an open page. */
const AHEAD = 30_000;

/** The login page, or the invitation page: an invited person may have no account yet. */
function LoggedOut() {
  const [path] = useLocation();
  return <Opening>{path === INVITATION ? <Invited /> : <Login />}</Opening>;
}

/** The pages. If another user set the password, the set-up page comes first, or covers an open page. */
function Inside() {
  const { user } = useSession();
  const [isOpen, setOpen] = useState(user.set_up);
  if (user.set_up && !isOpen) setOpen(true);
  useEffect(() => {
    const timer = setTimeout(() => void login().catch(() => undefined), AHEAD);
    return () => clearTimeout(timer);
  }, []);
  if (!isOpen) {
    return (
      <Opening>
        <SetUp />
      </Opening>
    );
  }
  return (
    <>
      <Shell>
        <Pages />
      </Shell>
      {!user.set_up && (
        <Opening>
          <SetUpAgain />
        </Opening>
      )}
    </>
  );
}

/** Show that a part of the app is being loaded. */
function Opening({ children }: { children: ReactNode }) {
  return <Suspense fallback={<Loading label="Opening Headrace" fill />}>{children}</Suspense>;
}
