/** What a store is called, where it lies, and what it was opened with. */
import type { Engine, HashAlgo } from '../engine/engine.js';
import { type CacheGuard, cacheGuard } from './cache-guard.js';
import type { OpenFacts } from './open-store.js';

export class StoreIdentity {
  readonly guard: CacheGuard;
  protected readonly facts: OpenFacts;

  constructor(facts: OpenFacts) {
    this.facts = facts;
    this.guard = cacheGuard(facts.keys);
  }

  get path(): string {
    return this.facts.paths.root;
  }
  get id(): string {
    return this.facts.marker.id;
  }
  get hashAlgo(): HashAlgo {
    return this.facts.marker.hashAlgo;
  }
  get engine(): Engine {
    return this.facts.engine;
  }
  get keepsHistory(): boolean {
    return true;
  }
  get snapshotInterval(): number {
    return this.facts.snapshotInterval;
  }
  get level(): number | undefined {
    return this.facts.level;
  }
  get seed(): Buffer {
    return this.facts.keys?.seed ?? Buffer.from(this.facts.marker.seed, 'hex');
  }
  get cachePath(): string {
    return this.facts.paths.cache;
  }
  /** What caches of this store need to know of it. */
  protected get cacheFacts() {
    return { cachePath: this.cachePath, storeId: this.id, guard: this.guard };
  }
  get quarantinePath(): string {
    return this.facts.paths.quarantine;
  }
}
