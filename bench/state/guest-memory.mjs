/**
 * Memory of a small QEMU guest (software emulation): Debian's cloud kernel with busybox, which sorts, packs and writes
 * files in memory. Dumped with the monitor's pmemsave while the guest is stopped.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from './redis-memory.mjs';

const INIT = `#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t tmpfs tmpfs /tmp
echo guest is up
n=0
while true; do
  n=$((n + 1))
  dd if=/dev/urandom of=/tmp/noise bs=4096 count=20 2>/dev/null
  od -x /tmp/noise | sort > /tmp/sorted.$((n % 8))
  gzip -c /tmp/sorted.$((n % 8)) > /tmp/packed.$((n % 8))
  cat /proc/meminfo /proc/stat > /tmp/facts.$((n % 16))
  sleep 0.1
done
`;

/** @param {string} program @param {readonly string[]} words @param {string} cwd */
function must(program, words, cwd) {
  const run = spawnSync(program, words, { cwd, encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${program} ${words.join(' ')}: ${run.error?.message ?? run.stderr.trim()}`);
  return run.stdout;
}

/**
 * An archive in the format that the kernel unpacks as its first file system ("newc").
 * @param {readonly { name: string, mode: number, data: Buffer, device?: readonly [number, number] }[]} entries
 */
function archive(entries) {
  /** @param {Buffer} bytes */
  const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  const all = [...entries, { name: 'TRAILER!!!', mode: 0, data: Buffer.alloc(0) }];
  return Buffer.concat(
    all.flatMap(({ name, mode, data, device = [0, 0] }, i) => {
      const fields = [i + 1, mode, 0, 0, 1, 0, data.length, 0, 0, ...device, name.length + 1, 0];
      const head = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
      return [padded(Buffer.from(head)), padded(data)];
    }),
  );
}

/** Kernel and first file system, from Debian's packages, in `directory`. @param {string} directory */
function prepareGuest(directory) {
  const depends = must('apt-cache', ['depends', 'linux-image-cloud-amd64'], directory);
  const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (kernel === undefined) throw new Error('no package linux-image-cloud-amd64');
  must('apt-get', ['download', '-qq', kernel, 'busybox-static'], directory);
  const root = join(directory, 'root');
  mkdirSync(root);
  for (const name of readdirSync(directory)) if (name.endsWith('.deb')) must('dpkg-deb', ['-x', name, root], directory);
  const image = readdirSync(join(root, 'boot')).find((name) => name.startsWith('vmlinuz'));
  const busybox = ['bin/busybox', 'usr/bin/busybox'].map((name) => join(root, name)).find((name) => existsSync(name));
  if (image === undefined || busybox === undefined) throw new Error('the packages lack kernel or busybox');
  const folders = ['bin', 'proc', 'tmp', 'dev'].map((name) => ({ name, mode: 0o40755, data: Buffer.alloc(0) }));
  const program = readFileSync(busybox);
  const first = archive([
    ...folders,
    { name: 'dev/console', mode: 0o20600, data: Buffer.alloc(0), device: [5, 1] },
    { name: 'dev/urandom', mode: 0o20644, data: Buffer.alloc(0), device: [1, 9] },
    { name: 'dev/null', mode: 0o20666, data: Buffer.alloc(0), device: [1, 3] },
    { name: 'bin/busybox', mode: 0o100755, data: program },
    { name: 'bin/sh', mode: 0o100755, data: program },
    { name: 'init', mode: 0o100755, data: Buffer.from(INIT) },
  ]);
  writeFileSync(join(directory, 'first.cpio'), first);
  return { kernel: join(root, 'boot', image), first: join(directory, 'first.cpio') };
}

/**
 * Writes `count` dumps, `intervalMs` of the guest's life apart; returns their paths. Throws when there is no QEMU or the
 * packages cannot be had.
 * @param {{ directory: string, count: number, memoryMib: number, intervalMs: number }} options
 */
export async function guestMemory({ directory, count, memoryMib, intervalMs }) {
  const { kernel, first } = prepareGuest(directory);
  const monitor = join(directory, 'monitor');
  const machine = ['-machine', 'q35,accel=tcg', '-m', `${memoryMib}`, '-nographic', '-no-reboot', '-nic', 'none'];
  const boot = ['-kernel', kernel, '-initrd', first, '-append', 'console=ttyS0 quiet panic=-1'];
  const words = [...machine, ...boot, '-serial', 'stdio', '-monitor', `unix:${monitor},server,nowait`];
  const guest = spawn('qemu-system-x86_64', words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  guest.stdout.on('data', (data) => {
    said = (said + data).slice(-4000);
  });
  guest.stderr.on('data', (data) => {
    said = (said + data).slice(-4000);
  });
  const failed = once(guest, 'error').then(([error]) => Promise.reject(error));
  try {
    await Promise.race([failed, waitFor(() => said.includes('guest is up'), 180_000)]).catch((error) => {
      throw new Error(`the guest did not come up: ${error}\n${said}`);
    });
    const door = connect(monitor);
    await once(door, 'connect');
    let heard = '';
    door.on('data', (data) => {
      heard += data;
    });
    /** @param {string} command */
    const ask = async (command) => {
      heard = '';
      door.write(`${command}\n`);
      await waitFor(() => heard.includes('(qemu)'));
    };
    await waitFor(() => heard.includes('(qemu)'));
    const files = [];
    for (let i = 0; i < count; i += 1) {
      await sleep(intervalMs);
      const file = join(directory, `guest-${i}`);
      await ask('stop');
      await ask(`pmemsave 0 ${memoryMib * 2 ** 20} "${file}"`);
      await ask('cont');
      files.push(file);
    }
    door.destroy();
    return files;
  } finally {
    failed.catch(() => {});
    guest.kill('SIGKILL');
  }
}
