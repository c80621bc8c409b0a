/**
 * The token of the invitation that this tab was opened with. It goes out of the address at once, so that neither the
 * history nor a shared screen has it, and stays in this tab until it is used, also through a login.
 */
const KEPT = "headrace.invitation";

/** The page that the link of an invitation leads to. */
export const INVITATION = "/invitation";

/** Takes the token out of the address, if there is one. Whether there was. */
export function takeToken(): boolean {
  const { pathname, hash } = window.location;
  if (pathname !== INVITATION || hash.length < 2) return false;
  sessionStorage.setItem(KEPT, hash.slice(1));
  window.history.replaceState(null, "", INVITATION);
  return true;
}

/** Before the app is drawn; and again when another link is opened in this tab. */
export function watchForTokens(): void {
  takeToken();
  window.addEventListener("hashchange", () => {
    if (takeToken()) window.location.reload();
  });
}

export function keptToken(): string | null {
  return sessionStorage.getItem(KEPT);
}

export function forgetToken(): void {
  sessionStorage.removeItem(KEPT);
}
