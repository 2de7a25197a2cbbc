// Sending at a limited rate.

/** Progress is told after each item. */
export type Progress = (done: number, total: number) => void;

/**
 * paced sends the items one after the other, never more than perSecond within
 * any second. A timer that comes late is not made up for.
 *
 * @returns how many were sent: fewer than there are where signal stopped it.
 */
export async function paced<T>(items: readonly T[], perSecond: number, send: (item: T) => void, signal: AbortSignal, progress: Progress): Promise<number> {
  const gap = 1000 / perSecond;
  let done = 0;
  for (const item of items) {
    if (signal.aborted) break;
    send(item);
    progress(++done, items.length);
    if (done < items.length) await pause(gap, signal);
  }
  return done;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
