/** Builds the page. The SDK's hooks ask for React; Preact does the same in a tenth of the bytes. */
import { defineConfig } from 'vite';

export default defineConfig({
  // The SDK is a link to its folder here; its imports are looked for beside ours.
  resolve: { alias: { react: 'preact/compat' }, preserveSymlinks: true },
  build: { target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  // While working on the page: `npx vite`, beside a draftwire-demo on its usual port.
  server: {
    proxy: Object.fromEntries(
      ['/api', '/demo', '/ws'].map((path) => [path, { target: 'http://127.0.0.1:3000', ws: true }]),
    ),
  },
});
