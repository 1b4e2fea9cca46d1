// Ready to be opened without a connection: the page itself by its worker (api/pages/worker.js), and
// what it shows (cards, codes, who looked) sealed in this browser (core/kept.js).

import { materialOf } from "./code.js";
import { NAMES } from "./devices.js";
import { FIRST as GRANTS } from "./grants.js";
import { DISPUTES, FIRST as LINES } from "./looks.js";

const WORKER = "/wallet-worker.js";
const SETTLED = 1000; // milliseconds after news, which seldom comes alone

/** For as long as the page lives; `data-offline` on the page says when it is so. */
export async function keepReady(wallet) {
  let timer;
  const forever = new AbortController().signal;
  const fetchAll = () => keepAnswers(wallet).catch(() => {}); // the connection that this is for
  wallet.news.on(() => {
    clearTimeout(timer);
    timer = setTimeout(fetchAll, SETTLED);
  }, forever);
  wallet.news.onConnection((connected) => connected && fetchAll(), forever);
  const [worker] = await Promise.all([install(), fetchAll()]);
  if (worker) document.documentElement.dataset.offline = "ready";
}

async function keepAnswers(wallet) {
  const read = (path, params) => wallet.kept.read(wallet.api, path, params);
  const [{ grants }] = await Promise.all([
    read("/v1/grants", GRANTS), read("/v1/certificates", {}), read("/v1/history", LINES), read("/v1/disputes", DISPUTES),
  ]);
  const shown = grants.filter(({ mode, state }) => mode === "scan" && state === "active");
  for (const { grant_id: id } of shown) await materialOf(wallet, id);
  const wanted = new Set(shown.flatMap(({ grant_id: id }) => [`code ${id}`, `grant ${id}`]));
  wallet.kept.retain((name) => name.startsWith("/") || name === NAMES || wanted.has(name));
  await wallet.kept.saved();
}

/** Where a browser has no workers, or forbids them, the wallet is what it was: online. */
async function install() {
  try {
    // The one address that may become a script by its name: see Trusted Types in api/pages/routes.py.
    const policy = globalThis.trustedTypes?.createPolicy("wallet-worker", { createScriptURL: () => WORKER });
    await navigator.serviceWorker.register(policy?.createScriptURL("") ?? WORKER, { scope: "/wallet", updateViaCache: "none" });
    return await navigator.serviceWorker.ready;
  } catch (error) {
    console.warn(`the wallet does not open without a connection here: ${error.message}`);
    return undefined;
  }
}
