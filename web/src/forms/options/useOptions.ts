/** The choices of an input, which its service lists. */
import { loadChoices } from "@/api/connectors";
import { useFormConnector } from "../connector/operations";
import { useSettings } from "../context";
import type { InputProps } from "../fields/FieldFrame";
import type { OptionsSource } from "../schema/types";
import { askedOf } from "./choices";
import { type Options, useChoices } from "./useChoices";

const STALE = 60_000;

export function useOptions({ name }: InputProps, source: OptionsSource): Options {
  const form = useFormConnector();
  const { schema, value } = useSettings();
  const config = form?.account === undefined ? value : { ...value, credential: value[form.account] ?? null };
  const { type = "", auth = [], service } = form?.connector ?? {};
  const operation = form?.operation || type;
  const ask =
    form === null
      ? { reason: "There is no list here. Type the value." }
      : askedOf(source, config, auth.length > 0, schema);
  const asked = "config" in ask ? ask.config : {};
  const given = form?.account === undefined ? {} : { [form.account]: asked.credential ?? null };
  return useChoices(() => ({
    key: ["post", "/api/connectors", type, operation, name, asked],
    load: (signal) => loadChoices(type, { operation, input: name, config: { ...asked, ...given } }, signal),
    staleTime: STALE,
    name: service?.name ?? "the service",
    reason: "reason" in ask ? ask.reason : undefined,
  }));
}
