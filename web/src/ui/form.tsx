/** Forms: the values of their inputs, and the request that sends them. */
import { type ComponentProps, useState } from "react";

export interface Fields<Values> {
  values: Values;
  /** Return the props of the input of a value: `<TextInput label="Name" {...bind("name")} />`. */
  bind: <Name extends keyof Values>(name: Name) => { value: Values[Name]; onChange: (given: unknown) => void };
  set: (part: Partial<Values>) => void;
}

/** Return what an input passes to `onChange`: an event, or the value. */
function inputOf(given: unknown): unknown {
  const isEvent = typeof given === "object" && given !== null && "currentTarget" in given;
  return isEvent ? (given.currentTarget as HTMLInputElement).value : given;
}

export function useFields<Values extends object>(initial: Values): Fields<Values> {
  const [values, setValues] = useState(initial);
  const set = (part: Partial<Values>) => setValues((all) => ({ ...all, ...part }));
  return {
    values,
    bind: (name) => ({
      value: values[name],
      onChange: (given) => set({ [name]: inputOf(given) } as Partial<Values>),
    }),
    set,
  };
}

/** For a form's work: `busy` while it lasts, and `error` if it was refused. */
export function useAttempt() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  async function attempt(work: () => unknown): Promise<void> {
    setBusy(true);
    setError(null);
    try {
      await work();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  }
  return { busy, error, setError, attempt };
}

interface FormProps extends Omit<ComponentProps<"form">, "onSubmit"> {
  onSubmit: () => unknown;
}

/** A form that a script sends: the browser leaves the page as it is. */
export function Form({ onSubmit, ...props }: FormProps) {
  return (
    <form
      {...props}
      onSubmit={(event) => {
        event.preventDefault();
        void onSubmit();
      }}
    />
  );
}
