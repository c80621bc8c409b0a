import { UnstyledButton } from "@mantine/core";
import classes from "./flows.module.css";

interface TagsProps {
  tags: string[];
  /** The tags of the filter. */
  chosen: string[];
  onToggle: (tag: string) => void;
}

/** The tags of a flow. A click on one adds it to the filter of the list, or removes it. */
export function Tags({ tags, chosen, onToggle }: TagsProps) {
  return tags.map((tag) => (
    <UnstyledButton
      key={tag}
      className={classes.tag}
      aria-pressed={chosen.includes(tag)}
      title={chosen.includes(tag) ? "Remove from the filter" : "Show flows with this tag"}
      onClick={() => onToggle(tag)}
    >
      {tag}
    </UnstyledButton>
  ));
}
