/** Receivers of a run: what status and metrics tell of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { silentLogger as logger } from '../../src/core/core.js';
import { serveStore } from '../../src/replicate/replicate.js';
import { ControlPanel } from '../../src/sidecar/control-panel.js';
import { Figures } from '../../src/sidecar/figures.js';
import { Replicas } from '../../src/sidecar/replicas.js';
import { ReplicaFixture } from '../replicate/replica-fixture.js';
import { commitFiles, noise } from '../store/store-fixture.js';

const fixture = new ReplicaFixture();

/** Names and kinds of the metrics of the transport. */
const namesOf = (text: string): string[] => text.match(/^# TYPE diffkeeper_transport_.*$/gm) ?? [];

describe('receivers of each checkpoint', () => {
  it('stand in the status and in the metrics, each by its address', async () => {
    const store = await fixture.open('keep');
    const link = { trust: { plaintext: true } } as const;
    const here = { host: '127.0.0.1', port: 0, metricsAddress: '127.0.0.1:0' };
    const server = await serveStore(await fixture.open('replica'), { ...here, link });
    const near = `tcp://127.0.0.1:${server.port}`;
    const far = 'tcp://127.0.0.1:1';
    const replicate = [near, far].map((url) => ({ url, link }));
    const options = { stateDir: 'data', store, replicate };
    const panel = new ControlPanel({ options, store, figures: new Figures(), logger });
    // Before they are followed up, too.
    expect((await panel.metrics()).text).toContain('diffkeeper_transport_sessions_total 0');
    const replicas = new Replicas(store, replicate, logger);
    panel.replicas = replicas;
    await commitFiles(store, { f: noise(5000, 1) });
    const status = () => (panel.status() as { replicas: ReturnType<Replicas['figures']> }).replicas;
    while (status()[0]?.sequence !== 1 || status()[1]?.state !== 'waiting') await sleep(10);
    expect(status()).toMatchObject([
      { name: near, state: 'following', sequence: 1, lagCheckpoints: 0, lagMs: 0 },
      { name: far, state: 'waiting', sequence: 0, lagCheckpoints: 1 },
    ]);
    const { text } = await panel.metrics();
    expect(text).toContain(`diffkeeper_replica_up{replica="${near}"} 1`);
    expect(text).toContain(`diffkeeper_replica_lag_checkpoints{replica="${far}"} 1`);
    expect(text).toMatch(/diffkeeper_replica_lag_seconds\{replica="tcp:\/\/127\.0\.0\.1:1"\} 0\.\d/);
    expect(text).toMatch(/diffkeeper_replica_failures_total\{[^}]*:1"\} [1-9]/);
    expect(text).toMatch(/diffkeeper_replica_sent_bytes_total\{[^}]*\} 5[01]\d\d/);
    expect(text).toContain('diffkeeper_transport_sessions_total 1');
    expect(text).toContain('diffkeeper_transport_reconnects_total 0');
    expect(text).toMatch(/diffkeeper_transport_bytes_transferred_total\{direction="sent"\} [5-9]\d{3}/);
    expect(text).toMatch(/diffkeeper_transport_errors_total\{error_type="DK_CONNECTION"\} [1-9]/);
    const listener = await fetch(`http://${server.metricsAddress}/metrics`);
    expect(namesOf(text)).toEqual(namesOf(await listener.text()));
    await expect.poll(() => replicas.traffic.openStreams, { timeout: 10_000 }).toBeGreaterThan(0);
    await replicas.close();
    await server.close();
  });

  it('have no such metrics where there are none', async () => {
    const store = await fixture.open('alone');
    const panel = new ControlPanel({ options: { stateDir: 'data', store }, store, figures: new Figures(), logger });
    expect((await panel.metrics()).text).not.toContain('diffkeeper_transport_');
  });
});
