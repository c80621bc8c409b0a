import { ActionIcon, Tooltip } from "@mantine/core";
import { IconStar, IconStarFilled } from "@tabler/icons-react";
import { useState } from "react";
import { attempt } from "./attempt";
import { type Flow, useFlowActions } from "./flows";

/** The star of a flow: a mark that only this user sees. */
export function Favourite({ flow }: { flow: Pick<Flow, "id" | "name" | "favourite"> }) {
  const { mark } = useFlowActions();
  const [wanted, setWanted] = useState<boolean | null>(null);
  const isMarked = wanted ?? flow.favourite;

  async function turn() {
    setWanted(!isMarked);
    await attempt(`“${flow.name}” could not be marked`, () => mark(flow.id, !isMarked));
    setWanted(null);
  }
  const Icon = isMarked ? IconStarFilled : IconStar;
  return (
    <Tooltip label={isMarked ? "Remove from favourites" : "Add to favourites"} openDelay={300}>
      <ActionIcon
        variant="subtle"
        color="gray"
        c={isMarked ? "var(--waiting)" : "var(--quiet)"}
        aria-label={`Favourite: ${flow.name}`}
        aria-pressed={isMarked}
        onClick={() => void turn()}
      >
        <Icon size={18} aria-hidden />
      </ActionIcon>
    </Tooltip>
  );
}
