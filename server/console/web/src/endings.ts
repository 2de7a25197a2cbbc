// What a person is told when a console ends, or does not begin.

/** Ending is shown in the place of the console. */
export interface Ending {
  title: string;
  detail: string;
  /** Whether this address may still be good: the ticket was not used up. */
  again: boolean;
}

const anew = "Ask for a new console to go on.";

function ending(title: string, detail: string, again = false): Ending {
  return { title, detail, again };
}

/** closed explains the close code of a stream that was open. The server's own words are never shown. */
export function closed(code: number): Ending {
  switch (code) {
    case 4000:
      return ending("The session has reached its time limit", anew);
    case 4001:
      return ending("The VM was stopped", "Start the VM, then ask for a new console.");
    case 4002:
      return ending("The VM was deleted", "Its console is gone with it.");
    case 4003:
      return ending("The VM has moved", `It runs on, on another machine. ${anew}`);
    case 4004:
      return ending("Your access was withdrawn", "You may no longer use this VM's console. Whoever manages the project can say why.");
    case 4005:
      return ending("The session was closed", `You, or another member of the project, closed it. ${anew}`);
    case 4006:
      return ending("The hypervisor closed the console", `The VM may be restarting. ${anew}`);
    case 4007:
      return ending("This browser was too slow", `It could not take what the VM sent. ${anew}`);
    case 4008:
      return ending("Too much was sent at once", `The session was closed to protect the VM. ${anew}`);
    case 1001:
      return ending("The server is shutting down", `This takes a moment. ${anew}`);
    case 1006:
      return ending("The connection was lost", `Look at your network, then ask for a new console. This one cannot be taken up again.`);
    default:
      return ending("The console was closed", `${anew} (Code ${code}.)`);
  }
}

/** unreadable is for a stream that does not hold what it should. */
export function unreadable(): Ending {
  return ending("The VM's screen cannot be shown", `What arrived was not understood. ${anew}`);
}

/** refused explains the status of this page's address after its stream was refused; 0 is no answer at all. */
export function refused(status: number): Ending {
  switch (status) {
    case 410:
      return ending("This console address is used up", `It opens a console once, within a minute. ${anew}`);
    case 404:
      return ending("There is no console at this address", anew);
    case 429:
      return ending("Too many attempts", "Wait a moment, then try again.", true);
    case 0:
      return ending("The server cannot be reached", "Look at your network, then try again.", true);
    default:
      return ending("The console could not be opened", "Try again. If it stays so, ask for a new console.", true);
  }
}
