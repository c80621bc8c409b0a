import { Box, Button } from "@mantine/core";
import { useLayoutEffect, useRef, useState } from "react";

/** Show the first lines of a text, and the rest on request. Line breaks and spaces are kept. */
export function Clamped({ text, lines = 3, size = "sm" }: { text: string; lines?: number; size?: string }) {
  const place = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState(false);
  const [isCut, setCut] = useState(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another text may be cut off although this one is not
  useLayoutEffect(() => {
    const shown = place.current;
    if (shown !== null && !open) setCut(shown.scrollHeight > shown.clientHeight + 1);
  }, [text, open]);
  return (
    <Box>
      <Box
        ref={place}
        fz={size}
        style={{
          whiteSpace: "pre-wrap",
          overflowWrap: "anywhere",
          ...(open
            ? {}
            : {
                display: "-webkit-box",
                WebkitBoxOrient: "vertical",
                WebkitLineClamp: lines,
                overflow: "hidden",
              }),
        }}
      >
        {text}
      </Box>
      {isCut && (
        <Button size="compact-xs" variant="subtle" mt={4} onClick={() => setOpen(!open)}>
          {open ? "Show less" : "Show all"}
        </Button>
      )}
    </Box>
  );
}
