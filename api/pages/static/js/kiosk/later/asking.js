// Between the screens: open the request, wait for the phone, look up exactly what was granted.
//
// A lookup is signed once and sent again as it is, so that a lost answer takes no second use.

import { Problem, Unreachable, pause, serverNow } from "../../core/api.js";
import { randomCrockford } from "../../core/bytes.js";
import { beep } from "../../core/scanner.js";
import { ask } from "../../core/service.js";
import { Kind } from "../../core/statements.js";

const SECONDS = 180; // for the phone to be found, read and answered

/** Sign and send; once more where only the time was wrong. */
async function send(api, path, work, signal) {
  for (let attempt = 1; ; attempt++) {
    work.statement ??= await api.sign(work.kind, work.payload);
    try {
      return await api.post(path, { statement: work.statement }, { signal });
    } catch (error) {
      if (!(error instanceof Problem && error.code === "statement.stale") || attempt > 1) throw error;
      work.statement = undefined;
      await ask();
    }
  }
}

/** Ask for what was chosen, show the code, and see it through. */
export async function openRequest(kiosk) {
  const { api, visit } = kiosk;
  const signal = visit.begin();
  const payload = {
    request_id: randomCrockford(26),
    service_item: visit.item,
    business_number: visit.number,
    certificates: visit.chosen,
    ttl: SECONDS,
  };
  try {
    visit.request = await send(api, "/v1/requests", { kind: Kind.request, payload }, signal);
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  }
  if (signal.aborted) return;
  visit.outcome = undefined;
  visit.refused = false;
  await kiosk.go("code");
  waitForPhone(kiosk, signal).catch((error) => {
    if (!signal.aborted) kiosk.failed(error, () => openRequest(kiosk));
  });
}

async function waitForPhone(kiosk, signal) {
  const { visit } = kiosk;
  const { request_id, expires_ms } = visit.request;
  let answer = { state: "pending" };
  const open = () => answer.state === "pending" || answer.state === "denied";
  while (open()) {
    const left = expires_ms - serverNow();
    const waiting = stopAt(signal, Math.max(left, 0));
    try {
      // Beyond the end one last look: it may have been approved in the last moment.
      answer = await kiosk.api.get(`/v1/requests/${request_id}`, left > 0 ? { wait: 25, state: answer.state } : {}, {
        tries: left > 0 ? 1 : 6, signal: left > 0 ? waiting.signal : signal,
      });
      if (left <= 0 && open()) answer.state = "expired";
      // Perhaps a bystander's: whom the code is for may still scan it.
      if (answer.state === "denied" && !visit.refused && !signal.aborted) {
        visit.refused = true;
        kiosk.redraw();
      }
    } catch (error) {
      if (signal.aborted) return;
      if (left <= 0 || (error instanceof Problem && error.status < 500)) throw error;
      if (!waiting.signal.aborted) await pause(1000, signal);
    } finally {
      waiting.clear();
    }
  }
  if (signal.aborted) return;
  if (answer.state === "approved") {
    const presented = { request_id };
    await fetchGranted(kiosk, signal, answer.granted.map((granted) => ({ presented, ...granted })));
  } else {
    await finish(kiosk, { kind: visit.refused ? "denied" : answer.state });
  }
}

/** Aborts with `signal`, or by itself after so many milliseconds. */
function stopAt(signal, milliseconds) {
  const stopper = new AbortController();
  const stop = () => stopper.abort();
  const timer = setTimeout(stop, milliseconds);
  signal.addEventListener("abort", stop);
  return {
    signal: stopper.signal,
    clear() {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    },
  };
}

/** The other direction: the phone showed the code of a grant by scan. */
export async function lookUpByCode(kiosk, text) {
  const { visit } = kiosk;
  const signal = visit.begin();
  try {
    await fetchGranted(kiosk, signal, [{ presented: { code: text }, ...visit.chosen[0] }]);
  } catch (error) {
    if (!signal.aborted) kiosk.failed(error, () => kiosk.go("ask"));
  }
}

/** One lookup for each certificate; what is refused does not keep the others back. */
async function fetchGranted(kiosk, signal, granted) {
  const { visit } = kiosk;
  const lookups = granted.map(({ presented, certificate_id, type, fields }) => ({
    kind: Kind.lookup,
    type,
    payload: {
      presented, fields, service_item: visit.item, business_number: visit.number,
      ...(certificate_id && { certificate_id }),
    },
  }));
  const run = async () => {
    await kiosk.go("working");
    try {
      for (const lookup of lookups) lookup.answer ??= await lookUp(kiosk.api, lookup, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Unreachable || error.status === 503) return kiosk.failed(error, run);
      throw error;
    }
    if (signal.aborted) return;
    // A scanned code says not of what it is: the answer does.
    const parts = lookups.map(({ type, answer }) => ({ ...answer, type: answer.body?.type ?? type }));
    await finish(kiosk, { kind: parts.some(({ body }) => body) ? "released" : "refused", parts });
  };
  await run();
}

/** `{body}` when released; when refused `{reason, certificate}`: which one the holder had shared. */
async function lookUp(api, lookup, signal) {
  try {
    return { body: await send(api, "/v1/lookups", lookup, signal) };
  } catch (error) {
    if (error instanceof Problem && error.body.decision === "refused") {
      return { reason: error.code, certificate: error.body.receipt?.entry.certificate };
    }
    throw error;
  }
}

async function finish(kiosk, outcome) {
  kiosk.visit.outcome = outcome;
  beep(outcome.kind === "released");
  await kiosk.go("result");
}
