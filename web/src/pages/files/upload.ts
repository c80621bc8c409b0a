/** Upload a file of the workspace. */
import { sendForm } from "@/api/sendForm";

export interface Sending {
  file: File;
  /** The target folder, with a trailing slash; empty for the root. */
  folder: string;
  overwrite: boolean;
}

/** Resolve when the server has the file. `onProgress` gets the fraction sent, 0 to 1. Throws ApiError. */
export function upload(
  { file, folder, overwrite }: Sending,
  onProgress: (part: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const form = new FormData();
  form.set("path", folder);
  form.set("overwrite", String(overwrite));
  form.set("file", file, file.name);
  return sendForm("/api/files", form, onProgress, signal);
}
