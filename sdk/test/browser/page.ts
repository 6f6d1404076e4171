/** A page with the client in it, in real Chromium. Owns the browser, the bundle and the page's origin. */

import { existsSync } from 'node:fs';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { build } from 'esbuild';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import type { Client, createClient, Outcome } from '../../src/index.js';

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const hasChromium = existsSync(CHROMIUM);

/** What the page offers to `evaluate`. */
declare global {
  interface Window {
    createClient: typeof createClient;
    client: Client;
    outcomes: Promise<Outcome>[];
    errors: string[];
    /** True while nothing can be stored. */
    full: boolean;
  }
}

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
].concat(['--disable-background-networking', '--disable-component-update', '--disable-sync']);

export class Pages {
  readonly #browser: Browser;
  readonly #site: HttpServer;
  readonly origin: string;

  private constructor(browser: Browser, site: HttpServer) {
    this.#browser = browser;
    this.#site = site;
    this.origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  }

  static async start(): Promise<Pages> {
    const bundle = await build({
      stdin: {
        contents:
          "import { createClient } from './src/index.js'; window.createClient = createClient;",
        resolveDir: process.cwd(),
      },
      bundle: true,
      format: 'iife',
      write: false,
    });
    const script = bundle.outputFiles[0]?.text ?? '';
    const site = createServer((request, response) => {
      const isScript = request.url === '/client.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
      response.end(isScript ? script : '<!doctype html><script src="/client.js"></script>');
    });
    await new Promise<void>((done) => site.listen(0, '127.0.0.1', done));
    // Playwright makes a new user data folder for each launch, and removes it.
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    return new Pages(browser, site);
  }

  /** A browser of its own: no storage is shared with another one. */
  context(): Promise<BrowserContext> {
    return this.#browser.newContext();
  }

  /** Opens a tab whose client belongs to the user of this token. */
  async open(
    context: BrowserContext,
    {
      url,
      token,
      user,
      connect = true,
    }: { url: string; token: string; user: string; connect?: boolean },
  ): Promise<Page> {
    const page = await context.newPage();
    await page.goto(this.origin);
    await page.evaluate(
      ([address, jwt, name, go]) => {
        window.errors = [];
        addEventListener('error', ({ message }) => window.errors.push(message));
        addEventListener('unhandledrejection', ({ reason }) => window.errors.push(String(reason)));
        window.outcomes = [];
        window.client = window.createClient({ url: address, getToken: () => jwt, userId: name });
        if (go) window.client.connect();
      },
      [url, token, user, connect] as const,
    );
    return page;
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    this.#site.close();
  }
}

/** Waits until the page's client is connected and up to date. */
export function ready(page: Page): Promise<void> {
  return page.evaluate(() => window.client.ready(20_000));
}
