/** What freeze points need, for a whole run: made once, and kept until the last capture, whoever outlives the application. */
import { isatty } from 'node:tty';
import { type Logger, randomUUID, systemClock } from '../core/core.js';
import { FreezeGroup } from './cgroup.js';
import { type Child, type ChildOptions, startChild } from './child.js';
import type { Figures } from './figures.js';
import { Freezer } from './freeze.js';
import { MARK_VARIABLE } from './proc.js';
import { StopList } from './stop-list.js';
import type { Adoption } from './survey.js';
import type { SidecarOptions } from './types.js';
import { Watchdog } from './watchdog.js';

export interface FreezingParts {
  readonly options: SidecarOptions;
  /** Real path of the state directory. */
  readonly stateDir: string;
  readonly storePath: string;
  readonly logger: Logger;
  readonly figures: Figures;
  /** Absent where orphans do not come to us. */
  readonly adoption?: Adoption | undefined;
}

export class Freezing {
  readonly freezer: Freezer;
  /** On a terminal the application shares our group, so that Ctrl-C, Ctrl-Z and shells of its own work as they do
   * without us. Never `process.stdin`: making that object sets the application's stdin to non-blocking. */
  readonly ownGroup = !isatty(0);
  readonly means: 'cgroup' | 'signals';
  readonly #group: FreezeGroup | undefined;
  readonly #watchdog: Watchdog;
  readonly #stopped: StopList;
  /** In the environment of the application: only what is stopped has to be found. */
  readonly mark = randomUUID();

  constructor({ options, stateDir: root, storePath, logger, figures, adoption }: FreezingParts) {
    this.#stopped = new StopList(storePath);
    const resumed = this.#stopped.resumeLeft();
    if (resumed > 0) logger.warn({ resumed }, 'let processes go on that an earlier run had left stopped');
    const group = options.freezeWith === 'signals' ? undefined : FreezeGroup.make();
    this.#group = group;
    this.means = group ? 'cgroup' : 'signals';
    this.#watchdog = new Watchdog({ freezeFile: group?.freezeFile ?? '' });
    this.freezer = new Freezer({
      ownGroup: this.ownGroup,
      ...(group && { group }),
      ...(adoption && { adoption }),
      mark: this.mark,
      root,
      watchdog: this.#watchdog,
      clock: systemClock,
      stopped: this.#stopped,
      onPause: (pauseMs, stopMs) => {
        figures.stoodStill(pauseMs, stopMs);
        logger.debug({ pauseMs, stopMs }, 'the application stood still');
      },
    });
  }

  /** Starts the application, at a moment in which nothing stands still. Throws DK_SPAWN. */
  async start(options: Omit<ChildOptions, 'ownGroup' | 'around'>): Promise<Child> {
    const group = this.#group;
    const child = await this.freezer.start(() =>
      startChild({
        ...options,
        ownGroup: this.ownGroup,
        env: { ...options.env, [MARK_VARIABLE]: this.mark },
        ...(group && { around: (start) => group.startInside(start) }),
      }),
    );
    // The first freeze point need not wait for it. Where it cannot be started, each one tries again, and says so.
    void this.#watchdog.ensure().catch(() => {});
    return child;
  }

  /** Whoever is left goes on. */
  async close(): Promise<void> {
    this.freezer.release();
    this.#watchdog.dismiss();
    this.#group?.remove();
    await this.#stopped.remove();
  }
}
