/** The run of the editor: started here, polled until it ends, shown on the canvas. */
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo } from "react";
import { ApiError, type Schemas, server } from "@/api/client";
import { useSession } from "@/app/session";
import type { Json } from "@/definition/types";
import type { Mark } from "@/graph/NodeCard";
import { askedOf } from "@/runs/input/asked";
import { inputFaults } from "@/runs/input/InputDialog";
import { lastCalled, lastInput, lastValue } from "@/runs/input/lastInput";
import { failedNode, liveEdges, marksOf, type NodeState, withItems } from "@/runs/states";
import { type Run, useCounts, useRun, useRunSteps } from "@/runs/useRun";
import { useRunActions } from "@/runs/useRunActions";
import { fetchWhole, hasEnded } from "@/runs/values";

import { firstLine } from "@/runs/words";
import { edgeKey } from "../changes";
import { useEditor, useEditorStore } from "../context";
import { useUi } from "../ui";
import { OUTPUT, shownOf, useRunStore } from "./runStore";
import { bodyOf, isLackOfData, lacksOutputs, type StartOptions, toKeep } from "./starting";

/** Poll interval in milliseconds for a run that has just started, so that it feels local. */
const QUICK = 350;
/** Seconds that the server may wait for the run to end before it responds. */
const AT_ONCE = 0.4;

/** Recent runs among which one that has ended is looked for. */
const RECENT = 10;

/** A run with the final states of its nodes. */
export interface Before {
  run: Run;
  states: ReadonlyMap<string, NodeState>;
}

export interface EditorRun {
  run: Run | undefined;
  states: ReadonlyMap<string, NodeState>;
  starting: boolean;
  /** True while a run is active. */
  going: boolean;
  refusal: unknown;
  failed: NodeState | undefined;
  /** Start a run. Return the problem of its input, for the caller; other problems are shown in the panel. */
  start: (options?: StartOptions) => Promise<unknown>;
  /**
   * Run with the last input. Ask for one if there is none and the flow wants one or was called, or if the server
   * refuses it.
   */
  runOrAsk: (until?: string, stay?: boolean) => Promise<void>;
  /**
   * Run only this node, with the outputs of the run on the canvas, else of the flow's last run that has ended. Pinned
   * outputs take precedence. If nodes before it have no output yet, they run too. A first node is given an input, like
   * a run.
   */
  runNode: (nodeId: string, stay?: boolean) => Promise<void>;
  /** Run from a node with the outputs of an ended run. */
  startFrom: (nodeId: string, before: Before) => Promise<void>;
  stop: () => Promise<void>;
  dismiss: () => void;
}

export function useEditorRun(): EditorRun {
  const flowId = useEditor((state) => state.flow.id);
  const shown = useRunStore((store) => shownOf(store, flowId));
  const set = useRunStore((store) => store.set);
  const { data: run, error } = useRun(shown.runId, QUICK);
  const { states } = useRunSteps(run, QUICK);
  const { start, startFrom, runOrAsk, runNode } = useStart();
  const { cancel } = useRunActions();
  const problem: unknown = error;

  useEffect(() => {
    // Another user deleted it.
    if (problem instanceof ApiError && problem.status === 404) set(flowId, { runId: null });
  }, [problem, set, flowId]);

  const stop = useCallback(async () => {
    if (run === undefined) return;
    try {
      await cancel(run);
    } catch (refusal) {
      set(flowId, { refusal });
    }
  }, [run, cancel, set, flowId]);

  const dismiss = useCallback(() => set(flowId, { runId: null, refusal: null }), [set, flowId]);
  return {
    run,
    states,
    starting: shown.starting,
    going: shown.starting || (run !== undefined && !hasEnded(run)),
    refusal: shown.refusal,
    failed: run && failedNode(run, states),
    start,
    runOrAsk,
    runNode,
    startFrom,
    stop,
    dismiss,
  };
}

function useStart() {
  const store = useEditorStore();
  const client = useQueryClient();
  const { may } = useSession();
  const mayEdit = may("editor");
  const set = useRunStore((known) => known.set);

  const start = useCallback(
    async (options: StartOptions = {}) => {
      const state = store.getState();
      const flowId = state.flow.id;
      set(flowId, { starting: true, refusal: null, refusedNode: null });
      try {
        const body = bodyOf(state, options, mayEdit) as unknown as Schemas["StartIn"];
        const { data } = await server.POST("/api/workflows/{flow}/run", {
          params: { path: { flow: flowId }, query: { wait: AT_ONCE } },
          body,
        });
        const made = data as Schemas["RunOut"];
        const key = ["get", "/api/runs/{run}", { params: { path: { run: made.id } } }];
        client.setQueryData(key, { ...made, questions: [] }, { updatedAt: hasEnded(made) ? undefined : 1 });
        set(flowId, { runId: made.id, starting: false });
        void client.invalidateQueries({ queryKey: ["get", "/api/runs"] });
        const nodeId = options.only ?? options.until;
        if (nodeId !== undefined && !options.stay) {
          useUi.getState().keep({ panel: true });
          state.goTo(nodeId, OUTPUT);
        }
        return null;
      } catch (refusal) {
        if (inputFaults(refusal) !== null || lacksOutputs(refusal, options.only ?? "")) {
          set(flowId, { starting: false });
          return refusal;
        }
        const lacksData = options.only !== undefined && isLackOfData(refusal);
        set(flowId, { starting: false, refusal, refusedNode: lacksData ? options.only : null });
        if (lacksData) return null;
        const nodeId = refusal instanceof ApiError ? refusal.details.find((one) => one.node_id)?.node_id : null;
        if (nodeId) state.goTo(nodeId);
        return null;
      }
    },
    [store, client, set, mayEdit],
  );

  const runOrAsk = useCallback(
    async (until?: string, stay?: boolean) => {
      const { flow, definition, pinned } = store.getState();
      const wantsInput = askedOf(definition, mayEdit ? pinned : {}).schema !== null;
      if (lastInput(flow.id) === null) {
        // For a flow with webhook calls an empty input makes no sense: offer the input of the last call.
        const initial = await lastCalled(client, flow.id).catch(() => undefined);
        if (wantsInput || initial !== undefined) return set(flow.id, { asking: { until, initial } });
      }
      const refusal = await start({ input: lastValue(flow.id), until, stay });
      if (refusal !== null) set(flow.id, { asking: { until, refusal } });
    },
    [store, client, set, start, mayEdit],
  );

  const runNode = useCallback(
    async (nodeId: string, stay?: boolean) => {
      const { flow, definition, pinned } = store.getState();
      if (!definition.edges.some((edge) => edge.to === nodeId)) return runOrAsk(nodeId, stay);
      set(flow.id, { starting: true, refusal: null });
      try {
        const fromRun = shownOf(useRunStore.getState(), flow.id).runId ?? (await lastEnded(flow.id));
        if (fromRun === undefined && Object.keys(pinned).length === 0) return await runOrAsk(nodeId, stay);
        const input = fromRun === undefined ? lastValue(flow.id) : undefined;
        const refusal = await start({ only: nodeId, fromRun, input, stay });
        if (lacksOutputs(refusal, nodeId)) return runOrAsk(nodeId, stay);
        if (refusal !== null) set(flow.id, { refusal });
      } catch (refusal) {
        set(flow.id, { starting: false, refusal });
      }
    },
    [start, runOrAsk, store, set],
  );

  const startFrom = useCallback(
    async (nodeId: string, { run, states }: Before) => {
      const flowId = store.getState().flow.id;
      set(flowId, { starting: true, refusal: null });
      try {
        const kept = toKeep(store.getState().definition, states, nodeId);
        const outputs = await Promise.all(kept.map(async (state) => [state, await outputOf(run.id, state)] as const));
        const pins = outputs.map(([state, output]) => [state.nodeId, { output, branch: state.branch }]);
        const input = (await fetchWhole(run.input)) as Json;
        const refusal = await start({ input, pinned: Object.fromEntries(pins) });
        if (refusal !== null) set(flowId, { refusal });
      } catch (refusal) {
        set(flowId, { starting: false, refusal });
      }
    },
    [start, store, set],
  );
  return { start, startFrom, runOrAsk, runNode };
}

/** Return the flow's last run that has ended. */
async function lastEnded(flowId: string): Promise<string | undefined> {
  const query = { workflow_id: flowId, limit: RECENT };
  const { data } = await server.GET("/api/runs", { params: { query } });
  return data?.items.find((run) => run.finished_at !== null)?.id;
}

/** Return the whole output of a node in a run. */
export async function outputOf(run: string, state: NodeState): Promise<Json> {
  const { data } = await server.GET("/api/runs/{run}/steps/{number}", {
    params: { path: { run, number: state.step } },
  });
  return (await fetchWhole(data?.output)) as Json;
}

const NO_MARKS: ReadonlyMap<string, Mark> = new Map();

/** Show the run on the canvas, and select its failed node once. Use it in one place only. */
export function useRunOnCanvas({ run, states, starting, failed }: EditorRun): void {
  const store = useEditorStore();
  const flowId = useEditor((state) => state.flow.id);
  const definition = useEditor((state) => state.definition);
  const jumped = useRunStore((known) => shownOf(known, flowId).jumped);
  const set = useRunStore((known) => known.set);

  const counts = useCounts(run);
  const marks = useMemo(() => {
    if (starting) return NO_MARKS;
    const made = marksOf(states, counts);
    if (failed !== undefined) {
      const told = firstLine(failed.error ?? run?.error_text ?? "");
      made.set(failed.nodeId, { ...made.get(failed.nodeId), error: told || "failed" });
    }
    return withItems(made, definition, counts);
  }, [states, failed, starting, run?.error_text, definition, counts]);
  const live = useMemo(() => {
    const isLive = liveEdges(definition, states);
    return new Set(starting ? [] : definition.edges.filter(isLive).map(edgeKey));
  }, [definition, states, starting]);
  useEffect(() => store.getState().setMarks(marks, live), [store, marks, live]);

  useEffect(() => {
    if (failed === undefined || run === undefined || jumped === run.id || !hasEnded(run)) return;
    set(flowId, { jumped: run.id });
    store.getState().goTo(failed.nodeId);
  }, [failed, run, jumped, set, flowId, store]);
}
