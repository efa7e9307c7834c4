/** `receive`: files that are sent, below one directory. */
import { createReceiver, EXIT_CODES } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { digestChoice, linkOf } from './link-options.js';
import { metricsAddress, parseAllow, parseListen, tellListening, untilInterrupted } from './listen-options.js';
import { showBytes } from './units.js';

export async function run(context: CommandContext): Promise<number> {
  const { settings, local, output, signal } = context;
  if (typeof local.out !== 'string') throw argumentError('--out', 'say where files go');
  const place = parseListen(typeof local.listen === 'string' ? local.listen : '127.0.0.1:9912');
  const allowed = parseAllow(Array.isArray(local.allow) ? local.allow.map(String) : []);
  const digest = digestChoice(local.digest);
  const once = new AbortController();
  const receiver = await createReceiver({
    ...place,
    link: await linkOf(settings),
    directory: local.out,
    ...digest,
    ...metricsAddress(settings),
    ...(allowed && { authorize: (name: string) => allowed.get(name) }),
    onFile: ({ name, path, size, peer, resumedBytes }) => {
      output.record('received', { name, path, size, peer, resumedBytes });
      output.line(`${name}: ${showBytes(size)} from ${peer}`);
      if (local.once === true) once.abort();
    },
  });
  tellListening(output, receiver, 'receiving into', { out: local.out });
  await untilInterrupted(AbortSignal.any([signal, once.signal]));
  await receiver.close();
  return EXIT_CODES.ok;
}
