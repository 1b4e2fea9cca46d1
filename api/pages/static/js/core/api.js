// Talking to the service: signs, keeps a read token, sends again what met no answer.
//
// Every write is a signed statement with a `jti`: sent again as it is, it has its one answer and
// happens once. So a lost connection or a 503 is retried with the same bytes.

import { Kind, sign } from "./statements.js";

/** The service said no. `code` is stable, `body` the whole problem (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? "http";
    this.body = body;
  }
}

/** No answer after all tries: nobody knows whether it happened until it is sent again. */
export class Unreachable extends Error {}

const PATIENCE = 45_000; // milliseconds; the longest wait for news is 25 s
const AWAY = new Set([502, 504]); // a proxy says so while the service restarts

const listeners = new Set();
let reachable = true;

/** Be told when the service stops or starts answering: `listener(reachable)`. */
export function onConnection(listener) {
  listeners.add(listener);
}

function setReachable(now) {
  if (now === reachable) return;
  reachable = now;
  for (const listener of listeners) listener(now);
}

// How far the server's clock is ahead of this device's, from answers' Date headers: statements
// are dated by the server's clock, because a phone's own may be minutes off.
let ahead = 0;

export const serverNow = () => Date.now() + ahead;

export function learnServerTime(milliseconds) {
  ahead = milliseconds - Date.now();
}

function learnFrom(response) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  // Whole seconds: a difference below two is nothing to act on.
  if (Number.isFinite(date) && Math.abs(date + 500 - serverNow()) > 2000) learnServerTime(date + 500);
}

export const pause = (milliseconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });

export class Api {
  #key;
  #token = "";
  #renewAt = 0;

  /** @param {import("./keys.js").DeviceKey | null} key none: public reads only */
  constructor(key = null) {
    this.#key = key;
  }

  sign(kind, payload) {
    return sign(this.#key, kind, payload, serverNow());
  }

  async #authorization() {
    if (serverNow() >= this.#renewAt) {
      const now = serverNow();
      this.#token = await this.sign(Kind.access, { exp: Math.floor(now / 1000) + 240 });
      this.#renewAt = now + 180_000;
    }
    return `Bearer ${this.#token}`;
  }

  /** GET; `params` that are undefined, null or "" are left out. */
  get(path, params = {}, { token = this.#key !== null, ...options } = {}) {
    const query = new URLSearchParams(
      Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== ""),
    ).toString();
    return this.#send(query ? `${path}?${query}` : path, { method: "GET" }, { token, ...options });
  }

  /** POST of a JSON value. */
  post(path, value, options = {}) {
    const headers = { "Content-Type": "application/json" };
    return this.#send(path, { method: "POST", headers, body: JSON.stringify(value) }, options);
  }

  /** POST of anything else (a form, a camera's frame). */
  postBody(path, body, options = {}) {
    const headers = body instanceof Blob ? { "Content-Type": body.type } : {};
    return this.#send(path, { method: "POST", headers, body }, options);
  }

  /** Sign a statement and POST it, with what travels beside it. */
  async state(path, kind, payload, beside = {}, options = {}) {
    return this.post(path, { statement: await this.sign(kind, payload), ...beside }, options);
  }

  /**
   * @param {{token?: boolean, tries?: number, signal?: AbortSignal, as?: "json" | "text" | "blob"}} options
   * @throws {Problem | Unreachable}
   */
  async #send(path, request, { token = false, tries = 6, signal, as = "json" } = {}) {
    let stale = false;
    for (let attempt = 1; ; attempt++) {
      const limit = new AbortController();
      const stop = () => limit.abort();
      const timer = setTimeout(stop, PATIENCE);
      signal?.addEventListener("abort", stop);
      if (signal?.aborted) stop();
      let response, body;
      try {
        const headers = { ...request.headers };
        if (token) headers.Authorization = await this.#authorization();
        response = await fetch(path, { ...request, headers, signal: limit.signal, cache: "no-store", credentials: "omit" });
        if (AWAY.has(response.status)) throw new Error(`HTTP ${response.status}`);
        // An answer that is cut off is no answer.
        if (response.ok) body = await response[as]();
        else body = await response.json().catch(() => ({}));
      } catch (error) {
        if (signal?.aborted) throw error;
        setReachable(false);
        if (attempt >= tries) throw new Unreachable(error.message);
        await pause(Math.min(4000, 250 * 2 ** attempt), signal);
        continue;
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener("abort", stop);
      }
      setReachable(true);
      learnFrom(response);
      if (response.ok) return body;
      if (response.status === 503 && attempt < tries) {
        await pause(Math.min(5000, 1000 * Number(response.headers.get("Retry-After") ?? 1)), signal);
        continue;
      }
      if (token && !stale && body.code?.startsWith("token.")) {
        // Most likely the clock: the Date header has just put it right.
        stale = true;
        this.#renewAt = 0;
        continue;
      }
      throw new Problem(response.status, body);
    }
  }
}
