/** Send the answer to a question with files. */
import { ApiError, type Schemas } from "@/api/client";
import { sendForm } from "@/api/sendForm";
import { type Chosen, problemsOf } from "./files";

/** Resolve when the server accepted the answer. Throws ApiError. */
export async function sendFiles(
  run: string,
  question: Schemas["QuestionOut"],
  { answer, comment, body }: Schemas["AnswerIn"],
  chosen: Chosen,
  onProgress: (part: number) => void,
): Promise<void> {
  const [first, ...others] = problemsOf(question.files, chosen);
  if (first !== undefined) throw new ApiError(400, first.message, [first, ...others]);
  const form = new FormData();
  form.set("answer", answer ?? "");
  form.set("comment", comment ?? "");
  form.set("body", JSON.stringify(body ?? {}));
  for (const [name, files] of Object.entries(chosen)) {
    for (const file of files) form.append(name, file, file.name);
  }
  const node = encodeURIComponent(question.node_id);
  await sendForm(`/api/runs/${encodeURIComponent(run)}/resume?node=${node}`, form, onProgress);
}
