/** Asked to end: by a signal while no application ran, or by the caller. */
import { EXIT_CODES, signalExitCode } from './exit-codes.js';

export class StopRequest {
  readonly controller = new AbortController();
  signalName: NodeJS.Signals | undefined;

  request(name?: NodeJS.Signals): void {
    this.signalName ??= name;
    this.controller.abort();
  }

  get requested(): boolean {
    return this.controller.signal.aborted;
  }

  /** 128 + N when a signal asked us to end, 0 when the caller did. */
  get exitCode(): number {
    return this.signalName === undefined ? EXIT_CODES.ok : signalExitCode(this.signalName);
  }
}
