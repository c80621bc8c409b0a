import { Avatar, Tooltip } from "@mantine/core";
import { timeAgo } from "@/ui/format";
import { useNow } from "@/ui/Time";
import { useEditor } from "../context";

const MOST = 3;
// Mantine's own colors have too little contrast.
const STYLES = {
  placeholder: {
    color: "var(--mantine-color-text)",
    background: "var(--page)",
    borderColor: "var(--line)",
  },
};

/** The other users who have the flow open. */
export function People() {
  const people = useEditor((state) => state.presence.people);
  const now = useNow();
  if (people.length === 0) return null;
  const more = people.slice(MOST);
  return (
    <Avatar.Group role="group" aria-label="Also here" spacing={6} style={{ flexShrink: 0 }}>
      {people.slice(0, MOST).map(({ user_id, name, since }) => (
        <Tooltip key={user_id} label={`${name} has this flow open, since ${timeAgo(since, now)}`}>
          <Avatar
            size={30}
            name={name}
            styles={STYLES}
            role="img"
            aria-label={`${name} has this flow open`}
            tabIndex={0}
          />
        </Tooltip>
      ))}
      {more.length > 0 && (
        <Tooltip label={more.map((person) => person.name).join(", ")}>
          <Avatar size={30} styles={STYLES} role="img" aria-label={`${more.length} more`} tabIndex={0}>
            +{more.length}
          </Avatar>
        </Tooltip>
      )}
    </Avatar.Group>
  );
}
