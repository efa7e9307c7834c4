/**
 * Scattered pages that nothing makes smaller need no window: whoever reads them takes each as it stands. One blob for a
 * region instead of one for each window spares readers of a long history three lookups of four.
 */
import { LIMITS } from '../core/core.js';
import type { BlobJob } from './blob-context.js';

/** Jobs of several ranges each are joined with others of their region, up to the largest blob; their slots move along. */
export function joinScattered(jobs: readonly BlobJob[]): BlobJob[] {
  const joined: BlobJob[] = [];
  const open = new Map<number, Open>();
  for (const job of jobs) {
    const bytes = job.pieces.reduce((sum, piece) => sum + piece.length, 0);
    // A single range may be cut where its content says so, for other files to find.
    if (job.slots.length < 2) {
      joined.push(job);
      continue;
    }
    const region = Math.floor((job.ranges[0] ?? 0) / LIMITS.regionBytes);
    const known = open.get(region);
    if (known && known.bytes + bytes <= LIMITS.blobBytes) {
      for (const slot of job.slots) slot.offset += known.bytes;
      known.jobs.push(job);
      known.bytes += bytes;
    } else {
      if (known) joined.push(whole(known.jobs));
      open.set(region, { jobs: [job], bytes });
    }
  }
  for (const { jobs: parts } of open.values()) joined.push(whole(parts));
  return joined;
}

interface Open {
  readonly jobs: BlobJob[];
  bytes: number;
}

function whole(jobs: readonly BlobJob[]): BlobJob {
  return {
    pieces: jobs.flatMap(({ pieces }) => pieces),
    ranges: jobs.flatMap(({ ranges }) => ranges),
    slots: jobs.flatMap(({ slots }) => slots),
  };
}
