/** The common props of setting inputs, converted to Mantine's. */
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

/** Help and problems for Mantine inputs, which link them to the field for screen readers. */
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
