// Output that comes faster than it can be shown.

/** Sink takes output and says when it has been shown. */
export type Sink = (data: Uint8Array | string, shown: () => void) => void;

/** longest is how many bytes wait to be shown before the rest is left out. */
export const longest = 1 << 20;

// A guest's longest piece that is shown in one go, so that the page stays alive.
const piece = 4096;

/**
 * bounded is a sink with a bound: a browser's websocket cannot be told to
 * wait, so what is too much is left out, and a line says so.
 */
export function bounded(sink: Sink): (data: Uint8Array) => void {
  let waiting = 0;
  let missed = 0;
  const shown = (n: number) => () => {
    waiting -= n;
    if (missed === 0 || waiting > 0) return;
    const note = `\u0018\r\n[${missed} bytes of output came too fast and are not shown]\r\n`;
    missed = 0;
    sink(note, () => {});
  };
  return (data) => {
    if (missed > 0 || waiting + data.length > longest) {
      missed += data.length;
      return;
    }
    waiting += data.length;
    for (let at = 0; at < data.length; at += piece) {
      const part = data.subarray(at, at + piece);
      sink(part, shown(part.length));
    }
  };
}
