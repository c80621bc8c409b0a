/** A value as JSON. Loaded when it is first shown. */
import { useMemo } from "react";
import CodeMirror from "@/ui/code/CodeMirror";
import { markedText, pickedKeys } from "./jsonKeys";
import { usePicking } from "./picking";

interface ValueJsonProps {
  title: string;
  text: string;
  language: "json" | "text";
  query: string;
}

export default function ValueJson({ title, text, language, query }: ValueJsonProps) {
  const picking = usePicking();
  const extensions = useMemo(
    () => [picking === null || language !== "json" ? [] : pickedKeys(picking), markedText(query)],
    [picking, language, query],
  );
  return (
    <CodeMirror
      value={text}
      language={language}
      readOnly
      label={title}
      maxHeight="none"
      minHeight={0}
      extensions={extensions}
    />
  );
}
