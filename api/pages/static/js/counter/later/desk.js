// What is done with a scan: one lookup at a time, each exactly once, the next one waiting its turn.
//
// A lookup is signed once. While nobody answers, the same statement is sent again, which has one
// answer however often it arrives; another scan meanwhile takes its place.

import { Problem, Unreachable, pause } from "../../core/api.js";
import { base64url, sha256, utf8 } from "../../core/bytes.js";
import { grantNumber, spokenDigits } from "../../core/codes.js";
import { toast } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { recognise } from "../../core/recognise.js";
import { beep, sameGrant } from "../../core/scanner.js";
import { Kind } from "../../core/statements.js";
import { openRequest } from "./asking.js";
import { foreign } from "./foreign.js";

const BOUNCE = 3000; // milliseconds in which a code that was just released is read again, not shown again
const RESEND = 10_000;
const DWELL = 4; // seconds that a result stays before a scan that was waiting
const TRIES = 3; // before the clerk is told that there is no answer yet

const MISSING = {
  item: () => t("Please choose the service item, then scan again."),
  number: () => t("Please enter the business number, then scan again."),
  fields: () => t("Please tick what to ask for, then scan again."),
};

const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);
/** Of one grant, though the phone may have renewed its code meanwhile. */
const same = (a, b) => equal(a, b) || (a.code && b.code && sameGrant(a.code, b.code));

export class Desk {
  #api;
  #business;
  #showing;
  #current = null; // {presented, asked, stop, sendNow?} while a lookup has no answer
  #next = null;
  #last = { presented: null, at: 0 };
  #dwell;

  /** Told the entry of each answered lookup. */
  onLine = () => {};

  /** @param {import("./showing.js").Showing} showing */
  constructor(api, business, showing) {
    this.#api = api;
    this.#business = business;
    this.#showing = showing;
    showing.desk = this;
  }

  /** Whatever was read, from wherever. `seen`: by the camera, which also sees what nobody shows. */
  scan(text, { seen = false } = {}) {
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    const spoken = spokenDigits(text);
    const { kind, code } = recognise(text);
    if (kind === "grant") this.present({ code });
    else if (spoken && !seen) this.present({ spoken });
    else if (grantNumber(text) && !seen) this.present({ grant_id: grantNumber(text) });
    else this.#foreign(...foreign(text, seen));
  }

  #foreign(heading, words) {
    if (this.#current || this.#showing.busy) return toast(words);
    beep(false);
    this.#showing.say(heading, words);
  }

  /** Look up with the business as it is now; `presented` as a lookup statement has it. */
  present(presented) {
    if (!this.#complete()) return;
    const lookup = { presented, asked: this.#business.asked };
    if (this.#current) {
      if (same(this.#current.presented, presented)) return this.#current.sendNow?.();
      if (!this.#current.sendNow) {
        this.#next = lookup;
        return this.#showing.queued();
      }
    } else if (equal(this.#last.presented, presented) && Date.now() - this.#last.at < BOUNCE) {
      this.#last.at = Date.now(); // a phone that is left under the scanner is read over and over
      return;
    }
    this.#start(lookup);
  }

  #complete() {
    const missing = this.#business.missing();
    if (!missing) return true;
    beep(false);
    this.#showing.say(t("Not complete yet"), MISSING[missing]());
    return false;
  }

  /** Send what has no answer yet again now. */
  sendNow() {
    this.#current?.sendNow?.();
  }

  /** Open a request that the holder approves on the phone, and look up once it is approved. */
  async ask() {
    if (!this.#complete()) return;
    this.#end();
    this.#showing.opening();
    const ended = new AbortController();
    this.#showing.stage.leaving = () => ended.abort();
    const asked = this.#business.asked;
    const approved = await openRequest(this.#api, asked, this.#showing, ended.signal);
    if (!approved) return;
    // What the holder kept back is not asked for, whatever the ticks say by now.
    const [{ type, fields }] = approved.granted;
    this.#start({ presented: { request_id: approved.request_id }, asked: { ...asked, type, fields } });
  }

  /** Nothing underway, nothing shown. */
  clear() {
    this.#end();
    this.#showing.ready();
  }

  #end() {
    clearInterval(this.#dwell);
    this.#current?.stop.abort();
    this.#current = this.#next = null;
  }

  async #start(lookup) {
    this.#end();
    const stop = new AbortController();
    const current = { ...lookup, stop };
    this.#current = current;
    this.#showing.looking();
    const { asked } = lookup;
    const payload = {
      presented: lookup.presented, fields: asked.fields,
      service_item: asked.item, business_number: asked.number,
      ...(asked.staff && { staff: asked.staff }),
    };
    const statement = await this.#api.sign(Kind.lookup, payload);
    const answer = await this.#send(statement, current).catch((error) => ({ error }));
    if (stop.signal.aborted) return;
    this.#current = null;
    if (answer.body?.decision === "released") this.#last = { presented: lookup.presented, at: Date.now() };
    this.#settle({ ...answer, ...lookup });
  }

  /** The answer to a statement, however long it takes. */
  async #send(statement, current) {
    const { signal } = current.stop;
    for (;;) {
      try {
        const body = await this.#api.post("/v1/lookups", { statement }, { tries: TRIES, signal });
        return { body, proven: await answers(body, statement) };
      } catch (error) {
        if (signal.aborted) throw error;
        const { body } = error;
        if (body?.decision === "refused") return { body, proven: await answers(body, statement) };
        if (!(error instanceof Unreachable) && !(error instanceof Problem && error.status === 503)) throw error;
        if (this.#next) {
          this.#start(this.#next);
          throw error;
        }
        this.#showing.unanswered();
        const asked = new Promise((resolve) => (current.sendNow = resolve));
        await Promise.race([pause(RESEND, signal), asked]).catch(() => {});
        current.sendNow = undefined;
        this.#showing.sendingAgain();
      }
    }
  }

  #settle(result) {
    if (result.body) this.onLine(result.body.receipt.entry);
    beep(result.body?.decision === "released" && result.proven);
    this.#showing.result(result);
    if (!this.#next) return;
    let seconds = DWELL;
    this.#showing.nextIn(seconds);
    this.#dwell = setInterval(() => {
      seconds -= 1;
      if (seconds > 0) this.#showing.nextIn(seconds);
      else this.#start(this.#next);
    }, 1000);
  }
}

/** Whether the receipt's entry is of this very statement, and says what the answer says. */
async function answers({ decision, receipt }, statement) {
  const { entry } = receipt;
  const digest = base64url(await sha256(utf8(statement)));
  return entry.kind === "lookup" && entry.decision === decision && entry.statement === digest;
}
