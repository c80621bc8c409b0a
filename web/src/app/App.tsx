import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { setNonce } from "get-nonce";
import { useState } from "react";
import { makeQueryClient } from "@/api/queries";
import { Login } from "@/pages/login/Login";
import { ErrorBoundary } from "@/ui/ErrorBoundary";
import { Pages } from "./Pages";
import { Shell } from "./Shell";
import { SessionProvider } from "./session";
import { theme, variables } from "./theme";

const nonce = document.querySelector<HTMLMetaElement>("meta[name=csp-nonce]")?.content ?? "";
// What keeps the page still behind a dialog writes a <style> and asks there for the nonce.
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
          <SessionProvider login={<Login />}>
            <Shell>
              <Pages />
            </Shell>
          </SessionProvider>
        </QueryClientProvider>
      </ErrorBoundary>
    </MantineProvider>
  );
}
