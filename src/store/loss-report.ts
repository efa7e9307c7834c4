/** Damage of packs as `verify` finds it, each with the versions whose records stood there. */
import type { RecordPlace } from './blob-index.js';
import type { Affected } from './lost-versions.js';
import { lowerBound } from './lower-bound.js';
import { packName } from './pack-names.js';
import type { DamageReport } from './types.js';

interface Spot {
  readonly offset: number;
  readonly report: DamageReport;
  readonly affected: Affected[];
}

export class LossReport {
  /** Pack -> damaged places in it, ascending. */
  readonly #spots = new Map<number, Spot[]>();
  /** Packs that are missing, or of which the end is. */
  readonly #gone = new Map<number, Spot>();
  readonly #ends = new Map<number, number>();

  /** A pack that is there, and its length. */
  notePack(pack: number, end: number): void {
    this.#ends.set(pack, end);
  }

  /** @param at `offset` is left out when the whole pack cannot be used, `unreadable` when the disk gives what stands there */
  add(
    at: { readonly pack: number; readonly offset?: number; readonly unreadable?: boolean | undefined },
    message: string,
  ): void {
    const { pack, offset = 0, unreadable = false } = at;
    const name = packName(pack);
    const place = at.offset === undefined ? name : `${name} at byte ${offset}`;
    const kind = unreadable ? 'unreadable' : at.offset === undefined ? 'pack' : 'record';
    const spot = newSpot(kind, place, { offset, message });
    const spots = this.#spots.get(pack) ?? [];
    spots.push(spot);
    this.#spots.set(pack, spots);
  }

  /** A record that the metadata names was not found there; `affected` is what it held, as far as it matters. */
  addLost({ pack, offset }: RecordPlace, affected?: Affected): void {
    const end = this.#ends.get(pack);
    const spot = (end !== undefined && offset < end && this.#spotAt(pack, offset)) || this.#goneSpot(pack, end);
    if (affected) spot.affected.push(affected);
  }

  /** The last damaged place that is not behind this one. */
  #spotAt(pack: number, offset: number): Spot | undefined {
    const spots = this.#spots.get(pack) ?? [];
    return spots[lowerBound(spots, offset + 1, (spot) => spot.offset) - 1];
  }

  #goneSpot(pack: number, end: number | undefined): Spot {
    const known = this.#gone.get(pack);
    if (known) return known;
    const message = end === undefined ? 'it is missing' : 'records that the metadata names are not in it';
    const spot = newSpot('pack', packName(pack), { offset: 0, message });
    this.#gone.set(pack, spot);
    return spot;
  }

  get damage(): DamageReport[] {
    return [...[...this.#spots.values()].flat(), ...this.#gone.values()].map(({ report }) => report);
  }
}

function newSpot(
  kind: 'pack' | 'record' | 'unreadable',
  where: string,
  { offset, message }: { readonly offset: number; readonly message: string },
): Spot {
  const affected: Affected[] = [];
  return { offset, affected, report: { kind, where, message, affected } };
}
