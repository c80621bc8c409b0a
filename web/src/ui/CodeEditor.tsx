/** A code editor; its library is loaded when the first one is shown. */

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

/** A JSON value to look at: coloured, searchable, folded where it is large. */
export function JsonView({
  value,
  label,
  maxHeight = "50vh",
}: {
  value: unknown;
  label: string;
  maxHeight?: string;
}) {
  const text = value === undefined ? "" : JSON.stringify(value, null, 2);
  return (
    <CodeEditor value={text} language="json" readOnly label={label} maxHeight={maxHeight} minHeight={0} />
  );
}
