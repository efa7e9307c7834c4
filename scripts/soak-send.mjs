/**
 * Kills the sending or the receiving program at random moments, again and again, while files and states go from one to the
 * other over TLS with a shared key; the next run goes on. What must hold after every kill:
 *
 * - files: under its own name there is the whole file or nothing; in the end each is equal to what was sent;
 * - what the receiver had durable is not sent again: at most 1 % of the file for each kill of the sender;
 * - states: the receiver has one of those that were sent, whole, and none older than the newest that was acknowledged.
 *
 *   npm run soak:send [-- --rounds=100 --seed=1 --megabytes=48 --kill-ms=1200 --keep]
 *
 * Two rounds of three are of files, by the command line; the others of states, by `soak-send-ends.mjs`. All bytes go
 * through a proxy in this process, which counts them: those of TLS, frames and handshakes are among what counts as sent.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { seeded } from '../demo/seeded.mjs';
import { CountingProxy } from './counting-proxy.mjs';
import { KEY_NAME, noise, stateOf } from './soak-send-ends.mjs';
import { digestOf, killAll, notedBytes, start } from './soak-send-parts.mjs';
import { FIRST, PROGRAM } from './tested-program.mjs';

const ENDS = fileURLToPath(new URL('soak-send-ends.mjs', import.meta.url));
const SHARE = 0.01;
/** What TLS, frames and acknowledgements add, and what greetings of a session and its streams do. */
const OVERHEAD = 0.006;
const GREETINGS_BYTES = 128 << 10;
/** A busy machine may take a while to start a program. */
const START_MS = 5000;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    megabytes: { type: 'string', default: '48' },
    'kill-ms': { type: 'string', default: '1200' },
    keep: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const megabytes = Number(options.megabytes);
const killMs = Number(options['kill-ms']);
const random = seeded(Number(options.seed));
const place = mkdtempSync(join(tmpdir(), 'dk-soak-send-'));
const out = join(place, 'out');
const keys = join(place, 'keys');
const proxy = new CountingProxy();
const tally = {
  sender: 0,
  receiver: 0,
  done: 0,
  resumed: 0,
  durableBytes: 0,
  againBytes: 0,
  states: 0,
  acknowledged: 0,
};

/** A receiving program, behind the proxy. @param {string} program @param {readonly string[]} words */
async function receiving(program, words) {
  const run = start(program, words);
  for (;;) {
    const port = /"port":(\d+)/.exec(run.text())?.[1];
    if (port) {
      proxy.target = Number(port);
      return run;
    }
    if (run.child.exitCode !== null) throw new Error(`the receiver ended: ${run.text()}`);
    await sleep(10);
  }
}

/**
 * A random moment: half of them from now on, half from when something has arrived. Gives early what ends before.
 * @param {() => number} arrived grows when something has @param {Promise<unknown>} ended
 */
async function someMoment(arrived, ended) {
  if (random(2) === 0) {
    const before = arrived();
    let over = false;
    ended.then(() => (over = true));
    for (let waited = 0; waited < START_MS && !over && arrived() === before; waited += 10) await sleep(10);
  }
  return Promise.race([sleep(random(killMs)), ended]);
}

/** Files one after the other, each until it is there. */
class Files {
  #number = 0;
  #receiver;
  #sender;
  /** Since the receiver was started: what it had, what had been sent in all, how often the sender was killed. */
  #since = { durable: 0, sentBytes: 0, kills: 0, sessions: 0 };
  #digests = new Map();
  /** Whether the receiver was killed while the sender ran. */
  #orphaned = false;

  #next() {
    this.#number += 1;
    const name = `f${this.#number}`;
    const path = join(place, name);
    writeFileSync(path, noise(megabytes << 20, 1000 * Number(options.seed) + this.#number));
    this.#digests.set(name, digestOf(path));
    return name;
  }

  get #name() {
    return `f${this.#number}`;
  }

  /** Starts what does not run. */
  async #ensure() {
    if (this.#number === 0 || this.#digests.get(this.#name) === '') this.#next();
    if (!this.#receiver) {
      const words = ['receive', `--out=${out}`, '--listen=127.0.0.1:0', `--psk-file=${keys}`, '--json'];
      this.#receiver = await receiving(PROGRAM, [...FIRST, ...words]);
      this.#since = { durable: notedBytes(out), sentBytes: proxy.sentBytes, kills: 0 };
      tally.durableBytes += this.#since.durable;
    }
    if (!this.#sender) {
      const words = ['send', join(place, this.#name), `--psk-file=${keys}`, `--rate-limit=${megabytes}`, '--json'];
      this.#orphaned = false;
      this.#sender = start(PROGRAM, [...FIRST, ...words, `tls://127.0.0.1:${proxy.port}/${this.#name}`]);
    }
  }

  async round() {
    await this.#ensure();
    const ended = await someMoment(() => notedBytes(out), this.#sender.ended);
    if (ended !== undefined) await this.#arrived();
    else if (random(2) === 0) await this.#killSender();
    else await this.#killReceiver();
    this.#check();
  }

  async #killSender() {
    await this.#sender.kill();
    this.#sender = undefined;
    this.#since.kills += 1;
    tally.sender += 1;
  }

  async #killReceiver() {
    await this.#receiver.kill();
    this.#receiver = undefined;
    this.#orphaned = true;
    proxy.cut();
    tally.receiver += 1;
  }

  /** The sender has ended: so the file must be there, and no more was sent than was missing. */
  async #arrived() {
    const code = await this.#sender.ended;
    const { text } = this.#sender;
    this.#sender = undefined;
    if (code !== 0) {
      // Its first connection is not tried again: a receiver that was killed just then is somebody else's matter.
      if (!this.#orphaned || !/DK_CONNECTION/.test(text())) throw new Error(`send ended with ${code}: ${text()}`);
      this.#since.kills += 1;
      return;
    }
    if (!existsSync(join(out, this.#name))) throw new Error(`${this.#name} was acknowledged and is not there`);
    const size = megabytes << 20;
    const { durable, sentBytes, kills } = this.#since;
    const sent = proxy.sentBytes - sentBytes;
    const most = (size - durable) * (1 + OVERHEAD) + kills * SHARE * size + (1 + kills) * GREETINGS_BYTES;
    if (sent > most)
      throw new Error(`${this.#name}: ${durable} bytes were there, ${sent} were sent with ${kills} kills`);
    tally.resumed += durable > 0 || kills > 0 ? 1 : 0;
    tally.againBytes += Math.max(0, sent - (size - durable) * (1 + OVERHEAD) - (1 + kills) * GREETINGS_BYTES);
    tally.done += 1;
    this.#check();
    rmSync(join(place, this.#name));
    rmSync(join(out, this.#name));
    this.#digests.set(this.#name, '');
    this.#since = { durable: 0, sentBytes: proxy.sentBytes, kills: 0 };
  }

  /** Whatever has a name of its own is whole. */
  #check() {
    for (const name of existsSync(out) ? readdirSync(out) : []) {
      if (name === '.diffkeeper-partial') continue;
      if (name !== this.#name) throw new Error(`nothing called ${name} was sent`);
      if (digestOf(join(out, name)) !== this.#digests.get(name))
        throw new Error(`${name} is there, and is not what was sent`);
    }
  }

  /** Brings the last one over undisturbed. */
  async finish() {
    for (const { done } = tally; tally.done === done; ) {
      await this.#ensure();
      await this.#arrived();
    }
    await this.#receiver.kill();
  }
}

/** States of one key, one after the other, until somebody is killed. */
class States {
  #receiver;
  #sender;
  /** Number of the newest that was acknowledged. */
  #acknowledged = 0;
  #orphaned = false;

  async round() {
    this.#receiver ??= await receiving(process.execPath, [ENDS, 'receive', join(place, 'states'), keys]);
    const words = [ENDS, 'send', `${proxy.port}`, keys, `${this.#acknowledged}`];
    if (!this.#sender) {
      this.#orphaned = false;
      this.#sender = start(process.execPath, words);
    }
    const { text, ended: end } = this.#sender;
    const ended = await someMoment(() => text().length, end);
    if (ended !== undefined) {
      this.#note();
      this.#sender = undefined;
      if (!this.#orphaned || !/DK_CONNECTION/.test(text()))
        throw new Error(`the sender of states ended with ${ended}: ${text()}`);
    } else if (random(2) === 0) {
      await this.#sender.kill();
      this.#note();
      this.#sender = undefined;
      tally.sender += 1;
    } else {
      await this.#receiver.kill();
      this.#receiver = undefined;
      this.#orphaned = true;
      proxy.cut();
      tally.receiver += 1;
    }
    this.#check();
  }

  #note() {
    const all = [...this.#sender.text().matchAll(/"acknowledged":(\d+)\}/g)].map(([, number]) => Number(number));
    this.#acknowledged = Math.max(this.#acknowledged, ...all);
  }

  #check() {
    if (this.#sender) this.#note();
    const path = join(place, 'states', 'world');
    if (!existsSync(path)) {
      if (this.#acknowledged > 0) throw new Error(`state ${this.#acknowledged} was acknowledged, none is there`);
      return;
    }
    const bytes = readFileSync(path);
    const number = bytes.readUInt32LE(0);
    if (!bytes.equals(stateOf(number))) throw new Error(`what is there is not state ${number}`);
    if (number < this.#acknowledged)
      throw new Error(`state ${this.#acknowledged} was acknowledged, ${number} is there`);
    tally.states += 1;
    tally.acknowledged = this.#acknowledged;
  }

  async finish() {
    await this.#sender?.kill();
    await this.#receiver?.kill();
  }
}

/** @param {number} bytes */
const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);

try {
  mkdirSync(join(place, 'states'));
  writeFileSync(keys, `${KEY_NAME}:${createHash('sha256').update(place).digest('hex')}\n`, { mode: 0o600 });
  await proxy.listen();
  const files = new Files();
  for (let round = 0; round < rounds; round += 1) if (round % 3 !== 2) await files.round();
  await files.finish();
  const states = new States();
  for (let round = 2; round < rounds; round += 3) await states.round();
  await states.finish();
  const { sender, receiver, done, resumed, durableBytes, againBytes } = tally;
  console.log(JSON.stringify({ rounds, ...tally }));
  console.log(
    `${rounds} rounds: ${sender} kills of the sender, ${receiver} of the receiver; ${done} files arrived, each equal, ` +
      `${resumed} of them after a kill; ${mebibytes(durableBytes)} MiB were there when a receiver began again, ` +
      `${mebibytes(againBytes)} MiB were sent twice; after ${tally.states} kills the newest state was there, whole`,
  );
} finally {
  killAll();
  proxy.close();
  if (options.keep) console.log(`kept: ${place}`);
  else rmSync(place, { recursive: true, force: true });
}
