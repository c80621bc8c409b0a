/**
 * The token of the invitation link. It is removed from the address at once, to keep it out of the history and off
 * shared screens. The tab keeps it until it is used, also through a login.
 */
const KEPT = "headrace.invitation";

/** The route of invitation links. */
export const INVITATION = "/invitation";

/** Move the token from the address to the tab's storage. Return true if there was one. */
export function takeToken(): boolean {
  const { pathname, hash } = window.location;
  if (pathname !== INVITATION || hash.length < 2) return false;
  sessionStorage.setItem(KEPT, hash.slice(1));
  window.history.replaceState(null, "", INVITATION);
  return true;
}

/** Run before the app renders, and again if another link is opened in this tab. */
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
