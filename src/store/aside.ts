/** Names in the quarantine. */
import { readdir, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { randomBytes } from '../core/core.js';

/** A path in the quarantine that nothing has: putting aside may happen twice within the same millisecond. */
export function placeAside(quarantine: string, name: string): string {
  return path.join(quarantine, `${name}-${Date.now()}-${randomBytes(4).toString('hex')}`);
}

/** Removes what was put aside under this name but the newest. Throws system errors. */
export async function keepNewestAside(quarantine: string, name: string, count: number): Promise<void> {
  const names = (await readdir(quarantine)).filter((one) => asideName(one) === name);
  const newestFirst = names.sort((one, other) => asideTime(other) - asideTime(one));
  for (const old of newestFirst.slice(count)) await rm(path.join(quarantine, old), { recursive: true, force: true });
}

const ASIDE = /^(.+)-(\d+)-[0-9a-f]{8}$/;

/** The name that `placeAside` was given; null for what it has not named. */
export function asideName(file: string): string | null {
  return ASIDE.exec(file)?.[1] ?? null;
}

function asideTime(file: string): number {
  return Number(ASIDE.exec(file)?.[2] ?? 0);
}
