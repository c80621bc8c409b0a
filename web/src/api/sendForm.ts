/** Send a form with files, with progress events, which `fetch` does not provide. */
import { ApiError, identity, type Schemas, UNREACHABLE } from "./client";

function errorOf({ status, responseText }: XMLHttpRequest): ApiError {
  try {
    const body = JSON.parse(responseText) as Schemas["Error"];
    return new ApiError(status, body.error, body.details ?? []);
  } catch {
    return new ApiError(status, status >= 502 ? UNREACHABLE : `The server answered ${status}`);
  }
}

/** Resolve when the server has the form. `onProgress` gets the fraction sent, 0 to 1. Throws ApiError. */
export function sendForm(
  address: string,
  form: FormData,
  onProgress: (part: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    for (const [name, value] of Object.entries(identity())) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress(total === 0 ? 0 : loaded / total);
    request.onload = () => (request.status < 400 ? resolve() : reject(errorOf(request)));
    request.onerror = () => reject(new ApiError(0, "The server cannot be reached"));
    request.onabort = () => reject(new DOMException("The upload was cancelled", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}
