// Whether the service answers, and what time it is there: asked in short round trips for as long as
// the page is seen, so that a service that hangs shows within five seconds, whatever else waits.
//
// One judge: a request that fails has the question asked at once, and any answer at all is a yes.

import { Clock } from "./clock.js";

const EVERY = 2000; // milliseconds without a sign of life before it is asked for one
const AGAIN = 1000; // while there is none
const DEADLINE = 2500; // EVERY and this stay below five seconds
const CLOCK_EVERY = 60_000; // a page that talks all the time still learns the time

export const clock = new Clock();

/** Unix milliseconds by the service's clock; statements are dated by it. */
export const serverNow = () => clock.now();

let ledger;

/** The ledger (its log's origin) that the service says it keeps; undefined until it said so. */
export const serverLedger = () => ledger;

let reachable = true;
let heardAt = -Infinity;
let askedAt = -Infinity;
let asking;
let wake = () => {};
const listeners = new Set();

/** Be told when the service stops or starts answering: `listener(reachable)`. */
export function onConnection(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const isReachable = () => reachable;

function setReachable(now) {
  if (now === reachable) return;
  reachable = now;
  for (const listener of [...listeners]) listener(now);
}

const since = (moment) => Math.abs(performance.now() - moment);

/** It answered something. */
export function heard() {
  heardAt = performance.now();
  setReachable(true);
}

/** Resolves once the service answers. */
export const answering = () =>
  reachable ? Promise.resolve() : new Promise((resolve) => {
    const stop = onConnection((now) => {
      if (!now) return;
      stop();
      resolve();
    });
  });

/** Before anything is dated: the time, if it can be learnt, and with it the ledger. */
export async function learnTime() {
  if (!clock.known && reachable) await ask();
}

/** Ask whether it answers, and what time it is; resolves when that is known, never rejects. */
export function ask() {
  asking ??= roundTrip().finally(() => (asking = undefined));
  return asking;
}

async function roundTrip() {
  const sent = (askedAt = performance.now());
  const stopper = new AbortController();
  const timer = setTimeout(() => stopper.abort(), DEADLINE);
  try {
    const response = await fetch("/v1/time", { cache: "no-store", credentials: "omit", signal: stopper.signal });
    const { time_ms: time, ledger: named } = await response.json();
    if (!response.ok || !Number.isFinite(time)) throw new Error(`HTTP ${response.status}`);
    ledger = named;
    clock.learn(sent, performance.now(), time);
    heard();
  } catch {
    setReachable(false);
  } finally {
    clearTimeout(timer);
  }
}

/** For as long as the page lives. */
export async function keepAsking() {
  document.addEventListener("visibilitychange", () => {
    const visible = document.visibilityState === "visible";
    clock.seen(visible);
    if (visible) ask();
    wake();
  });
  for (const change of ["online", "offline"]) addEventListener(change, () => ask());
  for (;;) {
    if (document.visibilityState === "visible") {
      if (!reachable || since(heardAt) >= EVERY || since(askedAt) >= CLOCK_EVERY) await ask();
    }
    const left = reachable ? Math.max(EVERY - since(heardAt), 100) : AGAIN;
    await new Promise((resolve) => {
      wake = resolve;
      if (document.visibilityState === "visible") setTimeout(resolve, left);
    });
  }
}
