/** Certificates for tests, made by openssl when they are asked for: none is kept in the repository. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Trust } from '../../src/transport/transport.js';

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];

interface Authority {
  readonly certificate: string;
  /** Trust of an end with a certificate of this authority, for 127.0.0.1 and the name, which is its CN by default. */
  issue(name: string, subject?: string): Extract<Trust, { readonly certificate: string }>;
}

function openssl(words: readonly string[]): void {
  execFileSync('openssl', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Runs with a maker of authorities. */
export function withAuthorities<T>(body: (make: () => Authority) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'dk-tls-'));
  let count = 0;
  const file = (name: string): string => join(directory, name);
  const make = (): Authority => {
    count += 1;
    const ca = `ca${count}`;
    openssl(['req', '-x509', ...CURVE, '-subj', `/CN=${ca}`, '-keyout', file(`${ca}.key`), '-out', file(`${ca}.pem`)]);
    const certificate = readFileSync(file(`${ca}.pem`), 'utf8');
    return {
      certificate,
      issue(name, subject = `/CN=${name}`) {
        const [key, request, out] = ['key', 'csr', 'pem'].map((end) => file(`${ca}-${name}.${end}`)) as [
          string,
          string,
          string,
        ];
        writeFileSync(file('ext'), `subjectAltName=IP:127.0.0.1,DNS:${name}\n`);
        openssl(['req', ...CURVE, '-subj', subject, '-keyout', key, '-out', request]);
        const signer = ['-CA', file(`${ca}.pem`), '-CAkey', file(`${ca}.key`), '-CAcreateserial'];
        openssl(['x509', '-req', '-in', request, ...signer, '-days', '2', '-extfile', file('ext'), '-out', out]);
        return { certificate: readFileSync(out, 'utf8'), key: readFileSync(key, 'utf8'), authority: certificate };
      },
    };
  };
  try {
    return body(make);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
