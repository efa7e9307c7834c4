/** A freeze point keeps the bytes of the standstill, however files moved before it and whatever becomes of them after it. */
import { closeSync, openSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { files } from '../native/tree-door.js';
import { engines, MIB, noise, SCHEMAS, StateFixture } from './state-fixture.js';

let fixture: StateFixture;
afterEach(async () => {
  files.mapAnywhere(false);
  await fixture.close();
});

/** Whole numbers from 0 to below `below`, the same in every run. */
function seeded(seed: number): (below: number) => number {
  const words = noise(4096, seed);
  let at = 0;
  return (below) => {
    at = (at + 4) % words.length;
    return words.readUInt32LE(at) % below;
  };
}

const NAMES = ['a', 'b', 'c', 'd'];

/** Seeded changes of the files of a directory. */
class Mover {
  readonly #at: (name: string) => string;
  readonly #random: (bound: number) => number;
  #seed: number;

  constructor(at: (name: string) => string, seed: number) {
    this.#at = at;
    this.#random = seeded(seed);
    this.#seed = seed * 1000;
  }

  #noise(bytes: number): Buffer {
    this.#seed += 1;
    return noise(bytes, this.#seed);
  }

  #size(name: string): number {
    return readFileSync(this.#at(name)).length;
  }

  #write(name: string, bytes: Buffer, position: number): void {
    const fd = openSync(this.#at(name), 'r+');
    writeSync(fd, bytes, 0, bytes.length, position);
    closeSync(fd);
  }

  /** One random change of one file; `names` are those that are there. */
  move(names: readonly string[]): void {
    const random = this.#random;
    const name = names[random(names.length)] as string;
    const size = this.#size(name);
    const kinds = [
      () => this.#write(name, this.#noise(1 + random(20_000)), random(size + 1)),
      () => this.#write(name, this.#noise(1 + random(100)), random(size + 1)),
      () => this.#write(name, this.#noise(size), 0),
      () => this.#write(name, this.#noise(1 + random(300_000)), size),
      () => this.#write(name, Buffer.alloc(1 + random(200_000)), random(size + 1)),
      () => truncateSync(this.#at(name), random(size + 1)),
      () => truncateSync(this.#at(name), size + random(300_000)),
      () => this.#replace(name, size),
      () => this.#exchange(name, names[random(names.length)] as string),
    ];
    kinds[random(kinds.length)]?.();
  }

  #replace(name: string, size: number): void {
    fixture.write('next', this.#noise(size + this.#random(100_000)));
    renameSync(this.#at('next'), this.#at(name));
  }

  /** As a log whose oldest segment becomes its newest. */
  #exchange(name: string, other: string): void {
    if (name === other) return;
    renameSync(this.#at(name), this.#at('next'));
    renameSync(this.#at(other), this.#at(name));
    renameSync(this.#at('next'), this.#at(other));
  }

  several(count: number): void {
    for (let i = 0; i < this.#random(count) + 1; i += 1) this.move(NAMES);
  }
}

const contents = (): Map<string, Buffer> =>
  new Map(readdirSync(fixture.state).map((name) => [name, readFileSync(join(fixture.state, name))]));

describe.each(engines())('%s engine', (kind, engine) => {
  it.each(SCHEMAS.flatMap((schema) => [1, 2, 3].map((seed) => [schema, seed] as const)))(
    'random changes before, at and after each freeze point, schema %s, seed %s',
    async (schema, seed) => {
      files.mapAnywhere(true);
      fixture = await StateFixture.create(engine, { schema });
      for (const [i, name] of NAMES.entries()) fixture.write(name, noise(MIB + i * 300_001, seed * 10 + i));
      const mover = new Mover((name) => fixture.path(name), seed);
      for (let round = 0; round < (kind === 'native' ? 12 : 5); round += 1) {
        mover.several(3);
        let still = new Map<string, Buffer>();
        const freeze = async () => {
          mover.several(4);
          still = contents();
          return {
            rescan: [],
            thaw: async () => {
              mover.several(6);
              return 1;
            },
          };
        };
        const report = await fixture.capture({ freeze });
        expect(report).toMatchObject({ unsettled: [], skipped: [] });
        for (const [name, bytes] of still) {
          const head = await fixture.head(name);
          const kept = head && (await fixture.store.reader(head).read(0, head.size));
          expect(kept?.equals(bytes), `${name} of round ${round}`).toBe(true);
          expect(head?.digest?.equals(await engine.digestAsync(fixture.store.hashAlgo, bytes))).toBe(true);
        }
      }
      for (const name of NAMES) rmSync(fixture.path(name));
    },
  );
});
