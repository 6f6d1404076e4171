/** Three projects: the core, a real server, a real browser. One worker each: the machine is shared. */
import { defineConfig } from 'vitest/config';

const project = (name: string, timeout: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.{ts,tsx}`],
    testTimeout: timeout,
    hookTimeout: timeout,
  },
});

export default defineConfig({
  test: {
    maxWorkers: 1,
    projects: [
      project('core', 20_000),
      project('package', 20_000),
      project('server', 40_000),
      project('browser', 90_000),
    ],
  },
});
