/** Which part of a session a control frame is for. */
import { FRAME } from './frame.js';
import type { Frame } from './frame-reader.js';
import type { Inbox } from './inbox.js';
import { decodeAcks, decodeHave } from './messages.js';
import type { Outbox } from './outbox.js';
import type { Pings } from './pings.js';
import type { RequestDesk } from './request-desk.js';
import { decodeError } from './wire-error.js';

/** Those whose payload is kept: long ones come in memory that is used again. */
const KEPT: ReadonlySet<number> = new Set([FRAME.request, FRAME.response, FRAME.done]);

/** The parts of a session that take frames. */
export interface FrameTakers {
  readonly outbox: Outbox;
  readonly inbox: Inbox;
  readonly desk: RequestDesk;
  readonly pings: Pings;
}

/** Hands a frame to its part; gives the payload of those that are about the session itself. Throws DK_PROTOCOL. */
export function routeFrame(frame: Frame, { outbox, inbox, desk, pings }: FrameTakers): Buffer | undefined {
  const { type, id, payload } = frame;
  const body = KEPT.has(type) ? Buffer.from(payload) : payload;
  switch (type) {
    case FRAME.request:
      desk.asked(id, body);
      return undefined;
    case FRAME.response:
      desk.answered(id, body);
      return undefined;
    case FRAME.failure:
      desk.failed(id, body);
      return undefined;
    case FRAME.cancel:
      desk.cancelled(id);
      return undefined;
    case FRAME.offer:
      inbox.offered(id, body);
      return undefined;
    case FRAME.accept:
      outbox.accepted(id, (size) => decodeHave(body, size));
      return undefined;
    case FRAME.digest:
      inbox.digest(id, body);
      return undefined;
    case FRAME.ack:
      outbox.acked(decodeAcks(body));
      return undefined;
    case FRAME.done:
      outbox.done(id, body);
      return undefined;
    case FRAME.reject:
      outbox.rejected(id, decodeError(body));
      return undefined;
    case FRAME.abort:
      inbox.aborted(id, body);
      return undefined;
    case FRAME.ping:
      pings.answer();
      return undefined;
    case FRAME.pong:
      pings.answered();
      return undefined;
    default:
      return body;
  }
}
