/** What the kernel says of a connection, and what is made of it. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { SOCKET_FIGURES } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { FramePool } from '../../src/transport/frame-pool.js';
import { Link } from '../../src/transport/link.js';
import type { Piece } from '../../src/transport/outgoing-blob.js';
import { HedgeRule } from '../../src/transport/piece-rules.js';
import { Standstill } from '../../src/transport/standstill.js';
import { StreamSet } from '../../src/transport/stream-set.js';
import { internals } from '../../src/transport/stream-socket.js';
import { StreamWatch } from '../../src/transport/stream-watch.js';

function figures(acked: number, unacked: number, unsent = 0): Float64Array {
  const row = new Float64Array(10);
  row[SOCKET_FIGURES.ackedBytes] = acked;
  row[SOCKET_FIGURES.unackedSegments] = unacked;
  row[SOCKET_FIGURES.unsentBytes] = unsent;
  return row;
}

describe('bytes on a connection', () => {
  it('stand still from when the kernel is seen to hold them, until any of them is acknowledged', () => {
    const still = new Standstill();
    expect(still.look(figures(100, 0), 0, 1000)).toEqual({ heldMs: 0, quietMs: 0 });
    // Long idle, then sent: they have not stood still for all that time.
    expect(still.look(figures(100, 1), 0, 9000)).toEqual({ heldMs: 0, quietMs: 8000 });
    expect(still.look(figures(100, 1), 0, 9500)).toEqual({ heldMs: 500, quietMs: 8500 });
    expect(still.look(figures(101, 1), 0, 9600)).toEqual({ heldMs: 0, quietMs: 0 });
    expect(still.look(figures(101, 0, 7), 0, 9700)).toEqual({ heldMs: 100, quietMs: 100 });
    expect(still.look(figures(101, 0), 7, 9800)).toEqual({ heldMs: 200, quietMs: 200 });
    expect(still.look(figures(101, 0), 0, 9900)).toEqual({ heldMs: 0, quietMs: 300 });
  });

  it('without the word of a kernel are those that it has not taken', () => {
    const still = new Standstill();
    still.look(undefined, 10, 0);
    expect(still.look(undefined, 10, 400)).toEqual({ heldMs: 400, quietMs: 400 });
    expect(still.look(undefined, 5, 500)).toEqual({ heldMs: 0, quietMs: 0 });
    expect(still.look(undefined, 0, 600)).toEqual({ heldMs: 0, quietMs: 0 });
  });

  it.runIf(loadEngine().info.kind === 'native')('are told by the kernel', async () => {
    const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const taken = new Promise<Socket>((resolve) => server.once('connection', resolve));
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const row = (): Float64Array => {
      const fd = internals(socket)._handle?.fd ?? -1;
      return loadEngine().socketFigures(fd) as Float64Array;
    };
    socket.write(Buffer.alloc(1000));
    while ((row()[SOCKET_FIGURES.ackedBytes] ?? 0) < 1000) await new Promise((resolve) => setTimeout(resolve, 2));
    expect(row()[SOCKET_FIGURES.unackedSegments]).toBe(0);
    // More than both kernels hold: nobody reads.
    socket.write(Buffer.alloc(64 << 20));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((row()[SOCKET_FIGURES.unackedSegments] ?? 0) + (row()[SOCKET_FIGURES.unsentBytes] ?? 0)).toBeGreaterThan(0);
    (await taken).destroy();
    socket.destroy();
    server.close();
  });
});

describe('a stream', () => {
  const hedge = new HedgeRule();
  hedge.measured(10);

  /** Whether a stream with a piece that was sent at 0 is given up at `nowMs`, when others were taken over just before. */
  function givenUp(
    nowMs: number,
    heldMs: number,
    options: { control?: boolean; quietMs?: number; awakeMs?: number } = {},
  ): boolean {
    const { control = false, quietMs = 0, awakeMs = 0 } = options;
    const link = { takenMs: 0, standing: () => ({ heldMs, quietMs }) } as unknown as Link;
    const piece: Piece = { offset: 0, length: 10, links: new Set([link]), sends: 1, sentMs: 0, queued: false };
    const takenMs = quietMs > 0 ? 0 : nowMs - 5;
    const facts = { hedge, links: control ? [] : [link], drained: () => new Set<Link>(), takenMs, silenceMs: 45_000 };
    const watch = new StreamWatch({ ...facts, nowMs, awakeMs });
    watch.late(piece, true);
    return watch.stalled.has(link);
  }

  it('that holds bytes which do not move while others go on is given up', () => {
    expect(givenUp(2500, 1500)).toBe(true);
    expect(givenUp(1900, 1500)).toBe(false);
    // It was this process that stood still: neither its age nor what the kernel holds says anything.
    expect(givenUp(60_000, 59_000, { awakeMs: 58_500 })).toBe(false);
    expect(givenUp(60_000, 59_000, { awakeMs: 57_500 })).toBe(true);
  });

  it('that holds nothing is not: the sink takes its time', () => expect(givenUp(30_000, 0)).toBe(false));
  it('that is the control stream is not', () =>
    expect(givenUp(60_000, 59_000, { control: true, quietMs: 59_000 })).toBe(false));
  it('on which nothing moves for long is given up though it holds nothing', () => {
    expect(givenUp(46_000, 0, { quietMs: 46_000 })).toBe(true);
    expect(givenUp(44_000, 0, { quietMs: 44_000 })).toBe(false);
    // It was this process that stood still: the answer waits to be read.
    expect(givenUp(46_000, 0, { quietMs: 46_000, awakeMs: 45_900 })).toBe(false);
  });
});

describe('a piece in the end of a blob', () => {
  const MIB = 2 ** 20;

  /** A link on which the kernel still holds so many packets. */
  function link(unacked: number, busyBytes = 0): Link {
    const made = new Link({ engine: loadEngine(), pool: new FramePool() });
    made.busyFrames = Math.sign(busyBytes);
    Object.defineProperty(made, 'figures', { value: () => figures(0, unacked) });
    return made;
  }

  const onItsWay = (on: Link): Piece => {
    return { offset: 0, length: 65_536, links: new Set([on]), sends: 1, sentMs: 0, queued: false };
  };

  /** Looks at all pieces `nowMs` after they were sent; it usually takes them 500 ms. */
  function watchAt(nowMs: number, links: readonly Link[], rttMs = 80): { watch: StreamWatch; hedge: HedgeRule } {
    const hedge = new HedgeRule();
    hedge.measured(500);
    hedge.minRttMs = rttMs;
    const streams = new StreamSet(link(0), links.length);
    for (const one of links) streams.add(one);
    const facts = { hedge, links, drained: () => streams.drained(), takenMs: nowMs, silenceMs: 45_000, awakeMs: 0 };
    return { hedge, watch: new StreamWatch({ ...facts, nowMs }) };
  }

  it('is late when its stream holds bytes after some round trips, while others are done', () => {
    const [slow, done] = [link(9), link(0)];
    const late = (nowMs: number, on: Link, rttMs?: number, single = false): boolean =>
      watchAt(nowMs, [slow, done], rttMs).watch.late(onItsWay(on), single);
    expect(late(300, slow)).toBe(true);
    expect(late(200, slow)).toBe(false);
    expect(late(590, slow, 200)).toBe(false);
    expect(late(610, slow, 200)).toBe(true);
    // It has arrived: the sink takes its time.
    expect(late(1200, done)).toBe(false);
    expect(late(1300, done)).toBe(true);
    // Where processors are what holds things up, and for blobs in one frame, the time that they usually take counts.
    expect(late(1200, slow, 0.1)).toBe(false);
    expect(late(1200, slow, 80, true)).toBe(false);
  });

  it('goes over streams on which all has arrived, one each', () => {
    const [slow, busy, first, second] = [link(9), link(0, 10), link(0), link(0)] as const;
    const { watch, hedge } = watchAt(300, [slow, busy, first, second]);
    expect([watch.spare(onItsWay(first)), watch.spare(onItsWay(slow)), watch.spare(onItsWay(slow))]).toEqual([
      second,
      first,
      undefined,
    ]);
    // What was sent again over streams that still hold much themselves would come no sooner.
    expect(hedge.affordable(65_536, 0, 100 * MIB, false)).toBe(false);
    expect(hedge.affordable(65_536, 0, 100 * MIB, true)).toBe(true);
    expect(hedge.affordable(65_536, MIB / 2, 100 * MIB, true)).toBe(false);
    expect(hedge.affordable(65_536, MIB, 4 * MIB, false)).toBe(true);
    // The smallest piece of a blob that is just large.
    expect(hedge.affordable(65_536, 0, 9 * MIB, true)).toBe(true);
  });
});
