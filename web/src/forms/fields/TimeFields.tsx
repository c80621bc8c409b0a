/** Dates and times with the browser's inputs. Other values are shown as text. */
import { TextInput } from "@mantine/core";
import { instantOf, localOf } from "../schema/times";
import { type InputProps, useShared } from "./shared";

interface Look {
  type: string;
  /** Return the value in the input's format; empty if the input cannot show it. */
  shown: (value: string) => string;
  written: (text: string) => string | undefined;
}

const LOOKS: Record<string, Look> = {
  date: {
    type: "date",
    shown: (value) => (/^\d{4}-\d\d-\d\d$/.test(value) ? value : ""),
    written: (text) => text || undefined,
  },
  time: {
    type: "time",
    shown: (value) => (/^\d\d:\d\d(:\d\d)?$/.test(value) ? value : ""),
    written: (text) => text || undefined,
  },
  datetime: { type: "datetime-local", shown: localOf, written: instantOf },
};
const TEXT: Look = { type: "text", shown: (value) => value, written: (text) => text || undefined };

export function TimeField(props: InputProps) {
  const { leaf, value, onChange } = props;
  const text = typeof value === "string" ? value : "";
  const look = LOOKS[leaf.kind] ?? TEXT;
  const { type, shown, written } = text === "" || look.shown(text) !== "" ? look : TEXT;
  return (
    <TextInput
      {...useShared(props)}
      type={type}
      value={shown(text)}
      onChange={(event) => onChange(written(event.currentTarget.value))}
    />
  );
}
