/** A tar archive into a directory, by the installed tar: it reads all the forms there are, compressed ones among them. */
import { runTool } from './run-tool.js';

/**
 * Unpacks an archive below an empty directory of the caller's own, with modes, times and extended attributes; owners come
 * with it for root. Names never lead out of the directory: tar sees to that.
 *
 * @param archive a file, or `-` for stdin (then not a compressed one)
 * @throws DK_SPAWN when tar is not installed, DK_REMOTE when it fails, DK_ABORTED
 */
export async function unpackTar(archive: string, into: string, signal?: AbortSignal): Promise<void> {
  const kept = ['--preserve-permissions', '--numeric-owner', '--xattrs', '--xattrs-include=*'];
  // With a host before a colon it would be another machine's file.
  const words = ['--extract', `--file=${archive}`, '--force-local', `--directory=${into}`, ...kept];
  await runTool({ tool: 'tar', words, stdin: archive === '-', signal });
}
