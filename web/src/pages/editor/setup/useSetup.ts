import { useMemo } from "react";
import { api } from "@/api/client";
import { useCredentials } from "@/api/credentials";
import { CALM } from "@/api/queries";
import { useSession } from "@/app/session";
import { readDefinition } from "@/definition/read";
import { useTemplates } from "@/pages/templates/useTemplates";
import { useEditor } from "../context";
import { startsOf } from "../panel/starts";
import { useDismissed } from "./dismissed";
import { type Task, tasksOf } from "./tasks";

export interface Setup {
  tasks: readonly Task[];
  done: number;
  /** Other requirements of the template, such as a language model. */
  needs: readonly string[];
  dismiss: () => void;
}

const NO_PROBLEMS: readonly never[] = [];

/** Return the remaining tasks; undefined while they are unknown. */
export function useSetup(): Setup | undefined {
  const { user } = useSession();
  const { id: flowId, status } = useEditor((state) => state.flow);
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const problems = useEditor((state) => state.check?.problems) ?? NO_PROBLEMS;
  const [, dismiss] = useDismissed(user.id, flowId);
  const { data: credentials } = useCredentials();
  const { data: templates, error } = useTemplates();
  const { data: runs } = api.useQuery(
    "get",
    "/api/runs",
    { params: { query: { workflow_id: flowId, status: "success", limit: 1, brief: true } } },
    { refetchInterval: (query) => (query.state.data?.items.length ? false : CALM) },
  );
  const template = templates?.items.find((one) => one.id === definition.settings?.template);
  const tasks = useMemo(() => {
    if (catalogue === undefined || credentials === undefined || runs === undefined) return undefined;
    if (templates === undefined && error === null) return undefined;
    return tasksOf({
      definition,
      catalogue,
      origin: template && {
        definition: readDefinition(template.definition),
        credentials: template.credentials,
      },
      credentials,
      problems,
      hasRun: runs.items.length > 0,
      isActive: status === "active",
      starts: startsOf(definition, catalogue).some((start) => start.node.type !== MANUAL),
    });
  }, [definition, catalogue, credentials, runs, templates, template, error, problems, status]);
  if (tasks === undefined) return undefined;
  const done = tasks.filter((task) => task.done).length;
  return { tasks, done, needs: template?.needs ?? [], dismiss };
}

/** A flow that people start needs no activation. */
const MANUAL = "manual";
