/** A time zone, chosen by typing a part of its name. */
import { Autocomplete } from "@mantine/core";
import { useMemo } from "react";
import { useForm } from "../context";
import type { InputProps } from "./inputs";

function zones(): string[] {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const all = Intl.supportedValuesOf("timeZone");
  return [...new Set([here, "UTC", ...all])];
}

export function TimezoneField({ id, leaf, value, onChange, placeholder, problems, describedBy }: InputProps) {
  const { readOnly } = useForm();
  const data = useMemo(zones, []);
  return (
    <Autocomplete
      id={id}
      data={data}
      limit={50}
      value={typeof value === "string" ? value : ""}
      onChange={onChange}
      placeholder={placeholder || `Such as ${data[0]}`}
      error={problems.length > 0}
      readOnly={readOnly}
      aria-describedby={describedBy}
      aria-required={leaf.required || undefined}
      comboboxProps={{ withinPortal: true }}
    />
  );
}
