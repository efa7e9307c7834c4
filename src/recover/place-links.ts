/** Hard links: the first name of a group is placed as a file, the others are linked to it at the end. */
import { type BytePath, DiffKeeperError, pathToText } from '../core/core.js';
import { STAT } from '../engine/engine.js';
import { hardLinkKey, type Version } from '../format/format.js';
import type { ClosedDirectories } from './place-directories.js';
import type { RecoverJob } from './recover-job.js';

interface Follower {
  readonly version: Version;
  readonly leader: BytePath;
}

/** Finds out which names share one inode, and makes it so. */
export class LinkGroups {
  readonly #leaders = new Map<string, BytePath>();
  readonly #followers: Follower[] = [];

  /** True when the entry is a further name of a file seen before and is taken care of here. */
  take(version: Version): boolean {
    const key = hardLinkKey(version);
    if (key === null) return false;
    const leader = this.#leaders.get(key);
    if (leader === undefined) {
      this.#leaders.set(key, version.path);
      return false;
    }
    this.#followers.push({ version, leader });
    return true;
  }

  /** Links the further names. Call when all files are in place. */
  async place(job: RecoverJob, closed: ClosedDirectories): Promise<void> {
    for (const { version, leader } of this.#followers) {
      job.check();
      job.progress(version.size);
      if (job.damage.has(leader)) {
        job.fail(version.path, leaderLost(version.path, leader));
      } else if (job.keptLeaders.has(leader) && isLinked(job, version.path, leader)) {
        job.kept += 1;
      } else {
        await closed.openAbove([version]);
        await link(job, version, leader);
      }
    }
  }
}

/** Whether both names were one inode when the target was listed. */
function isLinked(job: RecoverJob, path: BytePath, leader: BytePath): boolean {
  const own = job.target.listing?.get(path);
  const other = job.target.listing?.get(leader);
  if (own === undefined || other === undefined) return false;
  return own[STAT.ino] === other[STAT.ino] && own[STAT.dev] === other[STAT.dev];
}

async function link(job: RecoverJob, version: Version, leader: BytePath): Promise<void> {
  try {
    await job.engine.placeLink(job.root, leader, version.path);
    job.countWritten(version, 0);
  } catch (error) {
    job.fail(version.path, error);
  }
}

function leaderLost(path: BytePath, leader: BytePath): DiffKeeperError {
  const text = pathToText(path);
  return new DiffKeeperError(
    'DK_NOT_FOUND',
    `${text} is a hard link of ${pathToText(leader)}, which could not be brought back`,
    { path: text },
  );
}
