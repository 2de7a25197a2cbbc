// What a guest may not do to the terminal that shows its serial line.
import type { IParser } from "@xterm/xterm";

// No count of a control sequence needs to be greater; each is a loop in the
// terminal, and a guest may write two thousand millions.
const most = 1000;

// Operating system commands: titles (0, 1, 2), colours that can be asked for
// (4, 5, 10 to 19), links (8), the clipboard (52) and what other terminals made
// of the rest. None is obeyed.
const commands = 2000;

/**
 * guard takes from the output of a guest all that is more than text, colour
 * and cursor: no reports, which would be typed into the guest's own input; no
 * titles, links or clipboard; no focus reports; no loops without a bound.
 */
export function guard(parser: IParser): void {
  const refuse = () => true;

  // Device attributes, status and mode reports, versions, window operations,
  // terminal parameters.
  for (const id of [
    { final: "c" }, { prefix: ">", final: "c" }, { prefix: "=", final: "c" }, { prefix: "?", final: "c" },
    { final: "n" }, { prefix: "?", final: "n" }, { prefix: ">", final: "n" },
    { intermediates: "$", final: "p" }, { prefix: "?", intermediates: "$", final: "p" },
    { prefix: ">", final: "q" }, { final: "t" }, { prefix: ">", final: "t" }, { final: "x" },
    { prefix: "?", final: "u" }, { prefix: "?", final: "S" }, { prefix: "?", final: "g" },
  ]) {
    parser.registerCsiHandler(id, refuse);
  }
  // Requests for settings and for capabilities.
  for (const intermediates of ["$", "+"]) parser.registerDcsHandler({ intermediates, final: "q" }, refuse);
  for (let command = 0; command < commands; command++) parser.registerOscHandler(command, refuse);

  parser.registerCsiHandler({ prefix: "?", final: "h" }, (params) => params.flat().includes(1004));

  const excessive = (params: (number | number[])[]) => params.flat().some((n) => n > most);
  for (const final of ["@", "I", "L", "M", "P", "S", "T", "X", "Z", "b"]) parser.registerCsiHandler({ final }, excessive);
  for (const id of [{ intermediates: " ", final: "@" }, { intermediates: " ", final: "A" }, { intermediates: "'", final: "}" }, { intermediates: "'", final: "~" }]) {
    parser.registerCsiHandler(id, excessive);
  }
}

// Longer than what a key makes with Alt, and framed as no key is.
const framed = /^\u001b[P\]X^_]./su;

/** typed says whether data for the guest can come from a person: the last look before it is sent. */
export function typed(data: string): boolean {
  return !framed.test(data);
}
