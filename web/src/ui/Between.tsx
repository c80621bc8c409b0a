import { TextInput } from "@mantine/core";

interface BetweenProps {
  /** A local time such as `2026-01-31T14:00`; empty for no limit. */
  since: string;
  until: string;
  onChange: (change: { since?: string; until?: string }, how: { replace: boolean }) => void;
}

// Wide enough for a date and time with the browser's button; Firefox needs more than Chromium.
const WIDTH = { base: "100%", sm: 250 };

/** The start and end of a time filter. Either may be empty. */
export function Between({ since, until, onChange }: BetweenProps) {
  return (
    <>
      <TextInput
        type="datetime-local"
        aria-label="From"
        w={WIDTH}
        value={since}
        max={until || undefined}
        onChange={(event) => onChange({ since: event.currentTarget.value }, { replace: true })}
      />
      <TextInput
        type="datetime-local"
        aria-label="Until"
        w={WIDTH}
        value={until}
        min={since || undefined}
        onChange={(event) => onChange({ until: event.currentTarget.value }, { replace: true })}
      />
    </>
  );
}
