// The machine: which screen is up, for whose visit, and how a visit is wiped away. A visit is one
// object; when it ends, its work is stopped and the object is let go, and with it all that was read.

import { Problem } from "../core/api.js";
import { $, show, toast } from "../core/dom.js";
import { language, loadLater, speak, t } from "../core/i18n.js";
import { explain } from "../core/problems.js";
import { draw } from "./frame.js";
import { drawHead } from "./head.js";
import { startScreen } from "./start.js";

const THANKS = 3000; // milliseconds
const IDLE = 60; // seconds
const root = document.documentElement;

export class Kiosk {
  /** The visit that is under way; none on the first screen. @type {import("./later/visit.js").Visit | undefined} */
  visit;
  /** Whether the service answers and takes requests; told by `watchService`. */
  serving = true;
  #screen;
  #drawn = new AbortController();
  #target;
  /** @type {import("./later/idle.js").Idle | undefined} */
  #idle;
  #usual = { language, text: root.dataset.text };
  #thanks;
  #idleSeconds = IDLE;
  #later;

  /** @param {import("../core/session.js").Session} session */
  constructor({ api, who }, target) {
    Object.assign(this, { api, who });
    this.#target = target;
  }

  get screen() {
    return this.#screen?.name;
  }

  /** Everything after the first screen, with its words and looks; fetched once. */
  async prepare() {
    this.#later ??= this.#fetchLater();
    try {
      const [later] = await Promise.all([this.#later, loadLater()]);
      return later;
    } catch (error) {
      this.#later = undefined; // the next touch tries again
      throw error;
    }
  }

  async #fetchLater() {
    const later = await import("./later/screens.js");
    await later.styled();
    later.listenToScanner(this);
    later.stayAwake();
    later.watchService(this);
    this.#idle = new later.Idle(() => this.#left());
    this.#watchForLeaving();
    return later;
  }

  start() {
    this.#draw("start", startScreen);
  }

  /** Begin a visit, or go back to its beginning. */
  async choose() {
    try {
      const { Visit } = await this.prepare();
      this.visit ??= new Visit();
      await this.go("choose");
    } catch {
      toast(t("This machine is out of service just now. Please go to the nearest counter."));
    }
  }

  /** Show a later screen: choose, ask, code, working, result, trouble, thanks. */
  async go(name, ...given) {
    const { visit } = this;
    const later = await this.prepare();
    // Somebody may have stopped, or walked away, meanwhile.
    if (this.visit === visit) this.#draw(name, later[name], ...given);
  }

  #draw(name, screen, ...given) {
    this.#screen = { name, screen, given };
    clearTimeout(this.#thanks);
    this.redraw();
    $("h1", this.#target).focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  /** The screen as it is, once more: in another language, or because the service came back. */
  redraw() {
    this.#drawn.abort();
    this.#drawn = new AbortController();
    const { name, screen, given } = this.#screen;
    const view = screen(this, this.#drawn.signal, ...given);
    draw(this.#target, name, view);
    drawHead(this);
    this.#idleSeconds = view.idle ?? IDLE;
    this.#watchForLeaving();
  }

  #watchForLeaving() {
    // On the first screen there is nothing to ask about: it only goes back to its own language.
    this.#idle?.watch(this.#idleSeconds, { ask: this.screen !== "start" });
  }

  async changeLanguage(wanted) {
    await speak(wanted);
    if (this.#later) await loadLater();
    // Where the focus is, it stays: the switch is outside what is drawn again.
    this.redraw();
  }

  async help() {
    try {
      const { openHelp } = await this.prepare();
      openHelp(this);
    } catch {
      toast(t("This machine is out of service just now. Please go to the nearest counter."));
    }
  }

  /** Forget the visit: nothing of it stays on the screen or in this page's memory. */
  wipe({ thanks = false } = {}) {
    this.visit?.end();
    this.visit = undefined;
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    show($("#toasts"));
    if (!thanks) return this.#backToStart();
    this.go("thanks").then(() => {
      this.#thanks = setTimeout(() => this.#backToStart(), THANKS);
    });
  }

  #left() {
    const usual = language === this.#usual.language && root.dataset.text === this.#usual.text;
    if (this.screen !== "start" || !usual) this.wipe();
  }

  #backToStart() {
    root.dataset.text = this.#usual.text;
    this.start();
    if (language !== this.#usual.language) this.changeLanguage(this.#usual.language);
  }

  /** Something did not work: in words, with a way on. A key that is no longer good ends the page. */
  failed(error, again) {
    if (error instanceof Problem && error.status === 401 && error.code.startsWith("key.")) {
      this.visit?.end();
      location.reload();
      return;
    }
    this.go("trouble", () => explain(error), again);
  }
}
