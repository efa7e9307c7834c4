/** The program that the long runs start: that of this checkout, or the one in `DIFFKEEPER_TEST_PROGRAM`, such as the single file. */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const named = process.env.DIFFKEEPER_TEST_PROGRAM;
const own = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

/** File to start, and the words in front of all others. */
export const [PROGRAM, FIRST] = named ? [resolve(named), []] : [process.execPath, [own]];
