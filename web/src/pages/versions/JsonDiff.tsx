import { unifiedMergeView } from "@codemirror/merge";
import { EditorView } from "@codemirror/view";
import { Box, Switch } from "@mantine/core";
import { useMemo, useState } from "react";
import { textOf } from "@/definition/diff";
import type { Definition } from "@/definition/types";
import { CodeEditor } from "@/ui/CodeEditor";

const added = (share: number) => `color-mix(in srgb, var(--success) ${share}%, transparent)`;
const gone = (share: number) => `color-mix(in srgb, var(--failed) ${share}%, transparent)`;
/**
 * Diff colors of the page. Changed parts of a line are also underlined, because a stronger background would reduce the
 * contrast.
 */
const look = EditorView.theme({
  "&.cm-merge-b .cm-changedLine, .cm-changedLine, .cm-inlineChangedLine": {
    backgroundColor: `${added(7)} !important`,
  },
  ".cm-deletedChunk": { backgroundColor: `${gone(7)} !important` },
  "&.cm-merge-b .cm-changedText, .cm-changedText": {
    background: `${added(9)} !important`,
    boxShadow: "inset 0 -2px var(--success)",
  },
  ".cm-deletedChunk .cm-deletedText, .cm-deletedText": { background: `${gone(9)} !important` },
  ".cm-changedLineGutter": { background: "var(--success) !important" },
  ".cm-deletedLineGutter": { background: "var(--failed) !important" },
  ".cm-inlineChangedLineGutter": { background: "var(--waiting) !important" },
  ".cm-collapsedLines": {
    color: "var(--quiet) !important",
    background: "var(--page) !important",
    padding: "4px 12px",
  },
  ".cm-collapsedLines:before": { content: '"⋯"' },
  ".cm-collapsedLines:after": { content: '"⋯"' },
});

/** The two versions as text, line by line. */
export default function JsonDiff({ before, after }: { before: Definition; after: Definition }) {
  const [positions, setPositions] = useState(false);
  const original = useMemo(() => textOf(before, positions), [before, positions]);
  const extensions = useMemo(
    () => [
      unifiedMergeView({
        original,
        mergeControls: false,
        allowInlineDiffs: true,
        collapseUnchanged: { margin: 3, minSize: 6 },
      }),
      look,
    ],
    [original],
  );
  return (
    <Box p="md">
      <Switch
        mb="sm"
        size="xs"
        label="Include node positions"
        checked={positions}
        onChange={(event) => setPositions(event.currentTarget.checked)}
      />
      <CodeEditor
        value={textOf(after, positions)}
        language="json"
        readOnly
        label="JSON difference"
        maxHeight="65vh"
        extensions={extensions}
      />
    </Box>
  );
}
