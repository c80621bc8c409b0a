import { useEffect } from "react";
import { useSession } from "../session";
import { type Recent, remember } from "./recent";

/** Put the open item first among the recent items of the command palette; null while its name is unknown. */
export function useVisited(item: Recent | null): void {
  const { workspace } = useSession();
  const [id, label] = [item?.id, item?.label];
  useEffect(() => {
    if (id !== undefined && label !== undefined) remember(workspace.id, { id, label });
  }, [workspace.id, id, label]);
}
