// How long a session still lasts.

/** left writes a number of seconds as a clock does: 1:02:03, or 2:03. */
export function left(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** warning is what is said aloud when so many seconds are left; empty at all other times. */
export function warning(seconds: number): string {
  switch (Math.ceil(seconds)) {
    case 300:
      return "This session ends in five minutes.";
    case 60:
      return "This session ends in one minute.";
    default:
      return "";
  }
}

/**
 * countdown shows the time left until ends, which the server's clock tells,
 * and says the warnings.
 *
 * @param now is the server's time when it wrote the page, so that this
 * machine's clock need not be right.
 */
export function countdown(now: number, ends: number, show: (text: string) => void, say: (text: string) => void): () => void {
  const began = performance.now();
  const tick = () => {
    const seconds = (ends - now - (performance.now() - began)) / 1000;
    show(left(seconds));
    const words = warning(seconds);
    if (words) say(words);
  };
  tick();
  const timer = setInterval(tick, 1000);
  return () => clearInterval(timer);
}
