/** What the application of the kill soak does, and which states of its directory there can be: the oracle. */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { seeded } from '../demo/seeded.mjs';

/** Names that the application uses in each directory. */
const FILES = 40;

function bytesOf(random, length) {
  const block = createHash('sha256')
    .update(String(random(2 ** 31)))
    .digest();
  return Buffer.alloc(length, block);
}

/** The operations of one step. Each is one change of the tree, so that a standstill falls between two of them. */
export function operations(step) {
  const random = seeded(step * 7919 + 1);
  const file = `d${random(4)}/f${random(FILES)}`;
  const text = `${step}\n`;
  const plan = [['write', 'counter', Buffer.from(text)]];
  switch (random(6)) {
    case 0:
      plan.push(['write', file, bytesOf(random, random(30_000))]);
      break;
    case 1:
      plan.push(['replace', file, bytesOf(random, random(400_000))]);
      break;
    case 2:
      plan.push(['append', 'log', Buffer.from(`did ${step} ${random(1e6)}\n`)]);
      break;
    case 3:
      plan.push(['remove', file]);
      break;
    case 4:
      plan.push(['patch', 'large', bytesOf(random, 5000), random(2_000_000)]);
      break;
    default:
      plan.push(['link', `links/l${random(8)}`, file]);
  }
  plan.push(['write', 'done', Buffer.from(text)]);
  return plan;
}

/** A tree in memory: path to content, links as `-> target`. */
function applyTo(tree, [kind, path, data, offset]) {
  if (kind === 'remove') tree.delete(path);
  else if (kind === 'link') tree.set(path, Buffer.from(`-> ${data}`));
  else if (kind === 'append') tree.set(path, Buffer.concat([tree.get(path) ?? Buffer.alloc(0), data]));
  else if (kind === 'patch') {
    const old = tree.get(path) ?? Buffer.alloc(0);
    const whole = Buffer.alloc(Math.max(old.length, offset + data.length));
    old.copy(whole);
    data.copy(whole, offset);
    tree.set(path, whole);
  } else tree.set(path, data);
}

/** The same on disk, so that no state of a file lies between before and after. */
export function applyOnDisk(root, [kind, path, data, offset]) {
  const full = join(root, path);
  mkdirSync(dirname(full), { recursive: true });
  if (kind === 'remove') rmSync(full, { force: true });
  else if (kind === 'append') appendFileSync(full, data);
  else if (kind === 'patch') {
    const fd = openSync(full, existsSync(full) ? 'r+' : 'w+');
    writeSync(fd, data, 0, data.length, offset);
    closeSync(fd);
  } else {
    const temporary = join(root, '.new');
    rmSync(temporary, { force: true });
    if (kind === 'link') symlinkSync(data, temporary);
    else writeFileSync(temporary, data);
    renameSync(temporary, full);
  }
}

function listTree(root, directory = '', found = new Map()) {
  for (const name of readdirSync(join(root, directory))) {
    const path = directory === '' ? name : `${directory}/${name}`;
    const facts = lstatSync(join(root, path));
    if (facts.isDirectory()) listTree(root, path, found);
    else if (facts.isSymbolicLink()) found.set(path, Buffer.from(`-> ${readlinkSync(join(root, path))}`));
    else found.set(path, readFileSync(join(root, path)));
  }
  return found;
}

function difference(found, expected) {
  for (const [path, bytes] of found) {
    const other = expected.get(path);
    if (other === undefined) return `${path} should not be there`;
    if (!other.equals(bytes)) return `${path} has other bytes (${bytes.length}, expected ${other.length})`;
  }
  for (const path of expected.keys()) if (!found.has(path)) return `${path} is missing`;
  return null;
}

/** States that the tree may be in, step by step: the oracle. Goes forward only, as the application does. */
export class Oracle {
  tree = new Map();
  step = 0;

  /** How the tree on disk compares with the work: the operations of `counter` done so far, or why it is none of them. */
  check(root) {
    const found = listTree(root);
    found.delete('.new');
    const counter = Number(found.get('counter')?.toString() ?? 0);
    const done = Number(found.get('done')?.toString() ?? 0);
    if (counter !== done && counter !== done + 1) return { trouble: `counter ${counter}, done ${done}` };
    const tree = this.#treeAfter(done);
    if (counter === done) return { step: done, partly: 0, trouble: difference(found, tree) };
    let trouble = null;
    for (const [index, operation] of operations(counter).slice(0, -1).entries()) {
      applyTo(tree, operation);
      trouble = difference(found, tree);
      if (trouble === null) return { step: done, partly: index + 1, trouble };
    }
    return { trouble };
  }

  #treeAfter(step) {
    if (step < this.step) {
      this.tree = new Map();
      this.step = 0;
    }
    while (this.step < step) {
      this.step += 1;
      for (const operation of operations(this.step)) applyTo(this.tree, operation);
    }
    return new Map(this.tree);
  }
}
