/** gitignore patterns over byte paths. The only importer of the `ignore` package. */
import ignore from 'ignore';
import { type BytePath, pathToText } from '../core/core.js';

/** Decides which entries do not belong to the state. Patterns are text, so names are matched as UTF-8. */
export class IgnoreRules {
  readonly #rules: ReturnType<typeof ignore>;

  constructor(readonly patterns: readonly string[]) {
    // POSIX names differ by case, and a name such as `..data` is legal: neither folding nor path checks.
    this.#rules = ignore({ ignorecase: false, allowRelativePaths: true }).add([...patterns]);
  }

  /** Whether the entry, or a directory above it, matches. Patterns that end in `/` match directories alone. */
  ignores(path: BytePath, directory: boolean): boolean {
    const text = pathToText(path);
    return this.#rules.ignores(directory ? `${text}/` : text);
  }
}
