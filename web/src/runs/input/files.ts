/** Files in the answer to a question, and the limits of their fields; pure. */
import type { Detail, Schemas } from "@/api/client";
import { size } from "@/ui/format";

export type FileField = Schemas["FileFieldOut"];
/** The chosen files by the name of their field. */
export type Chosen = Readonly<Record<string, readonly File[]>>;

/** Return the limits of a field in words: "At most 3 files of 10 MB each: .pdf, .png". */
export function limitsOf({ max, max_bytes, accept }: FileField): string {
  const most = max > 1 ? `At most ${max} files of ${size(max_bytes)} each` : `At most ${size(max_bytes)}`;
  return accept.length > 0 ? `${most}: ${accept.join(", ")}` : most;
}

function problemOf(field: FileField, files: readonly Pick<File, "name" | "size">[]): string | undefined {
  const { title, max, max_bytes, accept, required } = field;
  if (required && files.length === 0) return `Choose a file for “${title}”.`;
  if (files.length > max) return `Choose at most ${max} ${max === 1 ? "file" : "files"} for “${title}”.`;
  const endings = accept.map((one) => one.toLowerCase());
  const other = files.find(
    ({ name }) => endings.length > 0 && !endings.some((one) => name.toLowerCase().endsWith(one)),
  );
  if (other !== undefined)
    return `Choose a file of the type ${endings.join(", ")} for “${title}”; “${other.name}” is another.`;
  const large = files.find((file) => file.size > max_bytes);
  return large && `“${large.name}” is larger than ${size(max_bytes)}; choose another file.`;
}

/** Return the problems that the server would find, so that nothing large is sent in vain. */
export function problemsOf(
  fields: readonly FileField[],
  chosen: Readonly<Record<string, readonly Pick<File, "name" | "size">[]>>,
): Detail[] {
  return fields.flatMap((field) => {
    const message = problemOf(field, chosen[field.name] ?? []);
    return message === undefined ? [] : [{ path: `body.${field.name}`, message }];
  });
}
