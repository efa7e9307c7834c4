/** The program's file as a script of its own, to which V8 can be handed what it compiled of it earlier. */
import { Script } from 'node:vm';

export interface Program {
  /** Runs the command that this process was started with, and ends the process. */
  readonly start: () => void;
  /** Runs one command; gives its exit code. */
  readonly runProgram: (words: readonly string[]) => Promise<number>;
}

/** What a CommonJS file finds around itself. */
export interface Surroundings {
  readonly require: NodeJS.Require;
  readonly file: string;
  readonly directory: string;
}

/**
 * Evaluates the program.
 *
 * @param kept compiled code, whole; what V8 does not want (another version, other settings) is compiled anew
 */
export function evaluate(source: string, { require, file, directory }: Surroundings, kept?: Buffer) {
  const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: file,
    ...(kept && { cachedData: kept }),
  });
  const made: { exports: unknown } = { exports: {} };
  script.runInThisContext()(made.exports, require, made, file, directory);
  return { program: made.exports as Program, script };
}
