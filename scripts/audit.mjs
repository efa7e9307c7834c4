#!/usr/bin/env node
/**
 * Asks the registry for known weaknesses of what an installation brings. Without a network, or where the registry does not
 * answer such questions, it says so and is no failure.
 *
 *   npm run audit:packages          exit code 1: a weakness of at least moderate severity
 */
import { spawnSync } from 'node:child_process';

const GRAVE = ['moderate', 'high', 'critical'];

const run = spawnSync('npm', ['audit', '--omit=dev', '--json', '--package-lock-only'], {
  encoding: 'utf8',
  timeout: 120_000,
});
let report;
try {
  report = JSON.parse(run.stdout);
} catch {
  report = { error: { summary: run.stderr } };
}
if (report.vulnerabilities === undefined) {
  console.warn(`not audited: ${report.error?.summary || 'the registry did not answer'}`);
} else {
  const found = Object.values(report.vulnerabilities).filter(({ severity }) => GRAVE.includes(severity));
  for (const { name, severity, range } of found) console.error(`${severity}: ${name} ${range}`);
  console.log(
    `${Object.keys(report.vulnerabilities).length} known weaknesses, ${found.length} of them moderate or worse`,
  );
  process.exitCode = found.length > 0 ? 1 : 0;
}
