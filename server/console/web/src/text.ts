// Text that comes from a guest, or goes to one.

/** Cleaned is text without what a person cannot see. */
export interface Cleaned {
  text: string;
  /** How many characters were left out, because they are invisible. */
  dropped: number;
  /** Whether the text was longer than the limit. */
  cut: boolean;
}

// Controls but for tab and newline, and the marks that turn the direction of
// writing: text must be what it looks like.
const invisible = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * clean makes newlines alike and leaves out what is invisible.
 *
 * @param limit is in characters, a surrogate pair counting as one.
 */
export function clean(raw: string, limit: number): Cleaned {
  // No character takes more than two units; what is beyond is not even looked at.
  const bounded = raw.slice(0, 2 * limit + 2).replace(/\r\n?/g, "\n");
  let dropped = 0;
  const visible = Array.from(bounded.replace(invisible, () => (dropped++, "")));
  const cut = visible.length > limit || raw.length > 2 * limit + 2;
  return { text: visible.slice(0, limit).join(""), dropped, cut };
}

/** remark says in a sentence what clean did to a text; empty for nothing. */
export function remark(c: Cleaned): string {
  const said: string[] = [];
  if (c.dropped === 1) said.push("One invisible character was left out.");
  if (c.dropped > 1) said.push(`${c.dropped} invisible characters were left out.`);
  if (c.cut) said.push("The text is too long; its end was left out.");
  return said.join(" ");
}
