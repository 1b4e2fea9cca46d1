// Talking to the service: signs, keeps a read token, sends again what met no answer.
//
// Every write is a signed statement with a `jti`: sent again as it is, it has its one answer and
// happens once. So a lost connection or a 503 is retried with the same bytes.

import { ask, heard, isReachable, learnTime, onConnection, serverLedger, serverNow } from "./service.js";
import { Kind, sign } from "./statements.js";

export { onConnection, serverNow };

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

/** Milliseconds after which a request counts as lost, by its kind; a service that hangs shows long
 * before (service.js). */
const DEADLINES = {
  read: 20_000,
  held: 10_000, // beyond the time that it may be held for
  write: 60_000, // its answer waits for the anchor
};
const AWAY = new Set([502, 504]); // a proxy says so while the service restarts

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

  async sign(kind, payload) {
    await this.#ready();
    return sign(this.#key, kind, payload, serverNow());
  }

  /** Before anything is signed: the time is known, and the service is still of the key's ledger. */
  async #ready() {
    await learnTime();
    const named = serverLedger();
    if (named && named !== this.#key.ledger) {
      throw new Problem(0, { code: "ledger.other", detail: `${named} in place of ${this.#key.ledger}` });
    }
  }

  /** The `Authorization` header of reads and long bodies. */
  async authorization() {
    await this.#ready();
    const now = serverNow();
    if (now >= this.#renewAt) {
      this.#token = await sign(this.#key, Kind.access, { exp: Math.floor(now / 1000) + 240 }, now);
      this.#renewAt = now + 180_000;
    }
    return `Bearer ${this.#token}`;
  }

  /** GET; `params` that are undefined, null or "" are left out. */
  get(path, params = {}, { token = this.#key !== null, ...options } = {}) {
    const query = new URLSearchParams(
      Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== ""),
    ).toString();
    const deadline = params.wait ? 1000 * params.wait + DEADLINES.held : DEADLINES.read;
    const more = { token, deadline, whileAnswering: Boolean(params.wait), ...options };
    return this.#send(query ? `${path}?${query}` : path, { method: "GET" }, more);
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

  /** Sign a statement and POST it, with what travels beside it; signed anew where only the time was wrong. */
  async state(path, kind, payload, beside = {}, options = {}) {
    const attempt = async () => this.post(path, { statement: await this.sign(kind, payload), ...beside }, options);
    try {
      return await attempt();
    } catch (error) {
      if (error.code !== "statement.stale") throw error;
      await ask();
      return attempt();
    }
  }

  /**
   * `whileAnswering`: of no use once the service is known not to answer, so it ends then.
   * @param {{token?: boolean, tries?: number, signal?: AbortSignal, as?: "json" | "text" | "blob",
   *   deadline?: number, whileAnswering?: boolean}} options
   * @throws {Problem | Unreachable}
   */
  async #send(path, request, {
    token = false, tries = 6, signal, as = "json", deadline = DEADLINES.write, whileAnswering = false,
  } = {}) {
    let stale = false;
    for (let attempt = 1; ; attempt++) {
      const limit = new AbortController();
      const stop = () => limit.abort();
      const timer = setTimeout(stop, deadline);
      const ignore = whileAnswering ? onConnection((reachable) => reachable || stop()) : () => {};
      signal?.addEventListener("abort", stop);
      if (signal?.aborted || (whileAnswering && !isReachable())) stop();
      let response, body;
      try {
        const headers = { ...request.headers };
        if (token) headers.Authorization = await this.authorization();
        response = await fetch(path, { ...request, headers, signal: limit.signal, cache: "no-store", credentials: "omit" });
        if (AWAY.has(response.status)) throw new Error(`HTTP ${response.status}`);
        // An answer that is cut off is no answer.
        if (response.ok) body = await response[as]();
        else body = await response.json().catch(() => ({}));
      } catch (error) {
        if (signal?.aborted || error instanceof Problem) throw error;
        ask();
        if (attempt >= tries) throw new Unreachable(error.message);
        await pause(Math.min(4000, 250 * 2 ** attempt), signal);
        continue;
      } finally {
        clearTimeout(timer);
        ignore();
        signal?.removeEventListener("abort", stop);
      }
      heard();
      if (response.ok) return body;
      if (response.status === 503 && attempt < tries) {
        await pause(Math.min(5000, 1000 * Number(response.headers.get("Retry-After") ?? 1)), signal);
        continue;
      }
      if (token && !stale && body.code?.startsWith("token.")) {
        // Most likely the time.
        stale = true;
        this.#renewAt = 0;
        await ask();
        continue;
      }
      throw new Problem(response.status, body);
    }
  }
}
