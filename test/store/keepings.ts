/** Where tests of capture and recover keep their files: schema 2 with both engines, and schema 1. */
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine, loadTwin } from '../../src/engine/load.js';

/** Schema 1 keeps newest contents alone: what it cannot hold (`docs/migration.md`) is asked for in schema 2 only. */
export type Schema = 1 | 2;
export const SCHEMAS = [2, 1] as const;

export interface Keeping {
  readonly engine: Engine;
  readonly schema: Schema;
}

/** Both implementations where the native one loads. */
export function engines(): [string, Engine][] {
  const loaded = loadEngine();
  const twin: [string, Engine] = ['typescript', loadTwin()];
  return loaded.info.kind === 'native' ? [['native', loaded], twin] : [twin];
}

/** Both schemas, schema 2 with both engines: for tests of what either schema can hold. */
export function keepings(): [string, Keeping][] {
  const second = engines().map(([name, engine]): [string, Keeping] => [name, { engine, schema: 2 }]);
  return [...second, ['schema 1', { engine: loadEngine(), schema: 1 }]];
}
