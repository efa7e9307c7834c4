/**
 * Threads that wait in `vfork` (so do those of `posix_spawn`) until their child runs another program or ends: the kernel shows them in state D, and a
 * stop takes effect on them only then. If the child is stopped first, that is never.
 *
 * A thread that is seen in the call that starts a process after its own process was told to stop (SIGSTOP) stands as still
 * as a stopped one. The call writes to no file; before the thread could leave it, or start anybody with it, the
 * kernel sees the pending stop, of the process or of the thread. SIGCONT alone takes that back, and the child, which has to
 * stand still by itself, is the only one that ends the wait.
 */
import { constants } from 'node:os';
import { readText } from './proc-text.js';

/** `CLONE_VFORK`, and the bits that name the signal of the child's end: a call of another system with our number has not both. */
const CLONE_VFORK = 0x4000;
const SIGNAL_BITS = 0xff;

/** Numbers of the calls: those whose first argument is the flags, and others. */
const NUMBERS: Partial<Record<NodeJS.Architecture, { readonly flagged: number; readonly others: readonly number[] }>> =
  {
    x64: { flagged: 56, others: [58, 435] },
    arm64: { flagged: 220, others: [435] },
    riscv64: { flagged: 220, others: [435] },
    loong64: { flagged: 220, others: [435] },
  };

/** What the kernel calls the place in which such a thread waits; it has had several names. */
const PLACES: readonly string[] = ['wait_for_vfork_done', 'kernel_clone', '_do_fork', 'do_fork'];

/**
 * Whether a thread in state D is in the call that starts a process; false also when nobody tells us. The number of its call
 * may be read by whoever may trace it, which some systems keep to fewer than the name of the place where it waits.
 */
export function startsProcess(pid: number, thread: string): boolean {
  const call = readText(`/proc/${pid}/task/${thread}/syscall`, true);
  if (call === '') return PLACES.includes(readText(`/proc/${pid}/task/${thread}/wchan`, true).trim());
  const [, number, first] = /^(\d+) 0x([0-9a-f]+)/.exec(call) ?? [];
  const numbers = NUMBERS[process.arch];
  if (number === undefined || first === undefined || numbers === undefined) return false;
  if (numbers.others.includes(Number(number))) return true;
  const flags = BigInt(`0x${first}`);
  const bits = (mask: number): bigint => flags & BigInt(mask);
  return Number(number) === numbers.flagged && bits(CLONE_VFORK) !== 0n && bits(SIGNAL_BITS) !== 0n;
}

/** Whether a stop waits to take effect on a process, or on its first thread. */
export function stopIsPending(pid: number): boolean {
  const bit = 1n << BigInt(constants.signals.SIGSTOP - 1);
  const sets = readText(`/proc/${pid}/status`, true).matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm);
  return [...sets].some(([, set]) => (BigInt(`0x${set}`) & bit) !== 0n);
}
