/** The password that was typed to log in, for the page that may follow at once, so that it is not asked for twice. */

const MOMENT = 30_000;

let typed = "";

/** Keep it in the memory of this page, for a moment. */
export function keepTyped(password: string): void {
  typed = password;
  setTimeout(forgetTyped, MOMENT);
}

export function forgetTyped(): void {
  typed = "";
}

/** Empty where nothing was typed just now, for instance after the page was loaded anew. */
export function typedJustNow(): string {
  return typed;
}
