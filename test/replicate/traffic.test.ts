/** What the sessions of followers are counted as. */
import { describe, expect, it } from 'vitest';
import { DiffKeeperError } from '../../src/core/core.js';
import { Traffic } from '../../src/replicate/replicate.js';
import { connect, listen } from '../../src/transport/transport.js';

const trust = { plaintext: true } as const;

describe('the traffic of followers', () => {
  it('counts sessions, those that replaced one, and failures by code', async () => {
    const listener = await listen({ host: '127.0.0.1', port: 0, trust, onSession: () => {} });
    const { host, port } = listener;
    const traffic = new Traffic();
    const [near, far] = [traffic.counted(() => connect({ host, port }, { trust })), traffic.counted(away)];
    const { signal } = new AbortController();
    const lost = await near(signal);
    expect(traffic.totals).toMatchObject({ sessions: 1, reconnects: 0, errors: new Map() });
    lost.destroy(new DiffKeeperError('DK_CONNECTION', 'cut'));
    await expect(lost.closed).rejects.toThrow('cut');
    const session = await near(signal);
    await expect(far(signal)).rejects.toMatchObject({ code: 'DK_REFUSED' });
    // Whoever ends on purpose has not failed.
    await expect(far(AbortSignal.abort())).rejects.toMatchObject({ code: 'DK_REFUSED' });
    const errors = new Map([
      ['DK_CONNECTION', 1],
      ['DK_REFUSED', 1],
    ]);
    expect(traffic.totals).toMatchObject({ sessions: 2, reconnects: 1, errors });
    await expect.poll(() => traffic.totals.openStreams, { timeout: 10_000 }).toBeGreaterThan(0);
    await session.close();
    await expect.poll(() => traffic.totals.openStreams).toBe(0);
    expect(traffic.totals).toMatchObject({ sessions: 2, reconnects: 1, errors });
    await listener.close(0);
  });
});

async function away(): Promise<never> {
  throw new DiffKeeperError('DK_REFUSED', 'not here');
}
