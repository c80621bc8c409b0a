import { Anchor, Box, Button, CloseButton, Code, Group, Loader, Text } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import { api, type Schemas, server } from "@/api/client";
import { CopyIcon } from "@/ui/IconButton";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { useEditor, useEditorStore } from "../context";
import classes from "./run.module.css";
import { shownOf, useRunStore } from "./runStore";
import { bodyOf } from "./starting";

const POLL = 1_000;
const SECOND = 1_000;
/** How long to listen for a call, and for the answer to a form, which people fill in. */
const SECONDS = 120;
const FORM_SECONDS = 900;

/** Return true for the test address of a form. */
export function isForm(path: string): boolean {
  return path.startsWith("/forms-test/");
}

/**
 * Return the function that has the server listen for a test call of the definition on the canvas. It returns the
 * listener, or null if the server refused.
 */
export function useListen(): () => Promise<Schemas["BegunOut"] | null> {
  const store = useEditorStore();
  const client = useQueryClient();
  const set = useRunStore((known) => known.set);
  return useCallback(async () => {
    const { flow, goTo } = store.getState();
    const { definition, pinned } = bodyOf(store.getState(), {}, true);
    const hasForm = store.getState().definition.nodes.some((node) => node.type === "form" && !node.disabled);
    const seconds = hasForm ? FORM_SECONDS : SECONDS;
    try {
      const body = { definition, pinned, seconds } as unknown as Schemas["ListenIn"];
      const { data } = await server.POST("/api/workflows/{flow}/test-call", {
        params: { path: { flow: flow.id } },
        body,
      });
      client.removeQueries({ queryKey: ["get", "/api/workflows/{flow}/test-call"] });
      // The deadline by this device's clock, which may differ from the server's.
      const until = new Date(Date.now() + seconds * SECOND).toISOString();
      const begun = data as Schemas["BegunOut"];
      set(flow.id, { listening: { ...begun, until }, refusal: null });
      return begun;
    } catch (refusal) {
      set(flow.id, { listening: null, refusal, refusedNode: null });
      const at = refusal instanceof Error && "details" in refusal ? (refusal.details as Schemas["Detail"][]) : [];
      const nodeId = at.find((one) => one.node_id)?.node_id;
      if (nodeId) goTo(nodeId);
      return null;
    }
  }, [store, client, set]);
}

/** The panel below the canvas while the server listens for a test call: the addresses, and the time that is left. */
export function Listening({ begun }: { begun: Schemas["BegunOut"] }) {
  const flowId = useEditor((state) => state.flow.id);
  const set = useRunStore((known) => known.set);
  const listen = useListen();
  const left = useSecondsLeft(begun.until);
  const { data, error } = api.useQuery(
    "get",
    "/api/workflows/{flow}/test-call",
    { params: { path: { flow: flowId } } },
    {
      // A call may have come in the last second.
      refetchInterval: ({ state }) => (state.data?.state === "expired" ? false : POLL),
      refetchIntervalInBackground: true,
      retry: false,
    },
  );
  const isOurs = data === undefined || data.id === begun.id;
  const runId = isOurs ? data?.run_id : undefined;
  useEffect(() => {
    if (runId) set(flowId, { runId, listening: null, refusal: null });
    else if (!isOurs || error !== null) set(flowId, { listening: null });
  }, [runId, isOurs, error, set, flowId]);

  async function stop() {
    set(flowId, { listening: null });
    try {
      await server.DELETE("/api/workflows/{flow}/test-call", { params: { path: { flow: flowId } } });
    } catch (refusal) {
      notify.refused("Listening could not be stopped", refusal);
    }
  }

  return (
    <Box component="section" aria-label="Test call" className={classes.panel}>
      <Group gap="sm" wrap="nowrap">
        {left > 0 && <Loader size="xs" aria-hidden />}
        <Text size="sm" fw={600} flex={1} role="status">
          {left > 0 ? "Listening for a test call" : "No call came in time"}
        </Text>
        {left > 0 ? (
          <>
            <Quiet className={classes.still}>
              {Math.floor(left / 60)}:{String(left % 60).padStart(2, "0")} left
            </Quiet>
            <Button size="compact-sm" variant="default" data-next="[data-run]" onClick={() => void stop()}>
              Cancel
            </Button>
          </>
        ) : (
          <>
            <Button size="compact-sm" variant="default" onClick={() => void listen()}>
              Listen again
            </Button>
            <CloseButton aria-label="Close" data-next="[data-run]" onClick={() => set(flowId, { listening: null })} />
          </>
        )}
      </Group>
      {left > 0 && (
        <>
          <Quiet size="xs" mt={4}>
            The next call of this address runs the flow as shown on the canvas. Calls of the active flow are not
            affected.
          </Quiet>
          {begun.addresses.map(({ method, path }) =>
            isForm(path) ? (
              <Anchor key={path} href={path} target="_blank" size="sm" display="block" mt={4}>
                Open the form {path.split("/").slice(3).join("/")}
              </Anchor>
            ) : (
              <Address key={`${method} ${path}`} method={method} url={window.location.origin + path} />
            ),
          )}
        </>
      )}
    </Box>
  );
}

function Address({ method, url }: { method: string; url: string }) {
  return (
    <Group gap={4} wrap="nowrap" mt={4}>
      <Code style={{ overflowWrap: "anywhere" }}>
        {method} {url}
      </Code>
      <CopyIcon value={url} label={`Copy URL for ${method}`} tip="Copy URL" />
    </Group>
  );
}

/** Return the whole seconds until this time, at least 0. */
function useSecondsLeft(until: string): number {
  const leftOf = useCallback(() => Math.max(0, Math.ceil((new Date(until).getTime() - Date.now()) / SECOND)), [until]);
  const [left, setLeft] = useState(leftOf);
  useEffect(() => {
    setLeft(leftOf());
    const timer = setInterval(() => setLeft(leftOf()), SECOND);
    return () => clearInterval(timer);
  }, [leftOf]);
  return left;
}

/** Return the flow's listener, or null. */
export function useListening(): Schemas["BegunOut"] | null {
  const flowId = useEditor((state) => state.flow.id);
  return useRunStore((known) => shownOf(known, flowId).listening);
}
