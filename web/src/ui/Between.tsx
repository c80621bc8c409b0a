import { TextInput } from "@mantine/core";

interface BetweenProps {
  /** On the viewer's clock, such as `2026-01-31T14:00`; empty for no bound. */
  since: string;
  until: string;
  onChange: (change: { since?: string; until?: string }, how: { replace: boolean }) => void;
}

// A whole date and time with the browser's own button behind it; Firefox sets them wider than Chromium does.
const WIDTH = { base: "100%", sm: 250 };

/** The two times of a filter, each of which may be left open. */
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
