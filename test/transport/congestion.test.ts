/** Which congestion control streams ask for. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { sessionSettings, settingsFor } from '../../src/transport/session-settings.js';
import { MemoryReceiver, memorySource, PLAIN, seededBytes, withPair } from './session-fixture.js';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('streams', () => {
  it.each<[string, { congestion?: string }, string]>([
    ['of this machine alone', {}, 'reno'],
    ['told otherwise', { congestion: 'cubic' }, 'cubic'],
  ])('%s', async (_name, options, expected) => {
    const tune = vi.spyOn(loadEngine(), 'tuneSocket');
    const receiver = new MemoryReceiver();
    const listen = { ...options, onSession: receiverOf(receiver) };
    await withPair({ listen, connect: options }, async ({ client, end }) => {
      await client.send(memorySource(seededBytes(3 << 20, 1)));
      while (client.figures.openStreams === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      await end();
    });
    const asked = tune.mock.calls.flatMap(([, { congestion }]) => congestion ?? []);
    expect(asked.length).toBeGreaterThan(0);
    expect(new Set(asked)).toEqual(new Set([expected]));
  });

  it('to other machines ask for BBR', () => {
    const settings = sessionSettings({ trust: PLAIN });
    expect(settingsFor(settings, false).congestion).toBe('bbr');
    expect(settingsFor(settings, true).congestion).toBe('reno');
    expect(settingsFor(sessionSettings({ trust: PLAIN, congestion: 'cubic' }), true).congestion).toBe('cubic');
  });
});

function receiverOf(receiver: MemoryReceiver) {
  return (session: Parameters<Parameters<typeof withPair>[1]>[0]['server']): void =>
    session.onBlob('test', receiver.open);
}
