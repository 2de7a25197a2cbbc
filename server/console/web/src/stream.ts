// The stream between this page and the gateway.
import { closed, refused, type Ending } from "./endings.ts";

/** Stream is a websocket with a story of how it ended. */
export interface Stream {
  socket: WebSocket;
  /** Resolves once, when the stream has ended or was refused. */
  ended: Promise<Ending>;
}

/** open uses the ticket up; that is done once. */
export function open(path: string): Stream {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url, ["binary"]);
  socket.binaryType = "arraybuffer";
  let opened = false;
  socket.addEventListener("open", () => (opened = true));
  const ended = new Promise<Ending>((resolve) => {
    socket.addEventListener("close", (event) => {
      if (opened) resolve(closed(event.code));
      else void status().then((code) => resolve(refused(code)));
    });
  });
  return { socket, ended };
}

// A browser does not tell why a websocket was refused. The page's own address
// does, and asking for it uses nothing up.
async function status(): Promise<number> {
  try {
    const answer = await fetch(location.href, { method: "GET", cache: "no-store", redirect: "error", credentials: "omit" });
    await answer.body?.cancel();
    return answer.status;
  } catch {
    return 0;
  }
}
