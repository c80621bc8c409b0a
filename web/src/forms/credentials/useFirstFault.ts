import { type RefObject, useEffect, useRef, useState } from "react";

/** Return a ref for a form, and a function that focuses its first invalid field once the errors are shown. */
export function useFirstFault<Form extends HTMLElement>(): [RefObject<Form | null>, () => void] {
  const form = useRef<Form>(null);
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    if (asked > 0) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [asked]);
  return [form, () => setAsked((before) => before + 1)];
}
