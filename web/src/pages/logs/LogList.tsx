import { Button } from "@mantine/core";
import { IconArrowUp } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";
import { count } from "@/ui/format";
import { LogEntry } from "./LogEntry";
import type { Entry } from "./logs";
import classes from "./logs.module.css";

const USUAL_HEIGHT = 52;
/** Distance from the end, in pixels, at which older entries are fetched. */
const AHEAD = 20;
const AT_TOP = 24;

interface LogListProps {
  entries: Entry[];
  held: number;
  /** Called with whether the start of the list is in view. */
  onAtTop: (atTop: boolean) => void;
  /** Show the held entries. */
  onShow: () => void;
  onEnd: () => void;
}

/** The list of entries. Only visible entries are in the page, however many there are. */
export function LogList({ entries, held, onAtTop, onShow, onEnd }: LogListProps) {
  const place = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const rows = useVirtualizer({
    count: entries.length,
    getScrollElement: () => place.current,
    estimateSize: () => USUAL_HEIGHT,
    getItemKey: (at) => entries[at]?.id ?? at,
    overscan: 12,
  });
  const shown = rows.getVirtualItems();
  const last = shown.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= entries.length - AHEAD) onEnd();
  }, [last, entries.length, onEnd]);

  function toggle(id: string) {
    const next = new Set(open);
    if (!next.delete(id)) next.add(id);
    setOpen(next);
  }

  return (
    <div style={{ position: "relative" }}>
      {held > 0 && (
        <Button
          className={classes.new}
          size="xs"
          radius="xl"
          leftSection={<IconArrowUp size={14} aria-hidden />}
          onClick={() => {
            onShow();
            place.current?.scrollTo({ top: 0 });
          }}
        >
          {held === 1 ? "1 new entry" : `${count(held)} new entries`}
        </Button>
      )}
      <section
        ref={place}
        className={classes.list}
        aria-label="Log entries, newest first"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: scrollable content must be reachable by keyboard
        tabIndex={0}
        onScroll={(event) => onAtTop(event.currentTarget.scrollTop < AT_TOP)}
      >
        <ul style={{ height: rows.getTotalSize(), margin: 0, padding: 0, listStyle: "none" }}>
          {shown.map((row) => {
            const entry = entries[row.index];
            if (entry === undefined) return null;
            return (
              <li
                key={row.key}
                ref={rows.measureElement}
                data-index={row.index}
                className={classes.entry}
                aria-posinset={row.index + 1}
                aria-setsize={-1}
                style={{ transform: `translateY(${row.start}px)` }}
              >
                <LogEntry entry={entry} isOpen={open.has(entry.id)} onToggle={() => toggle(entry.id)} />
              </li>
            );
          })}
        </ul>
      </section>
    </div>
  );
}
