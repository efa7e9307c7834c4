import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Crash tests and addon tests need a process of their own.
    pool: 'forks',
    poolOptions: { forks: { maxForks: 2, minForks: 1 } },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    // On a busy shared machine a process may be late once; twice is a defect. The report names whoever needed it.
    retry: process.env.CI || process.env.DIFFKEEPER_TEST_RETRY ? 1 : 0,
    reporters: ['default'],
    // Tests never reach outside; colours make a log hard to read.
    env: { NO_COLOR: '1' },
  },
});
