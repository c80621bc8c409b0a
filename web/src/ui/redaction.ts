/** Remove parts that may be secret from the text of a setting, for places that show it in brief. */

const ADDRESS = /^([a-z][a-z\d+.-]*:\/\/)(?:[^/?#]*@)?/i;
/** A change between upper case, lower case and digits: frequent in tokens, rare in words. */
const CHANGE = /[a-z](?=\d|[A-Z](?![a-z]{2}))|[A-Z](?=\d)|\d(?=[a-zA-Z])/g;
const TOKEN_LENGTH = 12;
const TOKEN_CHANGES = 4;
const LONGEST_WORD = /[a-z\d]{24}/i;

function isToken(part: string): boolean {
  const changes = part.match(CHANGE)?.length ?? 0;
  return LONGEST_WORD.test(part) || (part.length >= TOKEN_LENGTH && changes >= TOKEN_CHANGES);
}

/** Return the text without a user and password, a query, and parts of a path that look like tokens. */
export function redacted(text: string): string {
  const [path = "", ...query] = text.replace(ADDRESS, "$1").split(/[?#]/);
  const parts = path.split("/").map((part) => (isToken(part) ? "…" : part));
  return parts.join("/") + (query.length > 0 ? "?…" : "");
}
