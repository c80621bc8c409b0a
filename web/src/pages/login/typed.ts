/** The password typed at login, kept for the set-up page that may follow, so that the user need not type it twice. */

const MOMENT = 30_000;

let typed = "";

/** Keep the password in this page's memory for a moment. */
export function keepTyped(password: string): void {
  typed = password;
  setTimeout(forgetTyped, MOMENT);
}

export function forgetTyped(): void {
  typed = "";
}

/** Return the password; empty if none was typed just now, for example after a reload. */
export function typedJustNow(): string {
  return typed;
}
