// The wallet's service worker: opens the page without a connection, or while the service hangs.
//
// It keeps the page's shell and nothing else: HTML, scripts, styles and words, the same for
// everybody. Whole versions only, fetched when they appear (VERSION is a digest of all of it, so a
// changed shell is a changed worker). The network comes first; a page that had to be opened from
// the shell takes all of its parts from there. What is not listed is not touched: no /v1, no other
// page.

const { VERSION, LANGUAGES, PARTS } = SHELL;
const NAME = `wallet-${VERSION}`;
const PATIENCE = 2500; // milliseconds that the network has
const parts = new Set(PARTS);
const opened = new Set(); // pages that were opened from the shell

async function install() {
  const shell = await caches.open(NAME);
  const fetchInto = async (name, path, headers) => {
    const answer = await fetch(path, { headers, cache: "no-cache", credentials: "omit" });
    if (!answer.ok) throw new TypeError(`${path}: HTTP ${answer.status}`);
    await shell.put(name, answer);
  };
  await Promise.all([
    ...PARTS.map((path) => fetchInto(path, path)),
    // Without cookies: in this language, in the usual looks.
    ...LANGUAGES.map((language) => fetchInto(`/wallet?lang=${language}`, "/wallet", { "Accept-Language": language })),
  ]);
  await skipWaiting();
}

async function activate() {
  for (const name of await caches.keys()) if (name !== NAME) await caches.delete(name);
  await clients.claim();
}

/** What the network answers, unless it takes too long or is away. */
async function fromNetwork(request) {
  const stopper = new AbortController();
  const timer = setTimeout(() => stopper.abort(), PATIENCE);
  try {
    const answer = await fetch(request, { signal: stopper.signal });
    return answer.status >= 502 && answer.status <= 504 ? undefined : answer;
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

const fromShell = async (name) => (await caches.open(NAME)).match(name, { ignoreVary: true });

async function page({ request, resultingClientId }) {
  const answer = await fromNetwork(request);
  if (answer) return answer;
  opened.add(resultingClientId);
  const chosen = new URL(request.url).searchParams.get("lang") ?? (await globalThis.cookieStore?.get("lang"))?.value;
  const usual = navigator.language.startsWith("zh") ? "zh-CN" : "en";
  return fromShell(`/wallet?lang=${LANGUAGES.includes(chosen) ? chosen : usual}`);
}

async function part({ request, clientId }, name) {
  const kept = opened.has(clientId) ? await fromShell(name) : undefined;
  return kept ?? (await fromNetwork(request)) ?? (await fromShell(name)) ?? Response.error();
}

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(activate()));
addEventListener("fetch", (event) => {
  const { origin, pathname, search } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== location.origin) return;
  if (event.request.mode === "navigate") {
    if (pathname === "/wallet") event.respondWith(page(event));
  } else if (parts.has(pathname + search)) event.respondWith(part(event, pathname + search));
});
