/**
 * Receives blobs into a place of one's own, here a map in memory that counts what it got: any database, bucket or device
 * would do. The sender reads from a source of its own, too.
 *
 *   node examples/custom-sink.mjs
 */
import { createReceiver, createSender, digest } from 'diffkeeper';

// Plain TCP is for this machine only; across machines: { tls: ... } or { psk: ... }, see docs/security.md.
const link = { trust: { plaintext: true } };
const kept = new Map();

/** @returns a sink for what is offered, or null when it is here already */
async function open(offer) {
  const name = offer.key.toString();
  if (kept.has(name)) return null;
  const bytes = Buffer.alloc(offer.size);
  return {
    async write(offset, piece) {
      piece.copy(bytes, offset);
    },
    async read(offset, into) {
      return bytes.copy(into, 0, offset, offset + into.length);
    },
    // Everything is here and its digest is right.
    async finish() {
      kept.set(name, bytes);
      return Buffer.from(`thank you for ${name}`);
    },
    async abort(reason) {
      console.log(`${name} did not arrive: ${reason.message}`);
    },
  };
}

const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link, services: { maps: open } });
const sender = await createSender(`tcp://127.0.0.1:${receiver.port}`, { link });

const map = Buffer.alloc(3_000_000, 'grass, water, hill, ');
const source = {
  service: 'maps',
  key: Buffer.from('island'),
  size: map.length,
  digest: await digest(map),
  async read(offset, into) {
    return map.copy(into, 0, offset, offset + into.length);
  },
};
console.log((await sender.send(source)).toString());
console.log(`arrived: ${kept.get('island')?.equals(map)}`);
await sender.send(source);
console.log(`sent again: nothing but the offer, ${kept.size} map kept`);

await sender.close();
await receiver.close();
