/** A code editor. Its library is loaded when the first editor is shown. */

import { Skeleton } from "@mantine/core";
import { Suspense } from "react";
import { lazily } from "@/ui/lazily";
import type { CodeEditorProps } from "./code/CodeMirror";

const CodeMirror = lazily(() => import("./code/CodeMirror"));

export function CodeEditor(props: CodeEditorProps) {
  return (
    <Suspense fallback={<Skeleton height={props.minHeight ?? 120} />}>
      <CodeMirror {...props} />
    </Suspense>
  );
}

/** A read-only JSON value: highlighted, searchable, folded if it is large. */
export function JsonView({ value, label, maxHeight = "50vh" }: { value: unknown; label: string; maxHeight?: string }) {
  const text = value === undefined ? "" : JSON.stringify(value, null, 2);
  return <CodeEditor value={text} language="json" readOnly label={label} maxHeight={maxHeight} minHeight={0} />;
}
