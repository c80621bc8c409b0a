import { useSession } from "@/app/session";
import { useEditor } from "../context";
import { useDismissed } from "./dismissed";

/** Return true if the set-up of the flow is shown: it was made from a template, and the set-up was not dismissed. */
export function useIsSettingUp(): boolean {
  const { user } = useSession();
  const flowId = useEditor((state) => state.flow.id);
  const [isDismissed] = useDismissed(user.id, flowId);
  return (
    useEditor((state) => !state.readOnly && Boolean(state.definition.settings?.template)) && !isDismissed
  );
}
