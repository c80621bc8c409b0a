import { Anchor, Text } from "@mantine/core";
import { Link, useSearch } from "wouter";
import { Marked } from "@/ui/Marked";
import classes from "./runs.module.css";
import { addressOf, nameOfPlace } from "./searched";
import type { ListedRun } from "./useRuns";

/** The first place of a run that contains the text of a search in run data, as a link. */
export function FoundIn({ run }: { run: ListedRun }) {
  const text = new URLSearchParams(useSearch()).get("data") ?? "";
  const [first, ...others] = run.found_in ?? [];
  if (first === undefined) return null;
  return (
    <Text size="xs" c="var(--quiet)" lineClamp={2} component="div" className={classes.found}>
      <Anchor component={Link} href={addressOf(run.id, first)} inherit underline="always">
        {nameOfPlace(first)}
      </Anchor>
      : <Marked text={first.text} search={text} />
      {others.length > 0 && ` (also: ${others.map(nameOfPlace).join(", ")})`}
    </Text>
  );
}
