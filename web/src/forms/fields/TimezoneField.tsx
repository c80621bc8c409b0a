/** A time zone, searched by name. */
import { Autocomplete } from "@mantine/core";
import { useMemo } from "react";
import { type InputProps, useShared } from "./shared";

function zones(): string[] {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const all = Intl.supportedValuesOf("timeZone");
  return [...new Set([here, "UTC", ...all])];
}

export function TimezoneField(props: InputProps) {
  const { value, onChange, placeholder } = props;
  const shared = useShared(props);
  const data = useMemo(zones, []);
  return (
    <Autocomplete
      {...shared}
      data={data}
      limit={50}
      value={typeof value === "string" ? value : ""}
      onChange={onChange}
      placeholder={placeholder || `For example ${data[0]}`}
      comboboxProps={{ withinPortal: true }}
    />
  );
}
