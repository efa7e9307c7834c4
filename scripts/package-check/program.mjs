// A user's ESM program: keeps a directory, gets it back, and says which engine did it.
import assert from 'node:assert';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { capture, diff, engineInfo, isDiffKeeperError, openStore, patch, recover } from 'diffkeeper';

const folder = process.argv[2];
mkdirSync(`${folder}/state/deep`, { recursive: true });
writeFileSync(`${folder}/state/deep/one.txt`, 'first');
const store = await openStore(`${folder}/store`, { create: true });
await capture(store, `${folder}/state`);
writeFileSync(`${folder}/state/deep/one.txt`, 'second');
await capture(store, `${folder}/state`);
const report = await recover(store, `${folder}/restored`);
await store.close();
assert.equal(readFileSync(`${folder}/restored/deep/one.txt`, 'utf8'), 'second');

const source = Buffer.alloc(100_000, 'abcdefg');
const target = Buffer.concat([source.subarray(0, 50_000), Buffer.from('middle'), source.subarray(50_000)]);
assert.ok(target.equals(await patch(source, await diff(source, target))));

await assert.rejects(openStore(`${folder}/nowhere`), (error) => isDiffKeeperError(error, 'DK_NO_STORE'));
console.log(JSON.stringify({ engine: engineInfo().kind, rootVerified: report.rootVerified }));
