/** How well a word matches a text, for searches that show the best results first. Pure. */

const BETWEEN_WORDS = /[^\p{L}\p{N}]+/u;
const MAX_WORDS = 8;
const LONG_ENOUGH = 3; // letters: fewer are spread over almost every text

/** Return true if the letters occur in the text in this order. */
export function isSpread(letters: string, text: string): boolean {
  let at = 0;
  for (const letter of letters) {
    at = text.indexOf(letter, at) + 1;
    if (at === 0) return false;
  }
  return true;
}

/** Return `whole` if the text is the word, less if the word is only in it, 0 if it is not. Both in lower case. */
export function scoreIn(word: string, text: string, whole: number): number {
  if (text === word) return whole;
  if (text.startsWith(word)) return whole * 0.8;
  if (text.split(BETWEEN_WORDS).some((part) => part.startsWith(word))) return whole * 0.6;
  return text.includes(word) ? whole * 0.35 : 0;
}

/** Return `whole` if the word has the first letters of the text's words, or a little for letters spread over it. */
export function looseScore(word: string, text: string, whole: number): number {
  if (word.length < 2) return 0;
  const initials = text
    .split(BETWEEN_WORDS)
    .map((part) => part.charAt(0))
    .join("");
  if (initials.startsWith(word)) return whole;
  return word.length >= LONG_ENOUGH && isSpread(word, text) ? whole / 5 : 0;
}

/** Return the words of a search, in lower case, each once; a pasted text has many, and its first ones suffice. */
export function wordsOf(search: string): string[] {
  return [...new Set(search.toLowerCase().split(/\s+/).filter(Boolean))].slice(0, MAX_WORDS);
}
