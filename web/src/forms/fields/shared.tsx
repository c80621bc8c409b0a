/** What the inputs of settings are given, and what Mantine's own inputs make of it. */
import type { ErrorSchema } from "@rjsf/utils";
import type { ReactNode } from "react";
import type { Json } from "@/definition/types";
import { useForm } from "../context";
import type { Leaf } from "../schema/leaf";
import { Words } from "./FieldFrame";

export interface InputProps {
  id: string;
  name: string;
  leaf: Leaf;
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
  placeholder: string;
  problems: readonly string[];
  errors: ErrorSchema | undefined;
  describedBy: string | undefined;
}

const ORDER: ("input" | "error" | "description")[] = ["input", "error", "description"];

/** Help and problems, where Mantine's input shows them by itself: it ties them to the field for screen readers. */
export function described(help: string, problems: readonly string[]) {
  const description: ReactNode = help === "" ? undefined : <Words text={help} />;
  const error: ReactNode = problems.length > 0 ? problems.join(". ") : undefined;
  return { description, error, inputWrapperOrder: ORDER };
}

export function useShared({ id, leaf, problems, placeholder }: InputProps) {
  const { readOnly } = useForm();
  return {
    id,
    placeholder: placeholder === "" ? undefined : placeholder,
    "aria-required": leaf.required || undefined,
    readOnly,
    ...described(leaf.help, problems),
  };
}
