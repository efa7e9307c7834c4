// A user's CommonJS program: the same package through `require`.
const assert = require('node:assert');
const { readFileSync, mkdirSync, writeFileSync } = require('node:fs');
const { capture, engineInfo, openStore, readFileAt } = require('diffkeeper');

async function main(folder) {
  mkdirSync(`${folder}/state`, { recursive: true });
  writeFileSync(`${folder}/state/bytes`, Buffer.from([0, 1, 2, 255]));
  const store = await openStore(`${folder}/store`, { create: true });
  await capture(store, `${folder}/state`);
  const parts = [];
  for await (const part of readFileAt(store, 'bytes')) parts.push(part);
  await store.close();
  assert.ok(Buffer.concat(parts).equals(readFileSync(`${folder}/state/bytes`)));
  console.log(JSON.stringify({ engine: engineInfo().kind }));
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
